"""A measured run and its prediction, above each other on one axis of time."""
import numpy

from .style import NAMED, Picture, legend, new_figure, plural, seconds_text, seconds_unit, shorten
from .timeline import IDLE, KINDS, step_of

KIND = {"simulated": "predicted", "virtual": "on a machine's clock"}


def is_measured(run):
    return run.attributes.get("kind", "measured") == "measured"


def pairs_of(runs):
    """Each prediction with the first measured run of the same model and batch, where both have a timeline, of steps on the same grid;
    `runs` are (label, result)."""
    def place(run):
        return run.attributes["model"], run.attributes["batch"], step_of(run).grid
    usable = [(label, run) for label, run in runs if step_of(run) is not None]
    return [(measured, predicted) for predicted in usable if not is_measured(predicted[1])
            for measured in [pair for pair in usable if is_measured(pair[1]) and place(pair[1]) == place(predicted[1])][:1]]


def draw_beside(measured, predicted):
    """Of (label, result) each: the same stages or ranks, the steps begin together."""
    steps = [(label, run, step_of(run)) for label, run in (measured, predicted)]
    duration = max(step.duration for *_, step in steps)
    height, few = steps[0][2].height(most=6)
    figure = new_figure(2 * height + 2.3, "A step as it was measured, and as it was predicted")
    panels = figure.subplots(2, 1, sharex=True)
    numbers = [0, 0]
    for axes, (label, run, step) in zip(panels, steps):
        drawn = step.draw(axes, height, few, duration)
        numbers = [a + b for a, b in zip(numbers, drawn)]
        axes.set_title(f"{KIND.get(run.attributes.get('kind'), 'measured')}: {shorten(label, 48)}, {seconds_text(step.duration)}")
    panels[1].set_xlabel(f"time since the step's begin / {seconds_unit(duration)[1]}")
    legend_of_both(panels, height)
    return Picture("timelines", f"{measured[0]} and {predicted[0]}", figure, *describe(steps, *numbers))


def legend_of_both(panels, height):
    """Above both panels of so many inches and their titles, of all that is drawn in either."""
    drawn = {}
    for axes in panels:
        for handle, name in zip(*axes.get_legend_handles_labels()):
            drawn.setdefault(name, handle)
    order = sorted(drawn, key=lambda name: list(KINDS).index(name.removeprefix(NAMED)))
    legend(panels[0], handles=[drawn[name] for name in order], labels=order, loc="lower left",
           bbox_to_anchor=(0, 1 + 0.27 / height), ncol=5, borderaxespad=0.2, handlelength=1.4, columnspacing=1.4)


def idle_share(step):
    return numpy.mean([sum(last - first for kind, first, last, _, _ in row if kind in IDLE) for row in step.blocks(0)]) / step.duration


def describe(steps, shown, missing):
    (_, _, first), (_, _, second) = steps
    error = 100 * (second.duration / first.duration - 1)
    what = "stage" if second.has_stages else "rank"
    alt = (f"Measured, the step took {seconds_text(first.duration)}, in which a {what} waited or was not in the step for"
           f" {100 * idle_share(first):.0f} % on average; predicted, {seconds_text(second.duration)} and"
           f" {100 * idle_share(second):.0f} %; {plural(len(first.rows), what)} as rows.")
    caption = f"The quickest measured step of those with a timeline; the prediction is {abs(error):.0f} % {'longer' if error > 0 else 'shorter'}."
    if missing:
        caption += f" {missing} of {shown + missing} numbers of micro-batches do not fit and are not shown."
    if first.left_out:
        caption += f" {plural(first.left_out, what)} more are not shown."
    return alt, caption
