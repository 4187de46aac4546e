"""Every picture at 1, 2, 8 and 64 ranks: no two texts overlap, none leaves the canvas, and the numbers drawn are the file's."""
import os
import tempfile
import types

import packages

packages.require("h5py", "numpy", "pandas", "matplotlib")
import matplotlib  # noqa: E402
import numpy  # noqa: E402
import pandas  # noqa: E402
from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: E402
from matplotlib.text import Text  # noqa: E402

import many_ranks  # noqa: E402
import partita  # noqa: E402
from partita import curves, exchange, prediction, ranks, scaling, timeline  # noqa: E402
from partita.contents import Report  # noqa: E402
from partita.style import bytes_text, drawing, seconds_text  # noqa: E402


def shown_texts(figure):
    """(text, box in pixels) of everything that is written."""
    renderer = figure.canvas.get_renderer()
    for text in figure.findobj(Text):
        if text.get_visible() and text.get_text().strip():
            yield text, text.get_window_extent(renderer)


def ticks_out_of_view(figure):
    """Labels of ticks beyond the limits are kept by matplotlib and not drawn."""
    hidden = set()
    for axes in figure.axes:
        for axis, (low, high) in ((axes.xaxis, sorted(axes.get_xlim())), (axes.yaxis, sorted(axes.get_ylim()))):
            for tick in [*axis.get_major_ticks(), *axis.get_minor_ticks()]:
                slack = 1e-9 * (high - low)
                if not low - slack <= tick.get_loc() <= high + slack:
                    hidden |= {tick.label1, tick.label2}
                hidden |= {label for label in (tick.label1, tick.label2) if not label.get_visible()}
    return hidden


def check_layout(picture, what):
    figure = picture.figure
    FigureCanvasAgg(figure)  # which knows the sizes of letters
    figure.draw_without_rendering()
    hidden, (width, height) = ticks_out_of_view(figure), figure.canvas.get_width_height()
    shown = [(text.get_text(), box) for text, box in shown_texts(figure) if text not in hidden]
    assert len(shown) >= 4, (what, shown)
    names, (x0, y0, x1, y1) = [name for name, _ in shown], numpy.array([box.extents for _, box in shown]).T
    inside = (x0 >= -1) & (y0 >= -1) & (x1 <= width + 1) & (y1 <= height + 1)
    assert inside.all(), f"{what}: {names[inside.argmin()]!r} leaves the canvas"
    across = numpy.minimum.outer(x1, x1) - numpy.maximum.outer(x0, x0)
    down = numpy.minimum.outer(y1, y1) - numpy.maximum.outer(y0, y0)
    overlaps = numpy.argwhere(numpy.triu((across > 1.5) & (down > 1.5), 1))
    assert len(overlaps) == 0, f"{what}: overlapping texts: {[(names[i], names[j]) for i, j in overlaps[:5]]}"
    assert picture.alt.endswith(".") and len(picture.alt) > 40, picture.alt
    return len(shown)


def check_numbers(runs):
    run = runs["4x8x2"]
    matrices = ranks.peer_matrices(run, "train", 60)
    assert matrices["in messages"][0, 16] == 1_700_000 and matrices["in messages"][0, 2] == 409600
    assert matrices["in messages"].sum() * 60 == run.traffic.wire_bytes.sum()
    windows = matrices["through shared windows"]
    assert windows[1, 0] == 65536 and (windows > 0).sum() == 64
    assert windows.sum() * 60 == run.traffic.window_bytes_read.sum() + run.traffic.window_bytes_written.sum()
    # What rank 0 reads from rank 1 goes from 1 to 0; what it sends or writes goes from 0 to 1.
    peers = {"rank": [0, 0], "peer": [1, 1], "activity": ["train", "setup"], "wire_bytes": [10, 1], "window_bytes_read": [30, 1],
             "window_bytes_written": [50, 1]}
    one_way = types.SimpleNamespace(ranks=2, columns=lambda _: {name: numpy.array(values) for name, values in peers.items()})
    matrices = ranks.peer_matrices(one_way, "train", 10)
    assert matrices["in messages"].tolist() == [[0, 1], [0, 0]], matrices
    assert matrices["through shared windows"].tolist() == [[0, 5], [3, 0]], matrices
    check_timeline(run)
    check_moved(runs)
    panels = [axes for axes in ranks.draw_matrix("run", run).figure.axes if axes.images]
    assert len(panels) == 2 and panels[0].images[0].norm is panels[1].images[0].norm, "one scale"
    assert curves.running_mean(numpy.array([1.0, 2, 3, 4]), 2).tolist() == [1, 1.5, 2.5, 3.5]
    assert (bytes_text(1), bytes_text(45600), seconds_text(0.00152)) == ("1 B", "45.6 kB", "1.52 ms")


