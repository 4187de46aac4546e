"""One step as its ranks lived it: stages (or ranks) as rows, numbered micro-batches, waiting drawn as such."""
import numpy
from matplotlib.collections import PolyCollection

from .style import (BLUE, FRAME, GREEN, GREY, INK, NAMED, ORANGE, PURPLE, SKY, WIDTH, YELLOW, Picture, label_rows, legend_above,
                    new_figure, plural, rows_height, seconds_text, seconds_unit)

MOST_ROWS = 64
BUBBLE, TRANSFER, MESSAGE = "waiting: bubble", "waiting: transfer", "waiting: bubble or transfer"
COLLECTIVE, SERVER, OUTSIDE = "waiting: collective", "waiting: worker or server", "not in this step"
# Colour, hatch and colour of the number, in the order of the legend.
KINDS = {
    "forward": (SKY, None, INK), "backward": (BLUE, None, "white"), "backward: parameters": (GREEN, None, "white"),
    "update": (ORANGE, None, INK), "encode, decode": (YELLOW, None, INK), "other": (GREY, None, INK), BUBBLE: ("#F7F7F7", "....", INK),
    MESSAGE: ("#F7F7F7", "....", INK),
    TRANSFER: ("#FBE7C0", "////", INK), COLLECTIVE: ("#F3DCE9", "\\\\\\\\", INK),
    SERVER: ("#E3EEF9", "xxxx", INK), OUTSIDE: ("#ECECEC", None, INK),
}
LETTERS = {"forward": INK, "backward": BLUE, "backward: parameters": "#00704F"}  # of numbers on white
IDLE = (BUBBLE, MESSAGE, TRANSFER, COLLECTIVE, SERVER, OUTSIDE)


def kind_of(kind, phase, splits_backward):
    """The kind that work is drawn as."""
    if kind in ("forward", "load", "loss"):
        return "forward"
    if kind == "backward":
        return "backward: parameters" if splits_backward and phase == "parameters" else "backward"
    if kind in ("encode", "decode"):
        return "encode, decode"
    return "update" if kind == "update" else "other"


def message_key(span):
    return span.rank, span.purpose, span.microbatch, span.end_seconds


def ready_times(messages):
    """When what a wait ends with was ready, by `message_key` of the wait: the begin of the peer's send, which bears the same
    flow; no time (None) for a rank's own send, which only has to leave."""
    begins = {span.flow: span.start_seconds for span in messages.itertuples() if span.kind == "send"}
    return {message_key(span): begins.get(span.flow) if span.kind == "receive" else None for span in messages.itertuples()
            if span.kind == "send" or span.flow in begins}


def pieces_of(span, splits_backward, ready):
    """(kind, begin, end) of a span; a wait for a message is a bubble, or for a server's or worker's turn, until the message is
    ready, then a transfer."""
    begin, end = span.start_seconds, span.end_seconds
    if span.kind != "wait":
        return [(kind_of(span.kind, span.phase, splits_backward), begin, end)]
    key, between_stages = message_key(span), "pipeline" in span.axis and span.purpose.startswith("activation")
    if key not in ready:
        return [(MESSAGE if between_stages else COLLECTIVE, begin, end)]
    sent = begin if ready[key] is None else min(max(ready[key], begin), end)
    return [piece for piece in ((BUBBLE if between_stages else SERVER, begin, sent), (TRANSFER, sent, end)) if piece[2] > piece[1]]


def rows_of(grid, ranks):
    """(label, rank) of the rows: the stages of the first pipeline where there are stages, else the ranks."""
    if grid["pipeline"] > 1:
        return [(f"stage {stage}", stage * grid["tensor"]) for stage in range(grid["pipeline"])]
    return [(f"rank {rank}" if ranks <= 16 else str(rank), rank) for rank in range(ranks)]


def blocks_of(spans, splits_backward, least, ready, begin, end):
    """Consecutive spans of one kind and micro-batch as one block: [kind, begin, end, microbatch, chunk]; before and after them
    the rank is not in the step, which lasts from `begin` to `end`; between them only a server does nothing, until the next
    push. Waits shorter than `least` are left out."""
    blocks, spans = [], list(spans)
    if spans[0].start_seconds - begin > least:
        blocks.append([OUTSIDE, begin, spans[0].start_seconds, -1, -1])
    for span in spans:
        for kind, first, last in pieces_of(span, splits_backward, ready):
            chunk = span.chunk if kind.startswith(("forward", "backward")) else -1
            microbatch = span.microbatch if chunk >= 0 else -1
            before = blocks[-1] if blocks else None
            if before and first - before[2] > max(least, 0):
                blocks.append([SERVER, before[2], first, -1, -1])
                before = blocks[-1]
            if before and before[0] == kind and before[3:] == [microbatch, chunk]:
                before[2] = last
            elif last - first >= least or kind not in IDLE:
                blocks.append([kind, first, last, microbatch, chunk])
    latest = max(span.end_seconds for span in spans)
    if end - latest > least:
        blocks.append([OUTSIDE, latest, end, -1, -1])
    return blocks


