"""Delayed updates and local steps as a user meets them: bytes by their closed forms, memory as foreseen, predicted and recorded, programs as
printed, models near those of synchronous steps, restarts, refusals.

Usage: cadence_test.py MPIEXEC PARTITA_TRAIN PARTITA_SIMULATE PARTITA_COMPARE SOURCE_FOLDER
"""
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile

import h5py
import numpy as np

sys.path.append(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import jobs
from tensors import parameters

mpiexec, train, simulate, compare, source = sys.argv[1:6]
config = f"--config={source}/inputs/runs/digits_mlp.ini"
# Epochs of five steps, of which the run has one and three fifths.
steps, of_epoch = 8, 5
common = (config, "--data.train-samples=100", "--data.test-samples=20", "--train.batch=20", f"--train.steps={steps}", "--sync.algorithm=ring", "--compute.threads=1")
# Of 784-128-10, in one bucket; a velocity for each.
everything = 128 * 784 + 128 + 10 * 128 + 10
averaged, outer = "--sync.local.states=average", ("--sync.local.outer-rate=0.7", "--sync.local.outer-momentum=0.9")


def run(*arguments, ranks=2):
    result = jobs.run([mpiexec, "-n", ranks, train, *arguments])
    assert result.returncode == 0, (arguments, result)
    return result


def share(n, ranks, rank):
    return n * (rank + 1) // ranks - n * rank // ranks


def ring(n, element, ranks, rank):
    """Of an all-reduce, sent by a rank: all shares but its own, then all but the next rank's."""
    return element * (2 * n - share(n, ranks, rank) - share(n, ranks, (rank + 1) % ranks))


def averagings(period, start=0):
    """Steps behind which parameters are averaged: each last one of a period, of an epoch, of the run."""
    return sum(1 for s in range(start, steps) if (s % of_epoch + 1) % period == 0 or s % of_epoch + 1 == of_epoch or s + 1 == steps)


def sent(file, ranks):
    """In training: calls and bytes of each rank, by axis, operation and purpose."""
    traffic, found = file["traffic"], {}
    words = [traffic[name].asstr()[:] for name in ("activity", "axis", "operation", "purpose")]
    for i, (activity, *what) in enumerate(zip(*words)):
        if activity == "train":
            assert not traffic["window_bytes_read"][i] and not traffic["window_bytes_written"][i], what
            found.setdefault(tuple(what), [(0, 0)] * ranks)[int(traffic["rank"][i])] = (int(traffic["calls"][i]), int(traffic["wire_bytes"][i]))
    return found


def expected(calls, ranks):
    """`calls`: of all-reduces over the data axis, by purpose."""
    sizes = {"gradient": (everything, 4), "parameter": (everything, 4), "metric": (2, 8)}
    return {("data", "all_reduce", purpose): [(n, n * ring(*sizes[purpose], ranks, rank)) for rank in range(ranks)] for purpose, n in calls.items() if n > 0}


# Keys; calls by purpose; vectors as long as the parameters: of gradients, of states.
cases = {"none": ((), {"gradient": steps, "metric": steps}, 1, 1),
         "delay": (("--sync.delay=1",), {"gradient": steps, "metric": steps}, 2, 1),
         "local": (("--sync.local.period=2", averaged), {"parameter": 2 * averagings(2), "metric": averagings(2)}, 1, 1),
         "reset": (("--sync.local.period=3", "--sync.local.states=reset"), {"parameter": averagings(3), "metric": averagings(3)}, 1, 1),
         "rare": (("--sync.local.period=100", averaged), {"parameter": 2 * 2, "metric": 2}, 1, 1),
         "outer": (("--sync.local.period=2", "--sync.local.start=3", averaged, *outer),
                   {"gradient": 3, "parameter": 2 * averagings(2, 3), "metric": 3 + averagings(2, 3)}, 1, 3)}


def bytes_and_memory(folder, ranks, names):
    for name in names:
        keys, calls, gradients, states = cases[name]
        of_vectors = [4 * everything, 4 * everything * gradients, 4 * everything * states]
        foreseen = re.search(r"parameters (\d+), gradients (\d+), optimizer state (\d+)", run(*common, *keys, "--dry-run", ranks=ranks).stdout)
        assert list(map(int, foreseen.groups())) == of_vectors, (name, foreseen)
        run(*common, *keys, f"--output={folder}/{name}-{ranks}.h5", ranks=ranks)
        result = jobs.run([simulate, *common, *keys, f"--ranks={ranks}", f"--output={folder}/predicted.h5", "--overwrite"])
        assert result.returncode == 0, result
        assert ("steps   " in result.stdout) == ("parameter" in calls), result.stdout
        with h5py.File(folder / f"{name}-{ranks}.h5") as measured, h5py.File(folder / "predicted.h5") as predicted:
            assert sent(measured, ranks) == sent(predicted, ranks) == expected(calls, ranks), (name, sent(measured, ranks), sent(predicted, ranks), expected(calls, ranks))
            for column, of_rank in zip(("parameters", "gradients", "optimizer_state"), of_vectors):
                assert (measured["memory"][column][:] == of_rank).all(), (name, column, measured["memory"][column][:])
            for column in measured["memory"]:
                assert (measured["memory"][column][:] == predicted["memory"][column][:]).all(), (name, column)
            assert len(measured["steps/loss"]) == len(predicted["steps/seconds"]) == steps, name


def shown(*keys):
    return run(*common, *keys, "--dry-run", "--print-program=0").stdout


def programs():
    """An instruction says in which kinds of steps it is, unless in all."""
    def kinds(text, pattern):
        lines = [line for line in text.splitlines() if re.match(r" +\d+  ", line) and re.search(pattern, line)]
        return [(re.search(r"  \[([^]]*)\]$", line) or [None, ""])[1] for line in lines]
    assert kinds(shown(), "") == [""] * 14
    text = shown("--sync.delay=1")
    assert kinds(text, r"backward parameters +linear2") == kinds(text, "start .* gradient") == ["first even", "odd"], text
    assert kinds(text, "wait .* gradient") == kinds(text, " update ") == ["odd drain_first", "even drain_second"], text
    assert kinds(text, "wait .* metric") == kinds(text, " forward +linear2") == ["first odd even"], text
    text = shown("--sync.local.period=3", averaged, *outer, "--sync.local.start=2")
    assert kinds(text, "start .* gradient") == kinds(text, "wait .* gradient") == ["synchronous"], text
    assert kinds(text, "start .* metric") == ["synchronous averaging"], text
    assert kinds(text, " average ") == ["averaging"] * 2 and kinds(text, "start .* parameter") == ["averaging"] * 2, text
    assert kinds(text, " update ") == kinds(text, " backward ")[:1] == [""], text
    assert [kind for kind in ("synchronous", "local", "averaging") if f"of a step that is {kind}:" in text] == ["synchronous", "local", "averaging"], text


def learning(folder):
    """A period of one step that averages velocities is data parallelism, but for rounding; the others train nearly as well."""
    accuracies = {}
    for name, keys in {"none": (), "delay": ("--sync.delay=1",), "local": ("--sync.local.period=8", averaged)}.items():
        run(config, "--compute.threads=1", *keys, f"--output={folder}/trained.h5", "--overwrite")
        with h5py.File(folder / "trained.h5") as file:
            accuracies[name] = float(file["epochs/test_accuracy"][-1])
    assert all(abs(accuracy - accuracies["none"]) < 0.03 for accuracy in accuracies.values()), accuracies
    models = []
    for name, keys in {"none": (), "each": ("--sync.local.period=1", averaged)}.items():
        run(*common, "--train.precision=fp64", "--compute.backend=reference", *keys, f"--output={folder}/trained.h5", "--overwrite",
            f"--save-model={folder}/{name}-model.h5")
        models.append(parameters(folder / f"{name}-model.h5"))
    for tensor, values in models[0].items():
        assert np.abs(values - models[1][tensor]).max() < 1e-12 * np.abs(values).max(), tensor


def restarts(folder):
    """Killed and taken up again a run has the bits of one that nobody disturbed."""
    for name, keys in {"delay": ("--sync.delay=1",), "local": ("--sync.local.period=3", averaged, *outer)}.items():
        def command(run_name, *more):
            return [str(word) for word in (mpiexec, "-n", 2, train, config, "--data.train-samples=1000", "--data.test-samples=20", "--train.epochs=20", "--evaluate.every=1000",
                                           "--checkpoint.every=7", "--snapshot.seconds=0", "--compute.threads=1", *keys, f"--output={folder}/{name}-{run_name}.h5",
                                           f"--save-model={folder}/{name}-{run_name}-model.h5", *more)]
        result = jobs.run(command("whole"))
        assert result.returncode == 0, result
        log = folder / "log"
        with open(log, "w") as messages:
            job = subprocess.Popen(command("killed"), stdout=subprocess.DEVNULL, stderr=messages)
            try:
                ranks = jobs.wait_for_ranks(job, train, 2)
                jobs.wait_for("three checkpoints", lambda: log.read_text().count("checkpoint of step") >= 3, job, 0.001)
                os.kill(ranks[1], signal.SIGKILL)
                jobs.wait_for_end(job, ranks)
            finally:
                jobs.end(job)
        result = jobs.run(command("killed", "--resume"))
        assert result.returncode == 0 and "going on from step" in result.stderr, result
        whole, killed = (parameters(folder / f"{name}-{run_name}-model.h5") for run_name in ("whole", "killed"))
        assert whole.keys() == killed.keys() and all(np.array_equal(whole[tensor], killed[tensor]) for tensor in whole), name


def refused(*keys, lines, file=config):
    result = jobs.run([train, file, *keys])
    assert result.returncode == 2, result
    for line in lines:
        assert f"partita-train: {line}" in result.stderr.splitlines(), (line, result)


def refusals():
    refused("--sync.delay=2", "--sync.local.period=0", "--sync.local.start=-1", "--sync.local.states=foo", "--sync.local.outer-rate=0", "--sync.local.outer-momentum=1.5",
            lines=("sync.delay = 2: must be a whole number from 0 to 1; the nearest is 1", "sync.local.period = 0: must be a whole number from 1 to 1073741824; the nearest is 1",
                   "sync.local.start = -1: must be a whole number from 0 to 1000000000; the nearest is 0", "sync.local.states = foo: must be one of keep | average | reset",
                   "sync.local.outer-rate = 0: must be a number above 0 to 10; the nearest lie just above 0",
                   "sync.local.outer-momentum = 1.5: must be a number from 0 to 1; the nearest is 1"))
    refused("--sync.delay=-1", lines=("sync.delay = -1: must be a whole number from 0 to 1; the nearest is 0",))
    local, delay = "sync.local.period = 8: excludes {}; the nearest is without it", "sync.delay = 1: excludes {}; the nearest is 0"
    both = {"train.deterministic=true, which takes every step as one rank would": "--train.deterministic=true",
            "sync.compress, whose residuals are of the step": "--sync.compress=int8",
            "compute.backend=cuda, which takes steps that are all alike": "--compute.backend=cuda",
            "strategy=auto, whose bounds are those of data ranks and steps that are all alike": "--strategy=auto"}
    for what, key in both.items():
        refused("--sync.local.period=8", key, lines=(local.format(what),))
        if "compress" in key:
            refused("--sync.delay=1", "--sync.compress=fp16", lines=(delay.format("sync.compress=fp16, whose scale may change before gradients are used"),))
        else:
            refused("--sync.delay=1", key, lines=(delay.format(what),))
    # All at once.
    at_once = list(both.items())[:2]
    refused("--sync.local.period=8", "--sync.delay=1", "--sync.split=state", *(key for _, key in at_once),
            lines=[local.format(what) for what in ("sync.delay, which is of gradients that all ranks add up", "sync.split, whose ranks update shares", *(what for what, _ in at_once))])
    refused("--sync.delay=1", "--sync.split=parameter", "--train.deterministic=true",
            lines=[delay.format(what) for what in ("sync.split=parameter, which gathers before use", at_once[0][0])])
    refused("--sync.local.period=8", file=f"--config={source}/inputs/runs/digits_cnn_batchnorm.ini",
            lines=(local.format("batchnorm1, whose statistics are of all data ranks: 'frozen' on its line uses running ones"),))
    # What is not.
    for keys in (("--sync.delay=1", "--sync.split=gradient"), ("--sync.delay=1", "--sync.compress=sign"), ("--sync.delay=1", "--train.clip-norm=1", "--sync.split=state"), ("--sync.local.period=8", "--train.clip-norm=1")):
        run(*common, *keys, "--dry-run")
    run(*common, "--sync.delay=1", "--grid.pipeline=2", "--dry-run", ranks=4)
    run(*common, "--sync.local.period=8", "--grid.tensor=2", "--dry-run", ranks=4)


with tempfile.TemporaryDirectory() as folder:
    folder = pathlib.Path(folder)
    bytes_and_memory(folder, 2, ("none", "delay", "local"))
    bytes_and_memory(folder, 3, [name for name in cases if name != "none"])
    for name, key in (("delay", "sync.delay"), ("local", "sync.local.period")):
        result = jobs.run([compare, folder / "none-2.h5", folder / f"{name}-2.h5", "--no-gate"])
        assert result.returncode == 0 and key in result.stdout + result.stderr, result
    programs()
    learning(folder)
    restarts(folder)
    refusals()
