"""Pictures by rank and by axis: phases of a step, memory, bytes by axis, bytes from rank to rank."""
import numpy

from .curves import after_warm_up
from .style import (BLACK, BLUE, GREEN, GREY, INK, ORANGE, PURPLE, SKY, VERMILLION, WIDTH, YELLOW, Picture, bytes_text,
                    bytes_unit, legend_above, new_figure, plain, plural, rows_height, seconds_text, seconds_unit, stacked_rows)

# Name, colour and hatch by the phase's name in the file; waiting is hatched.
PHASES = {
    "load": ("load", YELLOW, None), "forward": ("forward", SKY, None), "backward": ("backward", BLUE, None),
    "update": ("update", GREEN, None), "exposed_transfer": ("waiting: transfer", ORANGE, "////"),
    "dependency": ("waiting: a message (bubble)", "#F2F2F2", "...."), "straggler": ("waiting: slower rank", PURPLE, "\\\\\\\\"),
    "other": ("other", GREY, None),
}
MEMORY = {"parameters": BLUE, "gradients": ORANGE, "optimizer_state": GREEN, "activations": SKY, "communication_buffers": PURPLE, "codec_state": YELLOW}
PURPOSES = {"gradient": ORANGE, "activation": SKY, "activation_gradient": BLUE, "parameter": GREEN, "halo": PURPLE,
            "statistics": YELLOW, "norm": VERMILLION, "metric": BLACK, "control": GREY}
# Columns of bytes, which are never added up.
COLUMNS = {"wire_bytes": "sent", "window_bytes_read": "read in windows", "window_bytes_written": "written in windows",
           "modelled_wire_bytes": "sent by MPI inside, modelled", "staged_bytes": "staged"}


def rank_names(ranks):
    return [f"rank {rank}" for rank in range(ranks)] if ranks <= 16 else [str(rank) for rank in range(ranks)]


def draw_phases(label, run):
    if "steps" not in run:
        return None
    phases = {name: after_warm_up(values).mean(axis=0) for name, values in run.columns("steps/phase").items()}
    height = rows_height(run.ranks)
    figure = new_figure(height + 1.6, f"Phases of a step: {label}")
    axes = figure.subplots()
    total = sum(phases.values())
    factor, unit = seconds_unit(total.max())
    unknown = [(name, (plain(name), VERMILLION, None)) for name in phases if name not in PHASES]
    parts = [(shown, phases[name] * factor, colour, hatch) for name, (shown, colour, hatch) in [*PHASES.items(), *unknown]
             if name in phases]
    stacked_rows(axes, rank_names(run.ranks), parts, height)
    axes.set_xlabel(f"mean time per step / {unit}")
    if run.ranks > 16:
        axes.set_ylabel("rank")
    legend_above(axes)
    mean = {shown: values.mean() / factor for shown, values, _, _ in parts}
    largest = sorted(mean, key=mean.get, reverse=True)[:3]
    waiting = sum(phases[name].sum() for name in ("exposed_transfer", "dependency", "straggler") if name in phases)
    alt = (f"Stacked bars of {plural(run.ranks, 'rank')}, {seconds_text(total.mean())} a step on average; largest: "
           + ", ".join(f"{shown} {seconds_text(mean[shown])}" for shown in largest)
           + f"; waiting makes up {100 * waiting / max(total.sum(), 1e-30):.0f} %.")
    return Picture("phases", "Phases of a step, by rank", figure, alt, "Means without the first steps. Waiting is hatched: "
                   "for a message of another stage, worker or server, for a slower rank to come to a collective, or while data moves.")


def draw_memory(label, run):
    if "memory" not in run:
        return None
    columns = run.columns("memory")
    kinds = {kind: colour for kind, colour in MEMORY.items() if kind in columns}
    ranks = len(columns["rank"])
    height = rows_height(ranks)
    figure = new_figure(height + 1.4, f"Memory: {label}")
    axes = figure.subplots()
    total = sum(columns[kind].astype(float) for kind in kinds)
    factor, unit = bytes_unit(total.max())
    parts = [(kind.replace("_", " "), columns[kind] * factor, colour, None) for kind, colour in kinds.items()]
    stacked_rows(axes, rank_names(ranks), parts, height)
    axes.set_xlabel(f"memory / {unit}")
    if ranks > 16:
        axes.set_ylabel("rank")
    legend_above(axes, columns=5)
    alt = (f"Stacked bars of {plural(ranks, 'rank')}: the largest takes {bytes_text(total.max())}, of which "
           + ", ".join(f"{kind.replace('_', ' ')} {bytes_text(columns[kind][total.argmax()])}" for kind in kinds) + ".")
    return Picture("memory", "Memory, by rank", figure, alt, "What the model, its training and its communication take.")


def main_activity(run):
    """(activity, divisor, per what): training bytes per step where there are, else all of the evaluation's."""
    activities = set(run.columns("traffic")["activity"])
    if "train" in activities and "steps" in run:
        return "train", len(run.columns("steps")["seconds"]), "per step"
    return ("train" if "train" in activities else "evaluate"), 1, "in all"