def check_moved(runs):
    """A run that changed its plan before the recorded step 5, or after it, has the rows of the plan that the step had."""
    run, name = runs["1x2x1"], "data={} pipeline={} tensor=1, {}"
    pipeline, data = name.format(1, 2, "zb-h1, 4 micro-batches, chunks of 3+2 layers"), "data=2 pipeline=1 tensor=1"
    for steps, before, after, labels in (((5,), data, pipeline, ["stage 0", "stage 1"]), ((6,), data, pipeline, ["rank 0", "rank 1"]),
                                         ((2, 5), pipeline, data, ["rank 0", "rank 1"])):
        run._groups["replans"] = {"replan": numpy.arange(len(steps)), "step": numpy.array(steps),
                                  "before": numpy.array([before] * len(steps), dtype=object),
                                  "after": numpy.array([before] * (len(steps) - 1) + [after], dtype=object)}
        step = timeline.step_of(run)
        assert [label for label, _ in step.rows] == labels and step.schedule == ("zb-h1" if labels[0] == "stage 0" else ""), step.rows
        assert labels[0].split()[0] in timeline.draw_timeline("moved", run).alt
        pairs = prediction.pairs_of([("a", run), ("b", predicted(run.path, 1))])  # which is on two stages
        assert len(pairs) == (labels[0] == "stage 0"), pairs
    del run._groups["replans"]


def check_timeline(run):
    """Stage 2 of 8 begins late, and each of its waits is a bubble until 0.1 ms before its end, when the message was sent."""
    table = run.timeline
    ready = timeline.ready_times(table[table.kind.isin(("send", "receive"))])
    spans = list(table[(table["rank"] == 4) & (table.queue == "compute")].sort_values("start_seconds").itertuples())
    blocks = timeline.blocks_of(spans, False, 0, ready, spans[0].start_seconds - 1, spans[-1].end_seconds + 2)
    assert [b[3] for b in blocks if b[0] == "forward"] == list(range(16)), blocks
    of = {kind: [last - first for shown, first, last, _, _ in blocks if shown == kind] for kind in timeline.KINDS}
    waits = sum(span.kind == "wait" for span in spans)
    assert numpy.allclose(of[timeline.OUTSIDE], [1, 2]) and not of[timeline.MESSAGE], of
    # 0.1 ms, and what the clocks of the ranks lie apart
    assert waits > 5 and 0.8e-4 < numpy.median(of[timeline.TRANSFER]) and max(of[timeline.TRANSFER]) < 1.9e-4, of
    waited = sum(span.end_seconds - span.start_seconds for span in spans if span.kind == "wait")
    assert abs(sum(of[timeline.BUBBLE]) + sum(of[timeline.TRANSFER]) - waited) < 1e-9 and sum(of[timeline.BUBBLE]) > 0.9 * waited
    assert abs(sum(last - first for _, first, last, _, _ in blocks) - (blocks[-1][2] - blocks[0][1])) < 1e-9, "no time is blank"
    lone = timeline.blocks_of(spans, False, 0, {}, spans[0].start_seconds, spans[-1].end_seconds)
    assert sum(b[0] == timeline.MESSAGE for b in lone) == waits and not any(b[0] == timeline.BUBBLE for b in lone)
    own = types.SimpleNamespace(kind="send", flow=3, rank=0, purpose="activation", microbatch=2, start_seconds=1.0,
                                end_seconds=5.0)
    own = timeline.ready_times(types.SimpleNamespace(itertuples=lambda: [own]))
    wait = types.SimpleNamespace(kind="wait", phase="", axis="pipeline", rank=0, purpose="activation", microbatch=2,
                                 start_seconds=4.0, end_seconds=5.0)
    assert timeline.pieces_of(wait, False, own) == [(timeline.TRANSFER, 4.0, 5.0)], own


