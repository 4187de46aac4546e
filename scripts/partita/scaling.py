"""Several runs beside each other: what they differ in, and how the throughput grows with the ranks."""
import collections

import numpy

from .curves import after_warm_up
from .key_roles import ROLES
from .style import NAMED, RUN_COLOURS, RUN_MARKERS, WIDTH, Picture, legend, new_figure, plural

# What a result itself states of the content that keys of a role name; None where it does not know.
CONTENTS = {
    "data_set": ("dataset_hash", lambda run: run.attributes["dataset_hash"]),
    "start": ("load_model_hash", lambda run: run.attributes.get("load_model_hash", None if "load-model" in run.config else "")),
    "table": ("all_reduce_table", lambda run: run.environment.get("all_reduce_table")),
    "machine": ("machine_hash", lambda run: run.environment.get("machine_hash")),
}
KINDS = {"measured": "", "simulated": "predicted: ", "virtual": "on a machine's clock: "}  # before the name of a series
# In which a table of predictions may differ from the runs beside it: it has no steps.
OF_TABLES = ("kind", "machine", "train.steps", "train.epochs", "evaluate.every")
PREDICTED = KINDS["simulated"]
Point = collections.namedtuple("Point", "mode series grid ranks batch runs throughput speed_up ideal")


def throughput(run):
    """Samples per second of training without the first steps, as the figure of merit."""
    if "steps" not in run:
        return numpy.nan
    steps = run.columns("steps")
    return after_warm_up(steps["samples"]).sum() / max(after_warm_up(steps["seconds"]).sum(), 1e-30)


def differences(runs, whatever=()):
    """What forbids to read runs as one study, as partita-compare has it: keys in which they differ, other than those of the grid
    and the batch and what changes neither results nor times. Of a file that a key names the content counts; what no run uses
    differs in nothing. `whatever`: attributes, roles and keys that may differ."""
    found = [name for name in ("model", "precision", "kind")
             if name not in whatever and len({run.attributes.get(name) for run in runs}) > 1]
    if len({run.environment.get("clock_machine_hash") for run in runs}) > 1:
        found.append("clock_machine_hash")
    silent = {"split", "batch", "draw", "none", *whatever}
    if all(run.config.get("sync.algorithm", "auto") != "auto" or "sync.algorithm" in run.unused for run in runs):
        silent.add("table")  # nobody looks anything up
    if not any("machine" in run.config and "machine" not in run.unused for run in runs):
        silent.add("machine")  # what ships with a version belongs to the version
    for role, (name, content_of) in CONTENTS.items():
        contents = {content_of(run) for run in runs}
        if role not in silent and None not in contents:
            found += [name] * (len(contents) > 1)
            silent |= {role} if len(contents) == 1 else set()
    keys = {key for run in runs for key in run.config if ROLES.get(key, "choice") not in silent and key not in run.unused} - set(whatever)
    return found + sorted(key for key in keys if len({str(run.config.get(key)) for run in runs}) > 1)


def split_of(run):
    return " × ".join(axis for axis, extent in run.grid.items() if extent > 1)


def grid_text_of(grid):
    return " × ".join(f"{axis} {extent}" for axis, extent in grid.items() if extent > 1) or "one rank"


def grid_text(run):
    return grid_text_of(run.grid)


def points_of(runs):
    """Points of strong and weak scaling: the median of repetitions against the fewest ranks of the same series. All runs are of
    one kind."""
    points, kind = [], KINDS[runs[0].attributes.get("kind", "measured")] if runs else ""
    for mode, fixed in (("strong", lambda run: run.attributes["batch"]),
                        ("weak", lambda run: run.attributes["batch"] / run.grid["data"])):
        groups = collections.defaultdict(list)
        for run in runs:
            groups[fixed(run)].append(run)
        for value, members in sorted(groups.items()):
            if mode == "weak" and len({run.attributes["batch"] for run in members}) == 1:
                continue  # the same as strong
            for split in sorted({split_of(run) for run in members} - {""}):
                series = kind + f"{split}, batch {value:g}" + (" a data rank" if mode == "weak" else "")
                points += points_of_series(mode, series, [run for run in members if split_of(run) in ("", split)])
    return points


def points_of_series(mode, series, runs):
    by_grid = collections.defaultdict(list)
    for run in runs:
        by_grid[run.ranks, grid_text(run), run.attributes["batch"]].append(throughput(run))
    if len({ranks for ranks, _, _ in by_grid}) < 2:
        return []
    median = {key: float(numpy.median(values)) for key, values in sorted(by_grid.items())}
    fewest = min(ranks for ranks, _, _ in median)
    base = max(value for (ranks, _, _), value in median.items() if ranks == fewest)
    return [Point(mode, series, grid, ranks, batch, len(by_grid[ranks, grid, batch]), value, value / base, ranks / fewest)
            for (ranks, grid, batch), value in median.items()]


