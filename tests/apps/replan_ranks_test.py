"""auto.replan on three and four ranks, one of which is slow: a training goes on with another cut of its stages, or on another grid, and learns
what it learns undisturbed on the split with which it began.

usage: replan_ranks_test.py MPIEXEC PARTITA_TRAIN
"""
import re
import sys

import numpy

from slowed_ranks import Trainings, check_close, columns

STEPS = 4  # of an epoch
LAYERS = ["linear 60", "relu", "linear 60", "relu", "linear 60", "relu", "linear 60", "relu", "linear 5"]
NET = ["--model.input=60", "--model.init=kaiming", "--data.name=random", "--data.task=classification", "--data.features=60",
       "--data.classes=5", "--data.train-samples=60", "--data.test-samples=20", "--train.batch=16", "--train.precision=fp64",
       "--compute.backend=reference", "--compute.threads=1", "--train.learning-rate=0.05", "--train.momentum=0.9", "--train.epochs=3"]
# Of sums in another order, in double precision.
RELATIVE = 1e-9
trainings = Trainings(*sys.argv[1:3], LAYERS, NET, bytes_per_second=3e8)


def check(name, ranks, slow_rank, *keys):
    """Moves once, to a split that takes what was predicted, and loses nothing by it. What the split was and is."""
    clocks = [trainings.slow if rank == slow_rank else trainings.as_said for rank in range(ranks)]
    moved, text = trainings.result(name, *keys, "--auto.replan=true", clocks=clocks)
    calm, _ = trainings.result(f"{name}-calm", *keys, clocks=[trainings.as_said] * ranks)
    assert "replans" not in calm and "replans" in moved, text
    replans = columns(moved["replans"])
    assert replans["step"].tolist() == [STEPS], replans
    before, after = (replans[column][0].decode() for column in ("before", "after"))
    assert before != after and f"{after}, which is to go on" in text, (replans, text)
    seconds = {column: values[0] for column, values in replans.items() if column.endswith("seconds")}
    assert seconds["measured_seconds"] > 1.5 * seconds["expected_seconds"], seconds
    for predicted, measured in (("before_predicted", "measured"), ("after_predicted", "after_measured")):
        assert abs(seconds[f"{predicted}_seconds"] / seconds[f"{measured}_seconds"] - 1) < 0.01, seconds
    assert seconds["after_measured_seconds"] < 0.95 * seconds["measured_seconds"], seconds
    for column in ("steps/loss", "epochs/train_loss", "epochs/test_loss"):
        assert len(moved[column]) == len(calm[column])
        check_close({column: moved[column][()]}, {column: calm[column][()]}, RELATIVE)
    check_close(trainings.parameters(name), trainings.parameters(f"{name}-calm"), RELATIVE)
    assert numpy.ptp(moved["steps/loss"][()]) > 0.1, "something is learned"
    return before, after


def grid_of(plan):
    return plan.partition(",")[0]


def layers_of(plan):
    """Of each chunk."""
    return [int(n) for n in re.search(r"chunks of ([0-9+]+) layers", plan)[1].split("+")]


# Three stages stay, of which the slow one gets fewer layers.
before, after = check("cuts", 3, 2, "--grid.pipeline=3", "--pipeline.schedule=1f1b", "--pipeline.microbatches=4")
assert grid_of(before) == grid_of(after) == "data=1 pipeline=3 tensor=1", (before, after)
assert layers_of(before) == [3, 3, 3] and len(layers_of(after)) == 3 and layers_of(after)[2] < 3, (before, after)

# Shares that are all alike make everybody wait for the slow rank; stages need not be.
for name, slow_rank, keys in (("data", 1, ["--grid.data=4"]),
                              ("hybrid", 3, ["--grid.data=2", "--grid.pipeline=2", "--pipeline.microbatches=2"])):
    before, after = check(name, 4, slow_rank, *keys)
    assert grid_of(before) != grid_of(after) == "data=1 pipeline=4 tensor=1", (before, after)
    assert layers_of(after)[slow_rank] < max(layers_of(after)), after
trainings.remove()
print("all hold")