class Synchronised(dict):
    """A training that moved so many bytes in ten steps."""
    attributes, ranks = {"kind": "measured"}, 2

    def __init__(self, moved, accuracy, ranks=2):
        super().__init__(steps={"seconds": numpy.ones(10)}, epochs={"test_accuracy": numpy.array([numpy.nan, accuracy])})
        self["traffic"] = None
        self.ranks = ranks
        self.traffic = pandas.DataFrame({"activity": ["train", "evaluate", "train"], "wire_bytes": [moved, 10 ** 9, 0],
                                         "window_bytes_read": [0, 0, moved], "window_bytes_written": [0, 0, 0]})

    def columns(self, name):
        return self[name]


def check_exchange():
    assert exchange.bytes_of_step(Synchronised(1000, 0.9)) == 200
    runs = [("all-reduce", Synchronised(8e6, 0.95)), ("int8", Synchronised(2e6, 0.949)), ("sign", Synchronised(2.5e5, 0.93))]
    picture = exchange.draw_exchange(runs)
    check_layout(picture, "exchange")
    assert "int8: 400 kB a step, 94.90 %" in picture.alt, picture.alt
    for others in (runs[:1], [runs[0], ("again", runs[0][1])], [*runs, ("three ranks", Synchronised(8e6, 0.95, 3))],
                   [runs[0], ("not evaluated", Synchronised(4e6, numpy.nan))]):
        assert exchange.draw_exchange(others) is None


def check_scaling(folder):
    runs, study = [], [(1, 1024, 8), (2, 1024, 4), (4, 1024, 2.5), (8, 1024, 2), (2, 2048, 8), (64, 1024, 1)]
    for i, (data, batch, scale) in enumerate(study):
        many_ranks.make(f"{folder}/s{i}.h5", data, 1, 1, timeline=False, batch=batch, seconds_scale=scale)
        runs.append(partita.open(f"{folder}/s{i}.h5"))
    assert scaling.differences(runs) == []
    points = scaling.points_of(runs)
    strong = {point.ranks: point for point in points if point.mode == "strong"}
    assert sorted(strong) == [1, 2, 4, 8, 64], points
    assert abs(strong[2].speed_up - 2) < 0.05 and strong[8].ideal == 8 and abs(strong[8].speed_up - 4) < 0.2, strong
    weak = {point.ranks: point for point in points if point.mode == "weak"}
    assert sorted(weak) == [1, 2] and abs(weak[2].speed_up - 2) < 0.05, weak
    check_layout(scaling.draw_scaling(points), "scaling")
    # Weak: the batch of a data rank, whatever the other axes; where every batch is the same there is but strong scaling.
    for name, grid, batch in (("w0", (1, 2, 1), 1024), ("w1", (2, 2, 1), 2048)):
        many_ranks.make(f"{folder}/{name}.h5", *grid, timeline=False, batch=batch)
    weak = [partita.open(f"{folder}/w{i}.h5") for i in (0, 1)]
    modes = {(point.mode, point.series) for point in scaling.points_of(weak + runs[:1])}
    assert ("weak", "data × pipeline, batch 1024 a data rank") in modes, modes
    assert {point.mode for point in scaling.points_of(runs[:4])} == {"strong"}
    for key, value in {"train.learning-rate": "0.5", "train.steps": "7", "pipeline.microbatches": "2", "checkpoint.every": "5", "output-x": "y"}.items():
        runs[0].config[key] = value
        assert scaling.differences(runs) == [key], key
        del runs[0].config[key]
    runs[0].config["train.gamma"] = "0.5"
    for run in runs:
        run.unused.add("train.gamma")
    assert scaling.differences(runs) == []
    runs[1].unused.clear()
    runs[1].config["train.gamma"] = "0.1"
    assert scaling.differences(runs) == ["train.gamma"]
    for run in runs[:2]:
        del run.config["train.gamma"]
    for key in ("strategy", "train.batch-per-rank", "train.seed", "grid.tensor", "checkpoint.keep", "timeline.steps", "data.dir",
                "log.mlperf", "infer.warmup"):
        runs[0].config[key] = "1"
    assert scaling.differences(runs) == []
    # Of a model that is loaded the content counts, as far as the files know it.
    for run in runs:
        run.config["load-model"] = str(run.path)
    assert scaling.differences(runs) == ["load-model"]
    for run in runs:
        run.attributes["load_model_hash"] = "c" * 64
    assert scaling.differences(runs) == []
    runs[0].attributes["load_model_hash"] = "d" * 64
    assert scaling.differences(runs) == ["load_model_hash", "load-model"]
    for run in runs:
        del run.config["load-model"], run.attributes["load_model_hash"]
    loss = curves.draw_curves([("one", runs[0])]).figure.axes[0]
    assert len(loss.get_legend().get_texts()) == 1 + (len(runs[0].columns("steps")["loss"]) >= 80)
    runs[0].attributes["kind"] = "simulated"  # a prediction has times and no losses
    assert curves.draw_curves([("predicted", runs[0])]) is None
    assert curves.draw_step_times([("predicted", runs[0])]) is not None
    del runs[0].attributes["kind"]
    return runs


