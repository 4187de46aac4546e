"""partita-simulate and partita-plan: a prediction has the bytes, memory and instructions of the run; plans are run files that run; bad input.

Usage: predict_test.py MPIEXEC PARTITA_TRAIN PARTITA_SIMULATE PARTITA_PLAN PARTITA_COMPARE SOURCE_FOLDER
"""
import csv
import json
import os
import pathlib
import re
import sys
import tempfile

import h5py
import numpy

sys.path.append(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import jobs

mpiexec, train, simulate, plan, compare = sys.argv[1:6]
source = pathlib.Path(sys.argv[6])
folder = pathlib.Path(tempfile.mkdtemp())


def run(*command, expected=0):
    ended = jobs.run(command)
    assert ended.returncode == expected, (command, ended.returncode, ended.stdout, ended.stderr)
    return ended


def rows(group):
    return {name: column[()] for name, column in group.items()}


def training_traffic(file):
    traffic = rows(file["traffic"])
    wanted = traffic["activity"] == b"train"
    counts = [name for name in traffic if name.endswith("bytes") or "bytes_" in name or name in ("calls", "messages")]
    keys = zip(traffic["rank"][wanted], traffic["axis"][wanted], traffic["operation"][wanted], traffic["purpose"][wanted])
    table = {}
    for i, key in enumerate(keys):
        table[key] = {name: int(traffic[name][wanted][i]) for name in counts}
    return table


GRIDS = {  # run file, ranks, keys
    "data": ("digits_mlp.ini", 2, []),
    "pipeline": ("digits_lenet5_pipeline.ini", 2, ["--grid.data=1", "--grid.pipeline=2", "--grid.tensor=1"]),
    "hybrid": ("digits_cnn_hybrid.ini", 4, ["--grid.data=2", "--grid.pipeline=1", "--grid.tensor=2"]),
    "uneven": ("digits_mlp.ini", 3, ["--train.batch=100", "--grid.data=3"]),
    "norms": ("digits_cnn_batchnorm.ini", 2, []),
}
for name, (config, ranks, keys) in GRIDS.items():
    measured, predicted = folder / f"{name}.h5", folder / f"{name}-predicted.h5"
    keys = ["--config", source / "inputs/runs" / config, *keys, "--train.steps=3", "--evaluate.every=0", "--timeline.first=0",
            "--timeline.steps=1"]
    run(mpiexec, "-n", ranks, train, *keys, "--output", measured)
    run(simulate, *keys, f"--ranks={ranks}", "--output", predicted)
    with h5py.File(measured) as m, h5py.File(predicted) as p:
        assert p.attrs["kind"] == b"simulated" or p.attrs["kind"] == "simulated"
        assert "kind" not in m.attrs
        assert training_traffic(p) == training_traffic(m), name
        for kind in ("parameters", "gradients", "optimizer_state", "activations", "communication_buffers"):
            assert (p["memory"][kind][()] == m["memory"][kind][()]).all(), (name, kind)
        assert (p["steps/samples"][()] == m["steps/samples"][()]).all()
        for key in ("grid", "algorithm", "batch", "config_hash", "model"):
            assert p.attrs[key] == m.attrs[key], (name, key, p.attrs[key], m.attrs[key])
        assert {c: v.tolist() for c, v in rows(p["reductions"]).items()} == {c: v.tolist() for c, v in rows(m["reductions"]).items()}, name
        for rank in range(ranks):  # the same instructions in the same order
            def told(file):
                t = rows(file["timeline"])
                mine = (t["rank"] == rank) & (t["queue"] == b"compute")
                order = numpy.lexsort((t["end_seconds"][mine], t["start_seconds"][mine]))
                return [tuple(t[c][mine][i] for c in ("kind", "phase", "layer", "microbatch")) for i in range(mine.sum())], order
            assert told(p)[0] == told(m)[0], name
    shown = run(compare, measured, predicted).stdout
    assert "prediction" in shown and "better" in shown, shown

    with h5py.File(predicted) as p:  # the parts of the step
        path = rows(p["critical_path"])
        step = dict(zip(p["figures/name"][()], p["figures/value"][()]))[b"step_time_predicted"]
        assert abs(sum(path["seconds"]) - step) < 1e-12 and sorted(path["seconds"], reverse=True) == list(path["seconds"]), (path, step)
print("predictions have the run's bytes, memory and instructions")

# One rank has nothing but kernels on its path; on a network that hardly moves the step hangs on it.
mlp = ["--config", source / "inputs/runs/digits_mlp.ini"]
shown = run(simulate, *mlp).stdout
path = re.search(r"critical path: resource share\n((?:  .*\n)+)", shown)[1].splitlines()
assert all(line.startswith("  kernels ") for line in path) and sum(float(line.split()[-2]) for line in path) > 99.5, path
assert "critical path: by layer\n" in shown, shown
slow = run(simulate, *mlp, "--ranks=4", "--machine", source / "inputs/machines/fat-tree.machine", "--sync.algorithm=ring",
           "--what-if=network.latency=100000x").stdout
path = re.search(r"critical path: resource share\n((?:  .*\n)+)", slow)[1].splitlines()
assert path[0].startswith("  network.node.latency ") and float(path[0].split()[-2]) > 95, path

# Nothing is guessed where that is forbidden: neither by the shipped machine, which has no kernels, nor by one of a few others.
few = folder / "few.machine"
few.write_text((source / "inputs/machines/default.machine").read_text()
               + "kernel implementation=cpu kernel=linear+relu phase=forward type=float32 shape=7x784x128 runs=1 median_seconds=2e-4"
               " lower_quartile_seconds=1e-4 upper_quartile_seconds=3e-4\n")
for program in ([simulate], [simulate, "--scaling=1..4"], [plan, "--ranks=2"]):
    for machine, words in ((source / "inputs/machines/default.machine", ("cpu linear+relu forward float32", "would be modelled",
                                                                         "no such kernel of any shape")),
                           (few, ("would be extrapolated; the nearest that the machine file has is cpu linear+relu forward float32 7x784x128"
                                  " threads=1 active_ranks=1", "update sgd", "would be modelled"))):
        ended = run(*program, *mlp, "--machine", machine, "--no-extrapolation", expected=2)
        assert not ended.stdout and ended.stderr.count("no-extrapolation = ") > 5, ended
        assert all(word in ended.stderr for word in words), (words, ended.stderr)
table = folder / "curve.h5"
shown = run(simulate, *mlp, "--scaling=1..4", "--output", table).stdout
with h5py.File(table) as file:
    assert file["scaling/ranks"][()].tolist() == [1, 2, 4] and "steps" not in file and file.attrs["kind"] in (b"simulated", "simulated")
    assert (abs(file["scaling/samples_per_second"][()] * file["scaling/step_seconds"][()] - file["scaling/batch"][()]) < 1e-9).all()
print("what a step hangs on is told, and nothing guessed")

best = folder / "best.ini"
shown = run(plan, "--config", source / "inputs/runs/digits_cnn.ini", "--ranks=4", "--write", best).stdout
assert "x best" in shown and "simulated" in shown, shown
run(mpiexec, "-n", 4, train, "--config", best, "--train.steps=2", "--evaluate.every=0")
# Where another cut than a run's own is the best, layer lines name its stages: whoever reads the file has the same split.
cut = folder / "cut.ini"
first = run(plan, "--config", source / "inputs/runs/mnist_mlp_deep.ini", "--data.name=digits", "--ranks=4", "--machine",
            source / "inputs/machines/fat-tree.machine", "--top=1", "--write", cut).stdout.splitlines()[1]
layers = int(re.search(r", cut (\d+) ", first)[1])
stages = [line.rsplit("stage=")[1] for line in cut.read_text().splitlines() if line.startswith("layer")]
assert stages == ["0"] * layers + ["1"] * (len(stages) - layers), (first, stages)
shown = run(simulate, "--config", cut, "--ranks=4").stdout
assert f"{float(re.search(r'([0-9.]+) +[0-9.]+ +[0-9.]+ +[0-9.]+ +1.00 ', first)[1]):.1f} ms" in shown, (first, shown)
ended = run(plan, "--config", source / "inputs/runs/digits_cnn.ini", "--ranks=4", "--memory=1kB", expected=2)
assert "no plan fits: the least is" in ended.stderr and not ended.stdout, ended
ended = run(plan, "--config", source / "inputs/runs/digits_cnn.ini", "--ranks=0", "--memory=much", "--top=x", "--objective=cost", "--rank=2",
            "--train.batch=0", expected=2)
for word in ("ranks", "memory", "top", "objective", "rank ", "train.batch"):
    assert word in ended.stderr, (word, ended.stderr)
ended = run(plan, "--config", source / "inputs/runs/digits_cnn.ini", "--ranks=4", "--write", best, expected=2)
assert "overwrite" in ended.stderr, ended.stderr
ended = run(simulate, "--config", source / "inputs/runs/digits_cnn.ini", "--ranks=3", "--what-if=compute.sped=2x; rank.3.speed=1", "--grid.tensor=2",
            expected=2)
for word in ("grid", "compute.speed", "rank.N.speed with N from 0 to"):
    assert word in ended.stderr, (word, ended.stderr)
table = run(simulate, "--config", source / "inputs/runs/digits_mlp.ini", "--scaling=1..256", "--machine", source / "inputs/machines/gpu-cluster.machine").stdout
assert [line.split()[0] for line in table.splitlines()[1:8]] == ["1", "2", "4", "8", "16", "32", "64"], table  # a batch of 100
shown = run(simulate, "--config", source / "inputs/runs/digits_mlp.ini", "--ranks=16", "--machine", source / "inputs/machines/gpu-cluster.machine").stdout
assert "busiest link: cluster: node " in shown, shown
ended = run(simulate, "--config", source / "inputs/runs/digits_mlp.ini", "--scaling=8..4", expected=2)
assert "scaling = 8..4: must be A..B" in ended.stderr, ended.stderr
ended = run(simulate, "--config", source / "inputs/runs/digits_mlp.ini", "--scaling=3..15",
            "--machine", source / "inputs/machines/cpu-beside-gpu.machine", expected=2)
assert "scaling = 3..15: reaches 12, which is more than the machine holds: its level node has 8" in ended.stderr, ended.stderr
ended = run(simulate, "--config", source / "inputs/runs/digits_mlp.ini", "--compute.backend=abacus", expected=2)
assert "compute.backend = abacus" in ended.stderr, ended.stderr
run(simulate, "--config", source / "inputs/runs/digits_mlp.ini", "--compute.backend=cuda")  # a device that need not be here
# Run files of all that are simulated, which train the plans of the table; only such files are replaced.
every = folder / "plans"
asked = ["--config", source / "inputs/runs/digits_cnn.ini", "--ranks=3", "--train.batch=6",
         f"--machine={source.resolve()}/inputs/machines/fat-tree.machine", f"--write-all={every}"]
run(plan, *asked, "--top=4")
with (every / "plans.csv").open(newline="") as table:
    plans = list(csv.DictReader(table))
assert sorted(path.name for path in every.iterdir()) == sorted(["plans.csv", *(row["file"] for row in plans)]) and len(plans) >= 4, plans
times = [float(row["step_seconds"]) for row in plans]
assert times == sorted(times) and {row["known_as"] for row in plans} >= {"data alone", "tensor within a node"}, plans
for row, seconds in list(zip(plans, times))[:2] + list(zip(plans, times))[-1:]:
    run(simulate, "--config", every / row["file"], "--train.steps=4", "--output", folder / "of-plan.h5", "--overwrite")
    with h5py.File(folder / "of-plan.h5") as file:
        step = dict(zip(file["figures/name"][()], file["figures/value"][()]))[b"step_time_predicted"]
        assert row["plan"].startswith(file.attrs["grid"].decode()) and abs(step / seconds - 1) < 1e-9, (row, step)
run(mpiexec, "-n", 3, train, "--config", every / plans[0]["file"], "--train.steps=2", "--evaluate.every=0")
ended = run(plan, *asked, expected=2)
assert f"write-all = {every}: holds plans; --overwrite replaces them" in ended.stderr, ended.stderr
run(plan, *asked, "--top=1", "--overwrite")
assert len(list(every.iterdir())) < len(plans) + 1 and not (every / plans[-1]["file"]).exists()
(every / "mine.txt").write_text("mine")
ended = run(plan, *asked, "--overwrite", "--memory=much", expected=2)
assert "holds mine.txt, which is not of plans" in ended.stderr and "memory = much" in ended.stderr, ended.stderr
ended = run(plan, *asked[:-1], f"--write-all={folder}/none/plans", expected=2)
assert f"the folder {folder}/none does not exist" in ended.stderr, ended.stderr
before = best.read_bytes()
ended = run(plan, "--config", best, "--ranks=2", "--write", best, "--overwrite", expected=2)
assert "write" in ended.stderr and best.read_bytes() == before, ended.stderr
shown = run(plan, "--config", source / "inputs/runs/digits_cnn.ini", "--ranks=4", "--train.deterministic=true").stdout
assert "x best" in shown and "refused, for example" in shown, shown
fat_tree = ["--config", source / "inputs/runs/digits_mlp.ini", "--ranks=16", "--machine", source / "inputs/machines/fat-tree.machine"]
slow = run(simulate, *fat_tree, "--what-if=memory.bandwidth=0.1x").stdout
assert slow.splitlines()[3] != run(simulate, *fat_tree).stdout.splitlines()[3], slow  # memory that active ranks share

# Exports are refused with all that is wrong, and are whole, or what was there before.
mlp = ["--config", source / "inputs/runs/digits_mlp.ini", "--ranks=2"]
ended = run(simulate, *mlp, "--export=gaol", "--export-to", folder / "x.goal", expected=2)
assert "did you mean 'goal'" in ended.stderr, ended.stderr
run(simulate, *mlp, "--export=goal", expected=2)
run(simulate, *mlp, "--export=goal", "--export-to", folder / "x.goal")
text = (folder / "x.goal").read_text()
assert text.startswith("num_ranks 2\n"), text[:80]
crowded = folder / "crowded.machine"
crowded.write_text((source / "inputs/machines/default.machine").read_text() + "\ncores number=1 yield_seconds=1e-3\n")
assert "ranks share cores" in run(simulate, *mlp, "--machine", crowded, "--export=goal", "--export-to", folder / "crowded.goal").stdout
assert (folder / "crowded.goal").read_text() == text, "exports give every rank a core of its own"
ended = run(simulate, *mlp, "--export=platform", "--export-to", folder / "x.goal", expected=2)
assert "overwrite" in ended.stderr and (folder / "x.goal").read_text() == text, ended.stderr
(folder / "other").mkdir()
(folder / "other/mine.txt").write_text("mine")
ended = run(simulate, *mlp, "--export=chakra", "--export-to", folder / "other", "--overwrite", expected=2)
assert "other files" in ended.stderr and (folder / "other/mine.txt").exists(), ended.stderr
for overwrite in ([], ["--overwrite"]):
    run(simulate, *mlp, "--export=chakra", "--export-to", folder / "traces", *overwrite)
    graphs = [json.loads((folder / f"traces/rank.{r}.json").read_text())["workload_graph"] for r in range(2)]
    assert all(node["data_deps"] == [] or max(node["data_deps"]) < node["Id"] for graph in graphs for node in graph)
run(simulate, *mlp, "--export=chakra", "--export-to", folder / "traces", expected=2)
ended = run(simulate, *mlp[:2], "--ranks=1024", "--train.batch=1024", "--export=platform", "--export-to", folder / "p.xml", expected=2)
assert "at most 512 ranks" in ended.stderr and not (folder / "p.xml").exists(), ended.stderr

assert run(simulate, "--help").stdout.startswith("Usage: partita-simulate") and run(plan, "--help").stdout.startswith("Usage: partita-plan")
print("plans run; bad input is refused")

keys = ["--config", source / "inputs/runs/digits_mlp.ini", "--strategy=auto", "--train.steps=4", "--evaluate.every=0", "--overwrite"]
result = folder / "auto.h5"
for measure in (2, 0):
    ended = run(mpiexec, "-n", 2, train, *keys, f"--auto.measure={measure}", "--output", result)
    assert ended.stderr.count("strategy auto takes") == 1 and ended.stderr.count("beside") == 2, ended.stderr
    with h5py.File(result) as file:
        plans = {name: column[()].tolist() for name, column in file["plans"].items()}
        chosen = plans["chosen"].index(1)
        assert sum(plans["chosen"]) == 1 and len(plans["plan"]) == 3
        assert plans["predicted_seconds"] == sorted(plans["predicted_seconds"])
        assert len({re.sub(r", (placement|cut) [\d|]+", "", plan.decode()) for plan in plans["plan"]}) == 3, "no variants of one pipeline"
        assert chosen == (plans["measured_seconds"].index(min(plans["measured_seconds"])) if measure else 0), plans
        assert plans["plan"][chosen].decode().startswith(file.attrs["grid"].decode()), (plans, file.attrs["grid"])
        assert all(numpy.isnan(plans["measured_seconds"])) == (measure == 0)
        assert dict(zip(file["figures/name"][()], file["figures/value"][()]))[b"planning_overhead"] > 0
run(mpiexec, "-n", 2, train, *keys, "--auto.candidates=5", "--auto.measure=1", "--output", result)
with h5py.File(result) as file:
    assert len(file["plans/plan"]) == 5 and not any(numpy.isnan(file["plans/measured_seconds"]))
ended = run(mpiexec, "-n", 2, train, *keys, "--grid.data=2", expected=2)
assert "strategy" in ended.stderr and "excludes grid keys" in ended.stderr
ended = run(mpiexec, "-n", 2, train, *keys, "--train.batch-per-rank=4", expected=2)
assert "train.batch-per-rank = 4: excludes strategy=auto" in ended.stderr
print("auto searches, races and records")
