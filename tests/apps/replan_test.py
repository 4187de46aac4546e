"""auto.replan: a slow rank, told from its steps, moves a training to another grid in the same job; what is trained and exchanged is what two
jobs train and exchange, of which the second resumes on that grid; where steps are as predicted nothing changes.

usage: replan_test.py MPIEXEC PARTITA_TRAIN PARTITA_COMPARE PARTITA_PLAN [SLOW_DISK]
"""
import csv
import itertools
import pathlib
import re
import shutil
import sys

import numpy

from slowed_ranks import Trainings, check_close, columns, jobs

sys.path.append(str(pathlib.Path(__file__).resolve().parents[2] / "scripts"))
import partita

mpiexec, train, compare, plan, *slow_disk = sys.argv[1:]
STEPS = 3  # of an epoch
# With a slow second rank two stages are best, the first with both large layers; where stages are alike each has one of them.
LAYERS = ["linear 100", "relu", "linear 100", "relu", "linear 5"]
NET = ["--model.input=200", "--data.name=random",
       "--data.task=classification", "--data.features=200", "--data.classes=5", "--data.train-samples=58", "--data.test-samples=20",
       "--train.batch=20", "--train.optimizer=adam", "--train.learning-rate=0.001", "--compute.threads=1", "--sync.algorithm=ring",
       "--checkpoint.keep=5"]
trainings = Trainings(mpiexec, train, LAYERS, NET, bytes_per_second=1e10)
folder, parameters, as_said, slow = trainings.folder, trainings.parameters, trainings.as_said, trainings.slow


def launch(*words, clocks=(as_said, as_said), code=0):
    return trainings.launch(*words, clocks=clocks, code=code)


def result(name, *words, clocks=(as_said, slow), layers=None):
    return trainings.result(name, *words, clocks=clocks, layers=layers)


def counted(*files):
    """What these runs together exchanged in steps and evaluations, the gathering of a model that is saved left out."""
    sums = {}
    for file in files:
        rows = columns(file["traffic"])
        for i, activity in enumerate(rows["activity"]):
            if activity in (b"train", b"evaluate") and rows["purpose"][i] != b"parameter":
                key = tuple(rows[name][i] for name in ("rank", "activity", "axis", "operation", "purpose"))
                counts = sums.setdefault(key, {})
                for name in ("calls", "messages", "payload_bytes", "wire_bytes", "wire_bytes_received", "window_bytes_read",
                             "window_bytes_written"):
                    counts[name] = counts.get(name, 0) + int(rows[name][i])
    assert sums
    return sums


def same(here, there):
    assert here.keys() == there.keys(), (here.keys(), there.keys())
    for name in here:
        assert numpy.array_equal(here[name], there[name]), (name, here[name], there[name])


def same_counts(here, there):
    assert here == there, [(key, here.get(key), there.get(key)) for key in {**here, **there} if here.get(key) != there.get(key)]


def chunks_of(plan):
    """Layers of each."""
    return [int(layers) for layers in re.search(r", chunks of ([0-9+]+) layers$", plan)[1].split("+")]


def asked_for(plan):
    """The layers and keys of a run that has this plan from the beginning."""
    data, stages, tensor, schedule, _, chunks, _, microbatches = re.match(
        r"data=(\d+) pipeline=(\d+) tensor=(\d+), ([a-z0-9-]+)( with (\d+) chunks)?(, (\d+) micro-batches)?,", plan).groups()
    stage_of = [chunk % int(stages) for chunk, layers in enumerate(chunks_of(plan)) for _ in range(layers)]
    return [f"{layer} stage={stage}" for layer, stage in zip(LAYERS, stage_of, strict=True)], [
        f"--grid.data={data}", f"--grid.pipeline={stages}", f"--grid.tensor={tensor}", f"--pipeline.schedule={schedule}",
        f"--pipeline.chunks={chunks or 1}", f"--pipeline.microbatches={microbatches or 1}"]


def planned():
    """Plans where the machine file says that the second rank is slow, with their seconds, the best first."""
    one_slow = folder / "one-slow.machine"
    one_slow.write_text(as_said.read_text() + f"ranks first=1 last=1 file={slow.name}\n")
    done = jobs.run([plan, "--ranks=2", *trainings.keys[:-1], f"--machine={one_slow}", *(f"--model.layer={layer}" for layer in LAYERS), "--top=1000",
                     f"--write-all={folder}/plans"])
    assert done.returncode == 0, done
    with (folder / "plans/plans.csv").open(newline="") as table:
        return [(row["plan"], float(row["step_seconds"])) for row in csv.DictReader(table)]