def predicted(path, slower):
    """A run of `many_ranks` as if it were its prediction."""
    run = partita.open(path)
    run.path = run.path.with_name(run.path.stem + "-predicted.h5")
    run.attributes["kind"] = "simulated"
    for column in ("start_seconds", "end_seconds"):
        run.columns("timeline")[column] *= slower
    return run


def check_beside(path, name):
    """Both steps begin at the left of one axis, which is as long as the longer of them."""
    run, drawn = partita.open(path), 0
    for slower in (0.5, 1.2):
        other = predicted(path, slower)
        pairs = prediction.pairs_of([("other", predicted(path, 1)), ("a", run), ("b", other), ("c", run)])
        assert [(measured[0], guess[0]) for measured, guess in pairs] == [("a", "other"), ("a", "b")], pairs
        other.attributes["batch"] += 1
        assert len(prediction.pairs_of([("a", run), ("b", other)])) == 0, "another batch"
        picture = prediction.draw_beside(("measured run", run), ("its prediction", other))
        drawn += check_layout(picture, f"{name} beside its prediction, {slower}")
        upper, lower = picture.figure.axes
        assert upper.get_xlim() == lower.get_xlim() and upper.get_xlim()[0] == 0
        ends = [max(path.vertices[:, 0].max() for shapes in axes.collections for path in shapes.get_paths()) for axes in (upper, lower)]
        assert abs(ends[1] / ends[0] - slower) < 1e-9 and abs(max(ends) / upper.get_xlim()[1] - 1) < 1e-9, ends
        assert f"{abs(100 * (slower - 1)):.0f} % {'longer' if slower > 1 else 'shorter'}" in picture.caption, picture.caption
    return drawn


def check_predicted_scaling(folder):
    """A table of predictions is a curve of its own beside what was measured, unless it is of another training."""
    table = partita.open(f"{folder}/s0.h5")
    table.path, table.attributes["kind"] = table.path.with_name("table.h5"), "simulated"
    batches = {"strong": numpy.full(4, 1024), "weak": 1024 * 2 ** numpy.arange(4)}
    for mode, batch in batches.items():
        table._groups = {"scaling": {"row": numpy.arange(4), "ranks": 2 ** numpy.arange(4), "batch": batch,
                                     "step_seconds": batch / 1000.0, "samples_per_second": numpy.array([100.0, 180, 300, 360])}}
        points = scaling.predicted_points(table)
        assert [(p.mode, p.ranks, p.speed_up, p.ideal) for p in points] == [(mode, 1, 1, 1), (mode, 2, 1.8, 2), (mode, 4, 3, 4),
                                                                            (mode, 8, 3.6, 8)], points
        assert {p.series for p in points} == {"predicted: data, batch 1024" + (" a data rank" if mode == "weak" else "")}
        assert [p.grid for p in points] == ["one rank", "data 2", "data 4", "data 8"]
        picture = scaling.draw_scaling(points)
        assert "less than half of it from 8 ranks on" in picture.alt and picture.caption.startswith("Dashed: predicted."), picture.alt
        check_layout(picture, f"predicted {mode} scaling")
        if mode == "strong":  # beside it a grid that begins with more ranks, at half the rate
            other = [p._replace(series="predicted: other", throughput=p.throughput / 4) for p in points[1:]]
            measured = [p._replace(series="data, batch 1024", throughput=p.throughput / 3) for p in points]
            several = scaling.draw_scaling(points + other + measured)
            assert "predicted: other: 0.90 times at 8 ranks (ideal 8)" in several.alt, several.alt
            assert "strong, data, batch 1024: 3.60 times at 8 ranks" in several.alt, several.alt
            check_layout(several, "several series")
            low, _ = several.figure.axes[0].get_ylim()
            assert low <= 0.45, low  # all that is drawn lies inside
    alone, table.grid = table.grid, {"data": 1, "pipeline": 1, "tensor": 4}
    assert {p.series for p in scaling.predicted_points(table)} == {"predicted: data × tensor 4, batch 4096 a data rank"}
    table.grid = alone
    runs = [partita.open(f"{folder}/s{i}.h5") for i in (0, 1)]
    table.config["train.steps"] = "7"
    report = Report([*runs, table])
    assert "scaling.svg" in report.files and "predicted: data" in report.files["index.html"].decode()
    assert "data, batch 1024" in report.files["index.html"].decode().replace("predicted: data", "")
    table.config["train.learning-rate"] = "0.5"
    page = Report([*runs, table]).files["index.html"].decode()
    assert "differs from the runs in train.learning-rate" in page and "predicted: data" not in page
    page = Report([table]).files
    assert "scaling.svg" in page and "1 to 8" in page["index.html"].decode(), "alone"
    path = f"{folder}/1x2x1.h5"
    guess = predicted(path, 1.1)
    guess._groups["critical_path"] = {"share": numpy.arange(20), "resource": numpy.array(["kernels conv"] * 20, dtype=object),
                                      "layer": numpy.array([f"conv{i}" for i in range(20)], dtype=object),
                                      "seconds": numpy.full(20, 0.25)}
    files = Report([partita.open(path), guess]).files
    page = files["index.html"].decode()
    assert "What a step hangs on" in page and "conv14" in page and "conv15" not in page and "25.0 %" in page, "5 of 20 together"
    assert "2_1x2x1-predicted_timelines.svg" in files and b"Measured and predicted" in files["index.html"], files.keys()