def quickest_step(table):
    """The recorded step that was disturbed least, and its begin and end."""
    times = table.groupby("step").agg(begin=("start_seconds", "min"), end=("end_seconds", "max"))
    step = (times.end - times.begin).idxmin()
    return int(step), times.begin[step], times.end[step]


class Step:
    """The recorded step that was disturbed least, and the rows in which it is drawn."""

    def __init__(self, run, table):
        self.run = run
        self.step, self.begin, self.end = quickest_step(table)
        self.grid, self.schedule = run.plan_at(self.step)
        table = table[table.step == self.step].sort_values(["rank", "start_seconds"], kind="stable")
        everything = run.timeline[run.timeline.step == self.step]
        self.ready = ready_times(everything[everything.kind.isin(("send", "receive")) & (everything.flow >= 0)])
        rows = rows_of(self.grid, run.ranks)
        self.left_out, self.rows = max(0, len(rows) - MOST_ROWS), rows[:MOST_ROWS]
        self.spans = {rank: list(of_rank.itertuples()) for rank, of_rank in table.groupby("rank")}

    @property
    def duration(self):
        return self.end - self.begin

    @property
    def has_stages(self):
        return self.grid["pipeline"] > 1

    def blocks(self, least):
        """By row; waits shorter than `least` are left out."""
        splits = self.schedule.startswith("zb") and self.has_stages
        absent = [[OUTSIDE, self.begin, self.end, -1, -1]]
        return [blocks_of(self.spans[rank], splits, least, self.ready, self.begin, self.end) if rank in self.spans else absent
                for _, rank in self.rows]

    def height(self, most):
        """Inches of its rows, and whether there is room for numbers above the blocks."""
        few = len(self.rows) <= 8
        return rows_height(len(self.rows), tallest_row=0.75 if few else 0.55, most=most), few

    def draw(self, axes, height, few, duration):
        """On an axis of `duration` seconds. How many numbers of micro-batches are shown, and how many are not."""
        factor, _ = seconds_unit(duration)
        blocks = self.blocks(0.001 * duration)
        draw_blocks(axes, blocks, self.begin, factor, 0.16 if few else 0.4)
        label_rows(axes, [name for name, _ in self.rows], height)
        axes.set_xlim(0, duration * factor)
        if not self.has_stages and self.run.ranks > 16:
            axes.set_ylabel("rank")
        return number_blocks(axes, blocks, self.begin, factor, height / len(self.rows), duration, few)


def step_of(run):
    """None where no timeline was recorded."""
    if "timeline" not in run:
        return None
    table = run.timeline[run.timeline.queue == "compute"]
    return None if table.empty else Step(run, table)


def draw_timeline(label, run):
    step = step_of(run)
    if step is None:
        return None
    height, few = step.height(most=12)
    figure = new_figure(height + 1.6, f"Step {step.step}: {label}")
    axes = figure.subplots()
    shown, missing = step.draw(axes, height, few, step.duration)
    axes.set_xlabel(f"time since the step's begin / {seconds_unit(step.duration)[1]}")
    legend_above(axes, columns=5)
    return Picture("timeline", "Timeline of one step", figure,
                   *describe(run, step, shown, missing))


def draw_blocks(axes, rows, begin, factor, above):
    """`above`: how far the blocks reach above the middle of their row."""
    for kind, (colour, hatch, _) in KINDS.items():
        corners = []
        for row, blocks in enumerate(rows):
            for shown, first, last, _, _ in blocks:
                if shown == kind:
                    x0, x1 = (first - begin) * factor, (last - begin) * factor
                    corners.append([(x0, row - above), (x1, row - above), (x1, row + 0.4), (x0, row + 0.4)])
        if corners:
            # White edges part the micro-batches; they would swallow the many short spans of "other".
            axes.add_collection(PolyCollection(corners, facecolors=colour, hatch=hatch, label=NAMED + kind, linewidths=0.4,
                                               edgecolors=FRAME if hatch else colour if kind == "other" else "white"))


