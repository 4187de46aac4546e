"""grid.weights and train.accumulate: data ranks take their parts of the samples, whoever says how large these are; what is trained is what one
rank trains. Ranks run on clocks of machines, so that what is measured is the same in every run.

usage: weights_test.py MPIEXEC PARTITA_TRAIN
"""
import sys

from slowed_ranks import Trainings, check_close, columns

mpiexec, train = sys.argv[1:]
LAYERS = ["linear 60", "relu", "linear 50", "relu", "linear 5"]
NET = ["--model.input=200", "--data.name=random", "--data.task=classification", "--data.features=200", "--data.classes=5",
       "--data.train-samples=310", "--data.test-samples=20", "--train.batch=50", "--train.learning-rate=0.05", "--train.epochs=4",
       "--compute.threads=1", "--train.precision=fp64", "--compute.backend=reference", "--sync.algorithm=ring"]
trainings = Trainings(mpiexec, train, LAYERS, NET, bytes_per_second=1e10)
same, slow = trainings.as_said, trainings.slow


def steps(file):
    return file["steps/rank_seconds"][()]


try:
    one, _ = trainings.result("one", clocks=(same,))
    reference = trainings.parameters("one")
    # Given: 4 and 1 in any spelling; three ranks, of which one has nothing; with stages and accumulation.
    for name, words, clocks in (("given", ["--grid.weights=1,0.25"], (same, slow)), ("nothing", ["--grid.weights=1000,1e-3,800"], (same,) * 3),
                                ("stages", ["--grid.weights=3 1", "--grid.pipeline=2", "--grid.data=2", "--train.accumulate=2"], (same,) * 4),
                                ("accumulated", ["--train.accumulate=7"], (same, same))):
        file, _ = trainings.result(name, *words, clocks=clocks)
        check_close(trainings.parameters(name), reference, 1e-10)
    # Measured: after the first epoch the fast rank has four times as many samples; then nothing is worth another move.
    file, said = trainings.result("measured", "--grid.weights=measured", clocks=(same, slow))
    check_close(trainings.parameters("measured"), reference, 1e-10)
    moves = columns(file["replans"])
    assert len(moves["step"]) == 1 and moves["step"][0] == 7, moves
    after = moves["after"][0].decode()
    assert after.startswith("data=2 pipeline=1 tensor=1") and ", weights " in after, after
    weights = [int(weight) for weight in after.split(", weights ")[1].split("+")]
    assert abs(weights[0] / weights[1] - 4) < 0.2, after
    assert "from step 7 on" in said and after in said, said
    before_step, after_step = steps(file)[1:6].max(axis=1).mean(), steps(file)[8:13].max(axis=1).mean()
    assert after_step < 0.5 * before_step, (before_step, after_step)
    assert abs(moves["after_predicted_seconds"][0] / after_step - 1) < 0.15, (moves, after_step)
    # Alike ranks keep what they have.
    file, said = trainings.result("alike", "--grid.weights=measured", clocks=(same, same))
    assert "replans" not in file and "weights" not in said, said
    # The same as weights that are given from the beginning of that epoch on.
    text = trainings.launch("--dry-run", "--grid.weights=3,1", clocks=(same, same))
    assert "at most 37 on a data rank" in text or "at most 38 on a data rank" in text, text

    def refused(*words, lines, clocks=(same, same)):
        text = trainings.launch(*words, clocks=clocks, code=2)
        for line in lines:
            assert line in text, (line, text)

    refused("--grid.weights=1,2,3", lines=["grid.weights = 1,2,3: are 3, but the data ranks are 2; give one for each"])
    refused("--grid.weights=1,0", lines=["grid.weights = 1,0: '0' must be a number above 0 to 1e+06; the nearest lie just above 0, or measured"])
    refused("--grid.weights=fast", lines=["grid.weights = fast: must be a number above 0 to 1e+06, or measured"])
    refused("--grid.weights=1,2", "--train.deterministic=true", "--train.grains=8",
            lines=["grid.weights = 1,2: excludes train.deterministic=true, whose grains are even shares; the nearest is without it"])
    refused("--grid.weights=1,2", "--strategy=auto",
            lines=["grid.weights = 1,2: excludes strategy=auto, which chooses how many data ranks there are, and their shares; the nearest is without it"])
    # Nothing is measured where no epoch follows; without a file beside which checkpoints lie there is nothing to go on from.
    file, said = trainings.result("short", "--grid.weights=measured", "--train.steps=7", clocks=(same, slow))
    assert "replans" not in file and "weights" not in said, said
    refused("--grid.weights=1e-7,1", lines=["grid.weights = 1e-07,1: has one below a millionth of the largest"])
    refused("--grid.weights=measured", lines=["grid.weights = measured: needs checkpoint.dir, or an output beside which the checkpoints lie"])
    refused("--train.accumulate=26", lines=["train.accumulate = 26: times 1 micro-batches is more than the largest share of the batch on a data "
                                            "rank; the nearest is 25"])
    refused("--train.accumulate=0", lines=["train.accumulate = 0: must be a whole number from 1 to 1048576; the nearest is 1"])
finally:
    trainings.remove()