# The second rank is slow: after the first epoch the training goes on with another grid.
moved, text = result("moved", "--train.epochs=3", "--auto.replan=true", f"--checkpoint.every={STEPS}", f"--timeline.first={STEPS - 1}",
                     "--timeline.steps=2")
replans = columns(moved["replans"])
assert replans["step"].tolist() == [STEPS], replans
before, after = replans["before"][0].decode(), replans["after"][0].decode()
assert before == "data=2 pipeline=1 tensor=1" and after.startswith("data=1 pipeline=2 tensor=1"), replans
# To the plan, cut included, that a search finds best which knows how slow the rank is.
cut = ", cut " + "|".join(str(first) for first in itertools.accumulate(chunks_of(after)[:-1]))
plans = planned()
best, best_seconds = plans[0]
assert best == after.partition(", chunks of")[0] + cut, (best, after)
assert all(seconds > 1.001 * best_seconds for name, seconds in plans if not name.endswith(cut)), "the cut matters"
assert abs(replans["after_predicted_seconds"][0] / best_seconds - 1) < 1e-4, (replans, best_seconds)
assert f"{after}, which is to go on" in text, text
seconds = {name: column[0] for name, column in replans.items() if name.endswith("seconds")}
assert seconds["measured_seconds"] > 3 * seconds["expected_seconds"], seconds
for predicted, measured in (("before_predicted", "measured"), ("after_predicted", "after_measured")):
    assert abs(seconds[f"{predicted}_seconds"] / seconds[f"{measured}_seconds"] - 1) < 0.01, seconds
assert seconds["after_measured_seconds"] < 0.7 * seconds["measured_seconds"], seconds
# Each plan's last full step took what the table says.
steps = columns(moved["steps"])
assert len(steps["seconds"]) == 3 * STEPS and moved["epochs/epoch"][()].tolist() == [1, 2, 3]
assert steps["rank_seconds"][STEPS - 2].max() == seconds["measured_seconds"], (steps, seconds)
assert steps["rank_seconds"][2 * STEPS - 2].max() == seconds["after_measured_seconds"], (steps, seconds)