def predicted_points(run):
    """Those of a table of `partita-simulate --scaling`, whose data axis grows."""
    table, others = run.columns("scaling"), run.grid["pipeline"] * run.grid["tensor"]
    if len(table["ranks"]) < 2:
        return []
    split = " × ".join(["data"] + [f"{axis} {run.grid[axis]}" for axis in ("pipeline", "tensor") if run.grid[axis] > 1])
    strong = len(set(table["batch"])) == 1
    batch = f"batch {table['batch'][0]}" if strong else f"batch {table['batch'][0] * others / table['ranks'][0]:g} a data rank"
    grids = [grid_text_of({**run.grid, "data": int(ranks) // others}) for ranks in table["ranks"]]
    return [Point("strong" if strong else "weak", f"{KINDS['simulated']}{split}, {batch}", grid, int(ranks), int(samples), 1, rate,
                  rate / table["samples_per_second"][0], ranks / table["ranks"][0])
            for grid, ranks, samples, rate in zip(grids, table["ranks"], table["batch"], table["samples_per_second"])]


def kind_of(point):
    """What stands before the name of a point's series."""
    return next(kind for kind in sorted(KINDS.values(), reverse=True) if point.series.startswith(kind))


def draw_scaling(points):
    """Speed-up over ranks with the ideal line, a panel for strong and one for weak scaling."""
    modes = [mode for mode in ("strong", "weak") if any(point.mode == mode for point in points)]
    if not modes:
        return None
    figure = new_figure(4.3, "Scaling", width=WIDTH if len(modes) == 2 else 5.0)
    panels = figure.subplots(1, len(modes), squeeze=False)[0]
    words = []
    for axes, mode in zip(panels, modes):
        mine = [point for point in points if point.mode == mode]
        ranks = sorted({point.ranks for point in mine})
        fewest = ranks[0]
        axes.plot([fewest, ranks[-1]], [1, ranks[-1] / fewest], color="black", linestyle=":", linewidth=1.4, label=NAMED + "ideal")
        base = {}  # throughput of the fewest ranks, by kind of run and batch
        for point in mine:
            if point.ranks == fewest:
                of = kind_of(point), point.batch
                base[of] = max(base.get(of, 0), point.throughput)
        drawn = []
        for i, series in enumerate(dict.fromkeys(point.series for point in mine)):
            of_series = [point for point in mine if point.series == series]
            best = {}
            for point in of_series:
                # What begins with more ranks stands beside what is alike and begins with the fewest; alone it begins as if ideal.
                of = kind_of(point), point.batch
                later = mode == "strong" and of_series[0].ranks > fewest and of in base
                speed_up = point.throughput / base[of] if later else point.speed_up * of_series[0].ranks / fewest
                best[point.ranks] = max(best.get(point.ranks, 0), speed_up)
            drawn += best.values()
            style = {"color": RUN_COLOURS[i % len(RUN_COLOURS)], "marker": RUN_MARKERS[i % len(RUN_MARKERS)],
                     "linestyle": "--" if series.startswith(PREDICTED) else "-"}
            axes.plot(list(best), list(best.values()), linewidth=1.6, markersize=5.5, label=NAMED + series, **style)
            last = max(best)
            words.append(f"{mode}, {series}: {best[last]:.2f} times at {plural(last, 'rank')} (ideal {last / fewest:g})")
            poor = [ranks for ranks, speed_up in best.items() if speed_up < 0.5 * ranks / fewest]
            if poor and series.startswith(PREDICTED):
                words[-1] += f", less than half of it from {plural(min(poor), 'rank')} on"
        plain_log_axes(axes, ranks, drawn + [ranks[-1] / fewest])
        axes.set(xlabel="ranks", ylabel=f"throughput ÷ that of {plural(fewest, 'rank')}",
                 title="Strong scaling: the same batch" if mode == "strong" else "Weak scaling: the same batch on each data rank")
        axes.grid()
        legend(axes, loc="upper left")
    return Picture("scaling", "Scaling", figure, "Speed-up over the number of ranks. " + "; ".join(words) + ".",
                   ("Dashed: predicted. " if any(point.series.startswith(PREDICTED) for point in points) else "")
                   + "Medians of repetitions; both axes are logarithmic, so that the ideal line is straight.")


def plain_log_axes(axes, ranks, values):
    """Logarithmic to the base 2 with plain numbers, ticks far enough apart to be read."""
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator
    axes.set_xscale("log", base=2)
    axes.set_yscale("log", base=2)
    shown = ranks[-1:]
    for count in reversed(ranks):
        if shown[-1] / count >= max(1.2, (ranks[-1] / ranks[0]) ** 0.08):
            shown.append(count)
    powers = [2.0 ** e for e in range(int(numpy.floor(numpy.log2(min(values)))), int(numpy.ceil(numpy.log2(max(values)))) + 1)]
    for axis, ticks in ((axes.xaxis, shown), (axes.yaxis, powers)):
        axis.set_major_locator(FixedLocator(ticks))
        axis.set_minor_locator(NullLocator())
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.set_ylim(min(powers[0], 0.9), max(values) * 1.35)
