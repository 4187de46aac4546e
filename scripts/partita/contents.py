"""What a report says: the sections of the page in order, with their tables and pictures."""
import io
import re

import numpy

from . import curves, exchange, prediction, ranks, scaling, timeline
from .page import Page
from .style import bytes_text, number, plural, readable, seconds_text, shorten

RANK_PICTURES = (ranks.draw_phases, timeline.draw_timeline, ranks.draw_axes, ranks.draw_matrix, ranks.draw_memory)
NO_TIMELINE = "This run recorded no timeline: run it again with --timeline.steps=2 to see its step, its bubbles and its waiting."
NO_PEERS = ("This file does not say between which ranks bytes moved, as those of older versions do not: run again to see the"
            " traffic from rank to rank.")


def labels_of(runs):
    """Short names that differ: the file's, with its folder or a number where needed."""
    labels = [readable(run.path.stem) for run in runs]
    if len(set(labels)) < len(labels):
        labels = [readable(f"{run.path.absolute().parent.name}/{run.path.stem}") for run in runs]
    if len(set(labels)) < len(labels):
        labels = [f"{i + 1}: {label}" for i, label in enumerate(labels)]
    return labels


class Report:
    """The page and its pictures: `files` by name."""

    def __init__(self, runs):
        self.runs = list(zip(labels_of(runs), runs))
        self.page = Page("Partita: " + (self.runs[0][0] if len(runs) == 1 else plural(len(runs), "run")))
        self.files = {}
        self.overview()
        self.training()
        if len(runs) > 1 or "scaling" in runs[0]:
            self.scaling()
        self.predictions()
        for label, run in self.runs:
            self.one_run(label, run)
        self.files["index.html"] = self.page.html().encode("utf-8")

    def add(self, picture, prefix=""):
        if picture is None:
            return False
        name = prefix + picture.name
        for suffix, keys in (("png", {}), ("svg", {"metadata": {"Date": None}})):
            content = io.BytesIO()
            picture.figure.savefig(content, format=suffix, **keys)
            self.files[f"{name}.{suffix}"] = content.getvalue()
            picture.figure.set_layout_engine("none")  # what lies where is found once
        self.page.picture(picture, self.files[f"{name}.svg"], [f"{name}.png", f"{name}.svg"])
        return True

    def overview(self):
        page = self.page
        page.section("Overview")
        page.table("Runs", ("run", "model", "data", "grid", "ranks", "batch", "precision", "steps", "samples/s", "test accuracy",
                            "status"), [self.overview_row(label, run) for label, run in self.runs])
        for label, run in self.runs:
            if run.attributes["status"] != "complete":
                meaning = {"running": "the run had not ended, or was killed, when this was written",
                           "aborted": "the run was aborted", "invalid": "its numbers must not be used"}
                page.note(f"{label} is {run.attributes['status']}: {meaning.get(run.attributes['status'], '')}.", wrong=True)

    @staticmethod
    def overview_row(label, run):
        a = run.attributes
        steps = len(run.columns("steps")["seconds"]) if "steps" in run else 0
        accuracy = run.columns("epochs")["test_accuracy"] if "epochs" in run else numpy.empty(0)
        accuracy = accuracy[numpy.isfinite(accuracy)]
        if "scaling" in run:  # a table of many grids
            ranks = run.columns("scaling")["ranks"]
            return (label, a["model"], a["dataset"], "", (f"{ranks[0]} to {ranks[-1]}",), (a["batch"],), a["precision"], (0,), "", "",
                    a["status"])
        return (label, a["model"], a["dataset"], scaling.grid_text(run), (run.ranks,), (a["batch"],), a["precision"], (steps,),
                (number(scaling.throughput(run)) if steps else "",), (f"{100 * accuracy[-1]:.2f} %" if len(accuracy) else "",),
                a["status"])

    def training(self):
        pictures = [curves.draw_curves(self.runs), curves.draw_step_times(self.runs), curves.draw_latencies(self.runs),
                    exchange.draw_exchange(self.runs)]
        if any(pictures):
            self.page.section("Over time")
            for picture in pictures:
                self.add(picture)

    def scaling(self):
        page = self.page
        page.section("Scaling")
        usable = [run for _, run in self.runs if "steps" in run and run.attributes["status"] in ("complete", "running")]
        points, differ = [], False
        for kind in dict.fromkeys(run.attributes.get("kind", "measured") for run in usable):
            of_kind = [run for run in usable if run.attributes.get("kind", "measured") == kind]
            found = scaling.differences(of_kind)
            points += [] if found else scaling.points_of(of_kind)
            differ = differ or bool(found)
            if found:
                page.note("No scaling plot" + (f" of the {kind} runs" if len(of_kind) < len(usable) else "") + ": it wants runs that"
                          " differ only in the grid and the batch; these differ in " + ", ".join(found) + ".")
        points += self.predicted_scaling(usable)
        if not self.add(scaling.draw_scaling(points)) and not differ:
            page.note("No scaling plot: it wants runs on different numbers of ranks, with the same batch in all or on each"
                      " data rank.")
        counts = sorted({len(run.columns("steps")["seconds"]) for run in usable})
        if points and len(counts) > 1:
            page.note(f"The runs did different numbers of steps, {counts[0]:,} to {counts[-1]:,}: the throughput of a few steps is"
                      " less certain.")
        if points:
            page.table("Speed-up and efficiency", ("series", "scaling", "grid", "ranks", "batch", "runs", "samples/s", "speed-up",
                                                   "ideal", "efficiency"),
                       [(p.series, p.mode, p.grid, (p.ranks,), (p.batch,), (p.runs,), (number(p.throughput),),
                         (f"{p.speed_up:.2f}",), (f"{p.ideal:g}",), (f"{100 * p.speed_up / p.ideal:.0f} %",)) for p in points])

    def predicted_scaling(self, measured):
        """Points of the tables of predictions, of those that are of the same training as all that was measured."""
        points = []
        for label, run in self.runs:
            differ = scaling.differences([*measured, run], whatever=scaling.OF_TABLES) if "scaling" in run else []
            if differ:
                self.page.note(f"The scaling that {label} predicts is not shown: it differs from the runs in {', '.join(differ)}.")
            elif "scaling" in run:
                points += scaling.predicted_points(run)
        return points

    def predictions(self):
        pairs = prediction.pairs_of(self.runs)
        if pairs:
            self.page.section("Measured and predicted")
        for measured, predicted in pairs:
            self.add(prediction.draw_beside(measured, predicted), self.prefix(*predicted))

    def prefix(self, label, run):
        """Before the names of a run's pictures."""
        place = next(i for i, (_, other) in enumerate(self.runs) if other is run)
        return f"{place + 1}_" + re.sub(r"[^A-Za-z0-9.-]+", "_", label)[:60] + "_"

    def one_run(self, label, run):
        page = self.page
        several = len(self.runs) > 1
        page.section(f"Run {label}" if several else "Ranks")
        prefix = self.prefix(label, run) if several else ""
        for draw in RANK_PICTURES:
            drawn = self.add(draw(shorten(label, 48), run), prefix)
            if drawn or "steps" not in run:
                continue
            if draw is timeline.draw_timeline:
                page.note(NO_TIMELINE)
            elif draw is ranks.draw_matrix and run.ranks > 1 and "peers" not in run:
                page.note(NO_PEERS)
        if not several:
            page.section("Numbers")
        self.tables(run)

    def tables(self, run):
        page = self.page
        if "figures" in run:
            page.table("Figures of merit", ("figure", "value", "unit"),
                       [(row.name, (number(row.value),), row.unit) for row in run.figures.itertuples(index=False)])
        if "critical_path" in run:
            self.path_table(run)
        if "traffic" in run:
            self.traffic_table(run)
        if "benchmarks" in run:
            grouped = run.benchmarks.groupby(["name", "parameters", "unit"], sort=False).value
            page.table("Benchmarks", ("benchmark", "parameters", "median", "unit", "samples"),
                       [(name, parameters, (number(values.median()),), unit, (len(values),))
                        for (name, parameters, unit), values in grouped])
        if "model" in run:
            page.table("Layers", ("layer", "kind", "output", "parameters", "FLOP per sample", "stage", "placement"),
                       [(row.name, row.kind, row.output, (number(row.parameters),), (number(row.flops_per_sample),), (row.stage,),
                         row.placement) for row in run.model.itertuples(index=False)])
        self.environment_tables(run)
        page.table("Attributes", ("attribute", "value"),
                   [(name, value) for name, value in run.attributes.items() if name != "config"], long=True)
        page.preformatted("Configuration", run.attributes["config"])

    def path_table(self, run):
        path, shown = run.critical_path, 15
        whole = path.seconds.sum()
        rows = [(row.resource, row.layer, (seconds_text(row.seconds),), (f"{100 * row.seconds / whole:.1f} %",))
                for row in path[:shown].itertuples(index=False)]
        rest = path.seconds[shown:].sum()
        if len(path) > shown:
            rows.append((f"{len(path) - shown} others", "", (seconds_text(rest),), (f"{100 * rest / whole:.1f} %",)))
        self.page.table("What a step hangs on", ("resource", "layer", "time", "of the step"), rows)

    def traffic_table(self, run):
        activity, divisor, per = ranks.main_activity(run)
        table = run.traffic[run.traffic.activity == activity]
        columns = ["calls", "messages", "payload_bytes", *ranks.COLUMNS]
        sums = table.groupby(["axis", "operation", "purpose"])[columns].sum(min_count=1) / divisor
        waited = table.groupby(["axis", "operation", "purpose"])[["exposed_seconds", "hidden_seconds"]].sum() / divisor
        if sums.empty:
            return
        shown = [c for c in columns if sums[c].any(skipna=False)]
        heads = {"payload_bytes": "payload", **ranks.COLUMNS}
        self.page.table(
            f"Traffic of all ranks {per}",
            ("axis", "operation", "purpose", *(heads.get(c, c) for c in shown), "exposed", "hidden"),
            [(*key, *((bytes_text(row[c]) if "bytes" in c else number(row[c]),) for c in shown),
              *((seconds_text(value),) for value in waited.loc[key])) for key, row in sums.iterrows()])

    def environment_tables(self, run):
        rows = [(name, value) for name, value in sorted(run.environment.items())]
        if rows:
            self.page.table("Environment", ("what", "value"), rows, long=True)
        if "environment" in run:
            grouped = run.ranks_table.reset_index().groupby(["host", "cpu_model", "cores", "device"], sort=False)["rank"]
            self.page.table("Where the ranks ran", ("ranks", "host", "CPU", "cores a rank", "device"),
                            [(ranges_text(sorted(members)), host, cpu, (cores,), device)
                             for (host, cpu, cores, device), members in grouped])


def ranges_text(numbers):
    """0–3, 6, 8–9"""
    ranges = []
    for value in numbers:
        if ranges and ranges[-1][1] == value - 1:
            ranges[-1][1] = value
        else:
            ranges.append([value, value])
    return ", ".join(f"{first}" if first == last else f"{first}–{last}" for first, last in ranges)