def draw_axes(label, run):
    """Bytes of all ranks by axis and kind, stacked by purpose."""
    if "traffic" not in run:
        return None
    activity, divisor, per = main_activity(run)
    table = run.traffic[run.traffic.activity == activity]
    rows = [(axis, column) for axis in sorted(table.axis.unique(), key=lambda axis: (axis.count("-"), axis)) for column in COLUMNS
            if table.loc[table.axis == axis, column].sum() > 0]
    if not rows:
        return None
    sums = table.groupby(["axis", "purpose"])[list(COLUMNS)].sum() / divisor
    purposes = [purpose for purpose in [*PURPOSES, *sorted(set(table.purpose) - set(PURPOSES))]
                if (table.loc[table.purpose == purpose, list(COLUMNS)].to_numpy() > 0).any()]

    def of(axis, column, purpose):
        return sums[column].get((axis, purpose), 0.0)

    height = rows_height(len(rows))
    figure = new_figure(height + 1.5, f"Traffic by axis: {label}")
    axes = figure.subplots()
    totals = [sum(of(axis, column, purpose) for purpose in purposes) for axis, column in rows]
    factor, unit = bytes_unit(max(totals))
    parts = [(plain(purpose.replace("_", " ")), numpy.array([of(axis, column, purpose) for axis, column in rows]) * factor,
              PURPOSES.get(purpose, VERMILLION), None) for purpose in purposes]
    ends = stacked_rows(axes, [plain(f"{axis}: {COLUMNS[column]}") for axis, column in rows], parts, height)
    for row, (end, total) in enumerate(zip(ends, totals)):
        axes.annotate(bytes_text(total), (end, row), (4, 0), textcoords="offset points", va="center", fontsize=9)
    axes.set_xlim(0, ends.max() * 1.14)
    axes.set_xlabel(f"bytes of all ranks {per} / {unit}")
    legend_above(axes, columns=5)
    alt = f"Bars of the bytes of all ranks {per}: " + "; ".join(
        f"{axis} axis, {COLUMNS[column]}: {bytes_text(total)}" for (axis, column), total in zip(rows, totals)) + "."
    return Picture("axes", "Traffic by axis", figure, alt, "Messages and shared windows are not added up: a row each.")


def peer_matrices(run, activity, divisor):
    """Bytes moved [from, to]: in messages, and through shared windows (read from the owner, written to the owner)."""
    messages, windows = numpy.zeros((run.ranks, run.ranks)), numpy.zeros((run.ranks, run.ranks))
    columns = run.columns("peers")
    chosen = columns["activity"] == activity
    rank, peer = columns["rank"][chosen], columns["peer"][chosen]
    numpy.add.at(messages, (rank, peer), columns["wire_bytes"][chosen])
    numpy.add.at(windows, (peer, rank), columns["window_bytes_read"][chosen])
    numpy.add.at(windows, (rank, peer), columns["window_bytes_written"][chosen])
    return {"in messages": messages / divisor, "through shared windows": windows / divisor}


def draw_matrix(label, run):
    from matplotlib.colors import LinearSegmentedColormap, LogNorm, Normalize
    if "peers" not in run or "traffic" not in run:
        return None
    activity, divisor, per = main_activity(run)
    matrices = {kind: matrix for kind, matrix in peer_matrices(run, activity, divisor).items() if matrix.any()}
    if not matrices:
        return None
    colours = LinearSegmentedColormap.from_list("bytes", ["#DCEBF7", "#56A0D3", "#08306B"])
    figure = new_figure(3.9, f"Traffic from rank to rank: {label}", width=WIDTH if len(matrices) == 2 else 4.7)
    panels = figure.subplots(1, len(matrices), squeeze=False)[0]
    amounts = numpy.concatenate([matrix[matrix > 0] for matrix in matrices.values()])  # one scale for both panels
    wide = amounts.max() > 100 * amounts.min()
    factor, unit = (1, "") if wide else bytes_unit(amounts.max())
    norm = LogNorm(amounts.min(), amounts.max()) if wide else Normalize(0, amounts.max() * factor)
    words = []
    for axes, (kind, matrix) in zip(panels, matrices.items()):
        used = matrix[matrix > 0]
        image = axes.imshow(numpy.ma.masked_equal(matrix, 0) * factor, cmap=colours, norm=norm, interpolation="nearest")
        axes.set_facecolor("#F7F7F7")
        axes.set(xlabel="to rank", ylabel="from rank", title=kind.capitalize())
        every = max(1, 2 ** int(numpy.ceil(numpy.log2(run.ranks / 9))))
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_ticks(numpy.arange(0, run.ranks, every))
        if run.ranks <= 8:
            for i, j in zip(*numpy.nonzero(matrix)):
                dark = norm(matrix[i, j] * factor) > 0.45
                axes.text(j, i, bytes_text(matrix[i, j]).replace(" ", "\n" if run.ranks > 3 else " "), ha="center", va="center",
                          fontsize=9 if run.ranks <= 4 else 7, color="white" if dark else INK)
        words.append(f"{kind}: {plural(len(used), 'pair')} of ranks, {bytes_text(used.min())} to {bytes_text(used.max())} a pair,"
                     f" {bytes_text(matrix.sum())} in all")
    if wide:
        powers = numpy.arange(numpy.ceil(numpy.log10(amounts.min())), numpy.floor(numpy.log10(amounts.max())) + 1)
        bar = figure.colorbar(image, ax=list(panels), shrink=0.82, label=f"bytes {per}, logarithmic",
                              ticks=10.0 ** powers[::-(-len(powers) // 7) or 1], format=lambda value, _: bytes_text(value))
        bar.ax.minorticks_off()
    else:
        figure.colorbar(image, ax=list(panels), shrink=0.82, label=f"bytes {per} / {unit}")
    return Picture("matrix", "Traffic from rank to rank", figure, f"Bytes {per}, from row to column. " + "; ".join(words) + ".",
                   "From row to column; empty fields: nothing. What MPI sends inside its own collectives has no peer here.")
