"""The picture of what ways to synchronise trade: bytes between ranks against the accuracy that they reach."""
import numpy

from .style import NAMED, RUN_COLOURS, RUN_MARKERS, Picture, bytes_text, bytes_unit, legend, new_figure, shorten

COLUMNS = ("wire_bytes", "window_bytes_read", "window_bytes_written")  # each byte of a step is in one of them


def bytes_of_step(run):
    """What all ranks together move in a step of training, by messages and through windows."""
    trained = run.traffic[run.traffic.activity == "train"]
    return float(trained[list(COLUMNS)].to_numpy().sum()) / len(run.columns("steps")["seconds"])


def accuracy_of(run):
    measured = run.columns("epochs")["test_accuracy"] if "epochs" in run else numpy.empty(0)
    measured = measured[numpy.isfinite(measured)]
    return measured[-1] if len(measured) else None


def draw_exchange(runs):
    """Of several trainings on as many ranks that move different numbers of bytes; `runs` are (label, result). None for others."""
    runs = [(label, run) for label, run in runs if "steps" in run and "traffic" in run and run.attributes.get("kind") != "simulated"]
    if len({run.ranks for _, run in runs}) != 1:
        return None
    points = [(label, bytes_of_step(run), accuracy_of(run)) for label, run in runs]
    points = [point for point in points if point[1] > 0 and point[2] is not None]
    if len({moved for _, moved, _ in points}) < 2:
        return None
    factor, unit = bytes_unit(max(moved for _, moved, _ in points))
    figure = new_figure(3.6, "Bytes against accuracy")
    axes = figure.subplots()
    for i, (label, moved, accuracy) in enumerate(points):
        axes.plot([moved * factor], [100 * accuracy], RUN_MARKERS[i % len(RUN_MARKERS)], color=RUN_COLOURS[i % len(RUN_COLOURS)],
                  markersize=8, label=NAMED + shorten(label))
    if max(moved for _, moved, _ in points) > 10 * min(moved for _, moved, _ in points):
        axes.set_xscale("log")
    axes.set_xlabel(f"bytes between ranks in a step / {unit}")
    axes.set_ylabel("test accuracy / %")
    axes.margins(0.08, 0.15)
    axes.grid()
    legend(axes, loc="center left", bbox_to_anchor=(1.01, 0.5), fontsize=9 if len(points) <= 10 else 7.5)
    alt = "; ".join(f"{label}: {bytes_text(moved)} a step, {100 * accuracy:.2f} %" for label, moved, accuracy in points) + "."
    return Picture("exchange", "Bytes against accuracy", figure, alt,
                   "What all ranks move in a step of training, by messages and through windows, and the last accuracy on the test set.")