def check_settings(folder):
    """Nothing that matplotlib was told before reaches a picture, and it is told again what it was; every name stands in a legend."""
    name = r"_x_$a$ 100% {b}^2 & <b>\alpha$"
    runs = [partita.open(f"{folder}/{file}.h5") for file in ("s0", "s1")]
    hostile = {"text.usetex": True, "lines.linestyle": ":", "axes.facecolor": "black", "figure.dpi": 33, "axes.formatter.use_locale": True}
    with matplotlib.rc_context(hostile), drawing():
        assert not matplotlib.rcParams["text.usetex"] and matplotlib.rcParams["figure.dpi"] == 100
        picture = curves.draw_curves([(name, runs[0]), ("_", runs[1])])
        check_layout(picture, "legend")
    shown = [text.get_text() for text in picture.figure.axes[0].get_legend().get_texts()]
    assert shown == [name.replace("$", r"\$"), "_"], shown
    parts = ranks.draw_phases("run", runs[0]).figure.axes[0].get_legend().get_texts()
    assert "forward" in [text.get_text() for text in parts]


with tempfile.TemporaryDirectory() as folder, drawing():
    runs, drawn = {}, 0
    for grid in ((1, 1, 1), (2, 1, 1), (1, 2, 1), (1, 4, 2), (4, 8, 2), (64, 1, 1)):
        name = "x".join(map(str, grid))
        many_ranks.make(os.path.join(folder, name + ".h5"), *grid)
        runs[name] = run = partita.open(os.path.join(folder, name + ".h5"))
        pictures = [draw(name, run) for draw in (ranks.draw_phases, timeline.draw_timeline, ranks.draw_axes, ranks.draw_matrix,
                                                 ranks.draw_memory)]
        assert sum(picture is None for picture in pictures) == (2 if run.ranks == 1 else 0), name
        for picture in filter(None, pictures):
            drawn += check_layout(picture, f"{name} {picture.name}")
        if name in ("1x2x1", "4x8x2"):
            drawn += check_beside(os.path.join(folder, name + ".h5"), name)
    check_numbers(runs)
    check_exchange()
    several = check_scaling(folder)
    for chosen in (several[:1], several):
        labelled = [(run.path.stem, run) for run in chosen]
        for picture in (curves.draw_curves(labelled), curves.draw_step_times(labelled)):
            drawn += check_layout(picture, picture.name)
    check_predicted_scaling(folder)
    check_settings(folder)
    print(f"{drawn} texts apart from each other")
