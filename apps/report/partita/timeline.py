"""One step as its ranks lived it: stages (or ranks) as rows, numbered micro-batches, waiting drawn as such."""
import numpy
from matplotlib.collections import PolyCollection

from .style import (BLUE, FRAME, GREEN, GREY, INK, ORANGE, PURPLE, SKY, WIDTH, Picture, label_rows, legend_above, new_figure,
                    plural, rows_height, seconds_text, seconds_unit)

MOST_ROWS = 64
# Colour, hatch and colour of the number, in the order of the legend.
KINDS = {
    "forward": (SKY, None, INK), "backward": (BLUE, None, "white"), "backward: parameters": (GREEN, None, "white"),
    "update": (ORANGE, None, INK), "other": (GREY, None, INK), "waiting for another stage": ("#F7F7F7", "....", INK),
    "waiting for a collective": ("#F3DCE9", "\\\\\\\\", INK),
}


def kind_of(kind, phase, axis, purpose, splits_backward):
    """The kind that a span is drawn as."""
    if kind == "wait":
        message = "pipeline" in axis and purpose.startswith("activation")
        return "waiting for another stage" if message else "waiting for a collective"
    if kind in ("forward", "load", "loss"):
        return "forward"
    if kind == "backward":
        return "backward: parameters" if splits_backward and phase == "parameters" else "backward"
    return "update" if kind == "update" else "other"


def rows_of(run):
    """(label, rank) of the rows: the stages of the first pipeline where there are stages, else the ranks."""
    grid = run.grid
    if grid["pipeline"] > 1:
        return [(f"stage {stage}", stage * grid["tensor"]) for stage in range(grid["pipeline"])]
    return [(f"rank {rank}" if run.ranks <= 16 else str(rank), rank) for rank in range(run.ranks)]


def blocks_of(spans, splits_backward, least):
    """Consecutive spans of one kind and micro-batch as one block: [kind, begin, end, microbatch, chunk]."""
    blocks = []
    for span in spans:
        kind = kind_of(span.kind, span.phase, span.axis, span.purpose, splits_backward)
        chunk = span.chunk if kind.startswith(("forward", "backward")) else -1
        microbatch = span.microbatch if chunk >= 0 else -1
        last = blocks[-1] if blocks else None
        if last and last[0] == kind and last[3:] == [microbatch, chunk]:
            last[2] = span.end_seconds
        elif span.end_seconds - span.start_seconds >= least or not kind.startswith("waiting"):
            blocks.append([kind, span.start_seconds, span.end_seconds, microbatch, chunk])
    return blocks


def quickest_step(table):
    """The recorded step that was disturbed least, and its begin and end."""
    times = table.groupby("step").agg(begin=("start_seconds", "min"), end=("end_seconds", "max"))
    step = (times.end - times.begin).idxmin()
    return int(step), times.begin[step], times.end[step]


def draw_timeline(label, run):
    if "timeline" not in run:
        return None
    table = run.timeline[run.timeline.queue == "compute"]
    if table.empty:
        return None
    step, begin, end = quickest_step(table)
    table = table[table.step == step].sort_values(["rank", "start_seconds"], kind="stable")
    rows = rows_of(run)
    left_out, rows = max(0, len(rows) - MOST_ROWS), rows[:MOST_ROWS]
    splits_backward = run.config.get("pipeline.schedule", "").startswith("zb") and run.grid["pipeline"] > 1
    least = 0.001 * (end - begin)
    by_rank = {rank: blocks_of(spans.itertuples(), splits_backward, least) for rank, spans in table.groupby("rank")}
    height = rows_height(len(rows), tallest_row=0.55, most=12)
    figure = new_figure(height + 1.5, f"Step {step}: {label}")
    axes = figure.subplots()
    factor, unit = seconds_unit(end - begin)
    draw_blocks(axes, [by_rank.get(rank, []) for _, rank in rows], begin, factor)
    label_rows(axes, [name for name, _ in rows], height)
    axes.set_xlim(0, (end - begin) * factor)
    axes.set_xlabel(f"time since the step's begin / {unit}")
    if run.grid["pipeline"] == 1 and run.ranks > 16:
        axes.set_ylabel("rank")
    number_blocks(axes, [by_rank.get(rank, []) for _, rank in rows], begin, factor, height / len(rows), end - begin)
    legend_above(axes, columns=5)
    return Picture("timeline", "Timeline of one step", figure, *describe(run, rows, by_rank, step, begin, end, left_out))


def draw_blocks(axes, rows, begin, factor):
    for kind, (colour, hatch, _) in KINDS.items():
        corners = []
        for row, blocks in enumerate(rows):
            for shown, first, last, _, _ in blocks:
                if shown == kind:
                    x0, x1 = (first - begin) * factor, (last - begin) * factor
                    corners.append([(x0, row - 0.4), (x1, row - 0.4), (x1, row + 0.4), (x0, row + 0.4)])
        if corners:
            # White edges part the micro-batches; they would swallow the many short spans of "other".
            axes.add_collection(PolyCollection(corners, facecolors=colour, hatch=hatch, label=kind, linewidths=0.4,
                                               edgecolors=FRAME if hatch else colour if kind == "other" else "white"))


def number_blocks(axes, rows, begin, factor, row_inches, duration):
    """Micro-batches by number where they fit; a later chunk of the same stage bears a prime for each."""
    inches_per_second = (WIDTH - 1.1) / duration
    numbers = [(row, kind, (first + last) / 2, f"{microbatch}" + "′" * chunk, (last - first) * inches_per_second)
               for row, blocks in enumerate(rows) for kind, first, last, microbatch, chunk in blocks if microbatch >= 0]

    def fits(text, inches, size):
        return len(text) * 0.64 * size / 72 + 0.012 < inches and size / 72 < 0.8 * row_inches

    size = 8 if sum(fits(text, inches, 8) for *_, text, inches in numbers) > 0.8 * len(numbers) else 6.5
    for row, kind, middle, text, inches in numbers:
        if fits(text, inches, size):
            axes.text((middle - begin) * factor, row, text, ha="center", va="center_baseline", fontsize=size,
                      color=KINDS[kind][2], clip_on=True)


def describe(run, rows, by_rank, step, begin, end, left_out):
    """Alternative text and caption."""
    what = "stage" if run.grid["pipeline"] > 1 else "rank"
    waiting = numpy.array([sum(last - first for kind, first, last, _, _ in by_rank.get(rank, []) if kind.startswith("waiting"))
                           for _, rank in rows]) / (end - begin)
    microbatches = {block[3] for blocks in by_rank.values() for block in blocks} - {-1}
    alt = (f"Step {step} took {seconds_text(end - begin)}; {plural(len(rows), what)} as rows;"
           f" micro-batches: {max(1, len(microbatches))}; a {what} waits {100 * waiting.min():.0f} to {100 * waiting.max():.0f} %"
           " of the step.")
    recorded = len(set(run.columns("timeline")["step"]))
    caption = f"The quickest of {recorded} recorded steps. " if recorded > 1 else ""
    caption += "Numbers are micro-batches (forward with loading and loss); dotted stretches are bubbles."
    if run.grid["pipeline"] > 1 and run.ranks > len(rows):
        caption += " The stages of the first pipeline; the others do the same with other samples or shares."
    if left_out:
        caption += f" {plural(left_out, what)} more: see all with partita-timeline."
    if run.clock_uncertainty_seconds:
        caption += f" Clocks of nodes may lie {seconds_text(run.clock_uncertainty_seconds)} apart."
    return alt, caption