# The timeline goes on over the move, and who reads the result learns of each step's plan.
run = partita.open(folder / "moved.h5")
timeline = columns(moved["timeline"])
for step, stages in ((STEPS - 1, 1), (STEPS, 2)):
    of_step = (timeline["step"] == step) & (timeline["purpose"] == b"activation")
    assert of_step.any() == (stages == 2), (step, timeline)
    grid, schedule = run.plan_at(step)
    assert grid == {"data": 2 // stages, "pipeline": stages, "tensor": 1} and (schedule != "") == (stages == 2), (grid, schedule)

# The same by two jobs.
first, _ = result("first", "--train.epochs=1", f"--checkpoint.every={STEPS}")
layers, keys = asked_for(after)
second, _ = result("second", "--train.epochs=3", "--resume", f"--checkpoint.dir={folder}/first.checkpoints", *keys, layers=layers)
assert second.attrs["first_step"] == STEPS and "replans" not in second
for name in ("loss", "samples", "learning_rate"):
    same({name: steps[name]}, {name: numpy.concatenate([file["steps"][name][()] for file in (first, second)])})
same({name: moved["epochs"][name][()] for name in ("train_loss", "test_loss", "test_accuracy")},
     {name: numpy.concatenate([first["epochs"][name][()], second["epochs"][name][()][-2:]])
      for name in ("train_loss", "test_loss", "test_accuracy")})
same(parameters("moved"), parameters("second"))
same_counts(counted(moved), counted(first, second))
same(columns(moved["memory"]), {name: numpy.maximum(first["memory"][name][()], second["memory"][name][()]) if name != "rank" else column
                                for name, column in columns(moved["memory"]).items()})

# A run that is resumed begins with the grid that it asks for, and its result says so.
for left in ("moved.h5", "moved.model"):
    (folder / left).unlink()
kept = folder / "moved.checkpoints"
newest = max(kept.glob("*"), key=lambda path: int(re.sub(r"\D", "", path.name) or 0))
shutil.rmtree(newest)
back, _ = result("moved", "--train.epochs=3", "--auto.replan=true", f"--checkpoint.every={STEPS}", "--resume")
rows = columns(back["replans"])
assert rows["step"].tolist() == [STEPS, 2 * STEPS] and rows["after"][1].decode() == before and rows["before"][1].decode() == after, rows
assert back.attrs["restarts"] == 1 and len(back["steps/loss"]) == 3 * STEPS

# Of one layer there are no stages: the slow rank keeps its place, and gets as many samples as it can take.
shares, text = result("shares", "--train.epochs=3", "--auto.replan=true", "--grid.data=2", layers=["linear 5"])
rows = columns(shares["replans"])
after = rows["after"][0].decode()
fast, slower = (int(weight) for weight in re.match(r"data=2 pipeline=1 tensor=1, weights (\d+)\+(\d+)$", after).groups())
assert rows["step"].tolist() == [STEPS] and rows["before"][0] == b"data=2 pipeline=1 tensor=1", rows
assert 0.1 < slower / fast < 0.3, after
assert abs(rows["after_predicted_seconds"][0] / rows["after_measured_seconds"][0] - 1) < 0.01, rows
assert rows["after_measured_seconds"][0] < 0.6 * rows["measured_seconds"][0], rows
even, _ = result("even", "--train.epochs=3", "--grid.data=2", layers=["linear 5"])
same({"samples": shares["steps/samples"][()]}, {"samples": even["steps/samples"][()]})
check_close({"loss": shares["steps/loss"][()]}, {"loss": even["steps/loss"][()]}, 1e-5)
check_close(parameters("shares"), parameters("even"), 1e-5)

# Ranks that are all as slow keep the best grid, and ask once.
stays, text = result("stays", "--train.epochs=3", "--grid.tensor=2", "--auto.replan=true", clocks=(slow, slow))
rows = columns(stays["replans"])
assert rows["step"].tolist() == [STEPS] and rows["before"][0] == rows["after"][0], rows
assert "which stays" in text, text

# Where steps are as predicted, or leave it by less than the threshold, nothing is another than without.
plain, _ = result("plain", "--train.epochs=2")
kept, _ = result("kept", "--train.epochs=2", "--auto.replan=true", "--auto.replan-threshold=10")
right, _ = result("right", "--train.epochs=2", "--auto.replan=true", "--auto.replan-threshold=1e-6", clocks=(as_said, as_said))
for file, name in ((kept, "kept"), (right, "right")):
    assert "replans" not in file
    same({"loss": plain["steps/loss"][()]}, {"loss": file["steps/loss"][()]})
    same(parameters("plain"), parameters(name))
    same_counts(counted(plain), counted(file))
same(columns(plain["steps"]), columns(kept["steps"]))
assert plain.attrs["config_hash"] == kept.attrs["config_hash"]

# Bytes of runs with another plan on the way are not compared with those of runs without.
def verdict(*names):
    """On bytes that all of these runs exchange."""
    text = jobs.run([compare, *(f"{folder}/{name}.h5" for name in names)]).stdout
    return re.search(r"wire_bytes\.data\.all_reduce\.gradient .* (\S+)", text)[1]


launch(f"--output={folder}/third.h5", "--train.epochs=3", f"--checkpoint.every={STEPS}", clocks=(as_said, slow))
assert verdict("plain", "kept") != "incomparable" and verdict("third", "moved") == "incomparable"

# In real time, where the machine file wants another grid whatever is measured, the one checkpoint is that of the move. It is counted.
if slow_disk:
    far = Trainings(mpiexec, train, LAYERS, NET, bytes_per_second=1e4)
    real, text = far.result("real", "--train.epochs=2", "--auto.replan=true", "--auto.replan-threshold=1e-6", clocks=(), preloaded=slow_disk[0])
    assert columns(real["replans"])["step"].tolist() == [STEPS] and "which is to go on" in text, text
    figures = dict(zip(real["figures/name"][()], real["figures/value"][()]))
    assert figures[b"checkpoint_overhead"] * real["steps/seconds"][()].sum() > 0.1, figures
    far.remove()

# All that is wrong, at once.
text = launch("--auto.replan=true", "--auto.replan-threshold=0", "--train.batch-per-rank=10", "--train.epochs=1", code=2)
for part in ("auto.replan-threshold = 0: must be a number above 0", "excludes train.batch", "needs checkpoint.dir",
             "needs a second epoch"):
    assert part in text, (part, text)
assert "must be true or false" in launch("--auto.replan=maybe", code=2)
trainings.remove()
print("all hold")