def number_blocks(axes, rows, begin, factor, row_inches, duration, above):
    """Micro-batches by number where they fit, else, with `above`, on two lines over the row; a later chunk of the same stage
    bears a prime for each. How many numbers are shown, and how many are not."""
    inches_per_second = (WIDTH - 1.1) / duration
    numbers, last_of_row = [], {}
    for row, blocks in enumerate(rows):
        for kind, first, last, microbatch, chunk in blocks:
            if microbatch < 0:
                continue
            same = last_of_row.get(row) == (kind, microbatch, chunk)  # parted by a short other span
            last_of_row[row] = kind, microbatch, chunk
            if not same:
                numbers.append((row, kind, (first + last) / 2, f"{microbatch}" + "′" * chunk, (last - first) * inches_per_second))

    def width(text, size):
        return len(text) * 0.64 * size / 72 + 0.012

    def fits(text, inches, size):
        return width(text, size) < inches and size / 72 < (0.5 if above else 0.8) * row_inches

    size = 8 if sum(fits(text, inches, 8) for *_, text, inches in numbers) > 0.8 * len(numbers) else 6.5
    shown, taken = 0, {}
    for row, kind, middle, text, inches in numbers:
        x, y, colour = (middle - begin) * inches_per_second, row + (0.12 if above else 0), KINDS[kind][2]
        if not fits(text, inches, size):
            wide = width(text, 6.5) + 0.02
            free = [line for line in (0, 1) if above and taken.get((row, line), 0) <= x - wide / 2 + 0.5 * wide
                    and x + wide < WIDTH - 1.1]
            if not free:
                continue
            x = max(x, taken.get((row, free[0]), 0) + wide / 2)
            taken[row, free[0]] = x + wide / 2
            y, colour = row - 0.25 - 0.17 * free[0], LETTERS[kind]
        shown += 1
        axes.text(x / inches_per_second * factor, y, text, ha="center", va="center_baseline", color=colour, clip_on=True,
                  fontsize=size if fits(text, inches, size) else 6.5)
    return shown, len(numbers) - shown


def describe(run, step, shown, missing):
    """Alternative text and caption."""
    what, blocks = "stage" if step.has_stages else "rank", step.blocks(0)
    shares = {kind: numpy.array([sum(last - first for k, first, last, _, _ in row if k == kind) for row in blocks])
              / step.duration for kind in IDLE}
    idle = sum(shares.values())
    microbatches = {block[3] for row in blocks for block in row} - {-1}
    means = ", ".join(f"{kind.removeprefix('waiting: ')} {100 * share.mean():.0f} %"
                      for kind, share in shares.items() if share.any())
    alt = (f"Step {step.step} took {seconds_text(step.duration)}; {plural(len(step.rows), what)} as rows;"
           f" micro-batches: {max(1, len(microbatches))}; a {what} waits or is not in the step for {100 * idle.min():.0f} to"
           f" {100 * idle.max():.0f} % of it" + (f" (on average: {means})." if means else "."))
    recorded = len(set(run.columns("timeline")["step"]))
    caption = f"The quickest of {recorded} recorded steps. " if recorded > 1 else ""
    caption += "Numbers are micro-batches (forward with loading and loss)" if shown else ""
    caption += f"; {missing} of {shown + missing} do not fit and are not shown. " if missing and shown else ". " if shown else ""
    if shares[BUBBLE].any() or shares[TRANSFER].any():
        caption += ("Dotted: bubbles, until the other stage begins to send; striped: while a message comes or leaves."
                    " ")
    if shares[MESSAGE].any():
        caption += "Dotted: waiting for a message whose sending was not recorded, in a bubble or while it moves. "
    if shares[OUTSIDE].any():
        caption += f"Grey ends: the {what} is not in this step yet, or no more. "
    if means:
        caption += f"Of the step, on average: {means}."
    caption = caption.rstrip()
    if step.has_stages and run.ranks > len(step.rows):
        caption += " The stages of the first pipeline; the others do the same with other samples or shares."
    if step.left_out:
        caption += f" {plural(step.left_out, what)} more: see all with partita-timeline."
    if run.clock_uncertainty_seconds:
        caption += f" Clocks of nodes may lie {seconds_text(run.clock_uncertainty_seconds)} apart."
    return alt, caption
