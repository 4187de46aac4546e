"""Pictures of numbers over time: loss and accuracy, the distribution of step times and of latencies."""
import numpy

from .style import (NAMED, RUN_MARKERS, Picture, legend, new_figure, number, plural, run_style, seconds_text, seconds_unit, shorten)

SKIPPED = 5  # steps at the beginning, which warm up: as in the figures of merit


def after_warm_up(values):
    return values[SKIPPED:] if len(values) > SKIPPED else values


def running_mean(values, width):
    """Means over the last `width` values, fewer at the beginning."""
    sums = numpy.cumsum(numpy.insert(numpy.nan_to_num(values), 0, 0.0))
    last = numpy.arange(1, len(values) + 1)
    first = numpy.maximum(0, last - width)
    return (sums[last] - sums[first]) / (last - first)


def draw_curves(runs):
    """Training loss by step, losses and accuracy by epoch; `runs` are (label, result). None where nothing was trained, as in predictions."""
    runs = [(label, run) for label, run in runs if "steps" in run and run.attributes.get("kind") != "simulated"]
    if not runs:
        return None
    evaluated = [run for _, run in runs if "epochs" in run]
    accurate = any(numpy.isfinite(run.columns("epochs")["test_accuracy"]).any() for run in evaluated)
    several = len(runs) > 1
    figure = new_figure(5.6 if evaluated else 3.1, "Loss and accuracy")
    grid = figure.add_gridspec(2 if evaluated else 1, 2 if accurate else 1)
    loss = figure.add_subplot(grid[0, :])
    words = []
    for i, (label, run) in enumerate(runs):
        values = run.columns("steps")["loss"]
        width = max(1, len(values) // 40)
        marks = {}
        if several:  # shapes at steps of its own keep a run in sight where others cover its line
            every = max(1, len(values) // 8)
            marks = {"marker": RUN_MARKERS[i % len(RUN_MARKERS)], "markevery": (every * i // len(runs), every), "markersize": 4.5}
        elif width > 1:
            loss.plot(values, color="#9CC7E3", linewidth=0.8, label=NAMED + "every step")
        if not several:
            label = f"mean of {plural(width, 'step')}" if width > 1 else "every step"
        loss.plot(running_mean(values, width), linewidth=1.7, label=NAMED + shorten(label), **marks, **run_style(i))
        words.append(f"{runs[i][0]}: training loss from {number(values[0])} to {number(values[-1])} in"
                     f" {plural(len(values), 'step')}")
    loss.set(xlabel="step", ylabel="training loss", title="Training loss" + (", running mean" if several else ""))
    positive = all((run.columns("steps")["loss"] > 0).all() for _, run in runs)
    if positive:
        loss.set_yscale("log")
    loss.margins(x=0.01)
    loss.grid(axis="y")
    legend(loss, loc="upper right", ncol=1 + (len(runs) - 1) // 6, fontsize=9 if len(runs) <= 12 else 7.5)
    if evaluated:
        words += draw_epochs(figure, grid, runs, accurate)
    return Picture("curves", "Loss and accuracy", figure, "; ".join(words) + ".",
                   "Loss by step" + (", smoothed" if several else "") + ", and at the end of each epoch.")


def draw_epochs(figure, grid, runs, accurate):
    losses = figure.add_subplot(grid[1, 0])
    accuracy = figure.add_subplot(grid[1, 1]) if accurate else None
    words, tested = [], False
    for i, (label, run) in enumerate(runs):
        if "epochs" not in run:
            continue
        epochs = run.columns("epochs")
        # Each run's points within those of the runs before it.
        style = {**run_style(i), "linewidth": 1.5, "markersize": 4.5 + 1.5 * min(5, len(runs) - 1 - i), "zorder": 2 + i / 100}
        losses.plot(epochs["epoch"], epochs["train_loss"], marker="o", **style)
        measured = numpy.isfinite(epochs["test_loss"])
        tested = tested or measured.any()
        losses.plot(epochs["epoch"][measured], epochs["test_loss"][measured], marker="s", markerfacecolor="white", **style)
        measured = numpy.isfinite(epochs["test_accuracy"])
        if accuracy and measured.any():
            accuracy.plot(epochs["epoch"][measured], 100 * epochs["test_accuracy"][measured], marker="o", **style)
            words.append(f"{label}: test accuracy {100 * epochs['test_accuracy'][measured][-1]:.2f} % after"
                         f" {plural(int(epochs['epoch'][measured][-1]), 'epoch')}")
    losses.set(xlabel="epoch", ylabel="loss", title="Loss: ● training" + ("  □ test" if tested else ""))
    panels = [losses]
    if accuracy:
        accuracy.set(xlabel="epoch", ylabel="accuracy / %", title="Test accuracy")
        panels.append(accuracy)
    for axes in panels:
        axes.grid(axis="y")
        axes.xaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)
        low, high = axes.get_xlim()
        if high - low < 1:
            axes.set_xlim(round(low + (high - low) / 2) - 0.6, round(low + (high - low) / 2) + 0.6)
    return words


def draw_histograms(name, title, what, samples):
    """A row a run of counts over a common axis of seconds; `samples` are (label, seconds)."""
    samples = [(label, values[numpy.isfinite(values)]) for label, values in samples]
    samples = [(label, values) for label, values in samples if len(values)]
    if not samples:
        return None
    everything = numpy.concatenate([values for _, values in samples])
    # The rare slowest would squeeze the rest: they are counted beside the row.
    high = max(numpy.percentile(values, 99) for _, values in samples)
    low = min(values.min() for _, values in samples)
    high += 0.03 * (high - low) or 0.1 * high
    factor, unit = seconds_unit(numpy.median(everything))
    height = 1.9 if len(samples) == 1 else 1.15
    figure = new_figure(0.9 + height * len(samples), title)
    axes = figure.subplots(len(samples), 1, sharex=True, squeeze=False)[:, 0]
    words = []
    for i, (label, values) in enumerate(samples):
        bins = numpy.linspace(low, high, 61)
        axes[i].hist(values[values <= high] * factor, bins * factor, color=run_style(i)["color"], alpha=0.75)
        median, slow = numpy.median(values), numpy.percentile(values, 95)
        axes[i].axvline(median * factor, color="black", linewidth=1.3)
        axes[i].axvline(slow * factor, color="black", linewidth=1.1, linestyle=":")
        beyond = int((values > high).sum())
        text = f"median {seconds_text(median)}, 95 % within {seconds_text(slow)}"
        note = text + (f"; {beyond:,} slower than shown, up to {seconds_text(values.max())}" if beyond else "")
        axes[i].set_title((shorten(label) + ": " if len(samples) > 1 else "") + note, fontsize=9)
        axes[i].set_ylabel(what + "s", fontsize=9)
        axes[i].yaxis.get_major_locator().set_params(integer=True, nbins=4)
        words.append(f"{label}: {text}, {plural(len(values), what)}")
    axes[-1].set_xlabel(f"seconds per {what} / {unit}" if unit == "s" else f"time per {what} / {unit}")
    return Picture(name, title, figure, "; ".join(words) + ".", "Solid line: median; dotted line: 95 % lie below.")


def draw_step_times(runs):
    """Of the slowest rank, without the first steps."""
    picture = draw_histograms("step_time", "Step time", "step",
                              [(label, after_warm_up(run.columns("steps")["seconds"])) for label, run in runs if "steps" in run])
    if picture:
        picture.caption = f"Of the slowest rank in each step, the first {SKIPPED} steps left out. " + picture.caption
    return picture


def draw_latencies(runs):
    return draw_histograms("latency", "Latency of inference", "batch",
                           [(label, run.columns("inference")["latency_seconds"]) for label, run in runs if "inference" in run])
