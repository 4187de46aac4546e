"""Parameter servers as a user meets them: bytes by their closed forms, memory as foreseen, predicted and recorded; synchronous ones train what
data parallelism does; the order of pushes is logged, and followed again to the bit; a rank that stands still is named; refusals.

Usage: servers_test.py MPIEXEC PARTITA_TRAIN PARTITA_SIMULATE PARTITA_COMPARE SOURCE_FOLDER
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
steps = 8
common = (config, "--data.train-samples=100", "--data.test-samples=20", "--train.batch=20", f"--train.steps={steps}", "--compute.threads=1")
everything = 128 * 784 + 128 + 10 * 128 + 10  # of 784-128-10, in one bucket


def run(*arguments, ranks=3):
    result = jobs.run([mpiexec, "-n", ranks, train, *arguments])
    assert result.returncode == 0, (arguments, result)
    return result


def share(servers, server):
    return everything * (server + 1) // servers - everything * server // servers


def messages(file):
    """In training: bytes that each rank hands over, or gets, by purpose."""
    traffic, found = file["traffic"], {}
    words = [traffic[name].asstr()[:] for name in ("activity", "operation", "purpose")]
    for i, (activity, operation, purpose) in enumerate(zip(*words)):
        if activity == "train" and operation in ("send", "receive"):
            found[int(traffic["rank"][i]), operation, purpose] = int(traffic["payload_bytes"][i])
    return found


def bytes_and_memory(folder):
    for ranks, servers, bound, first, codec in ((2, 1, "synchronous", 0, "none"), (5, 3, "1", 3, "none"), (3, 1, "none", 2, "sign")):
        keys = (*common, f"--server.count={servers}", f"--server.bound={bound}", f"--server.synchronous-steps={first}", f"--sync.compress={codec}")
        pushed = lambda elements: 4 * elements if codec == "none" else -(-elements // 8) + 4
        workers, alone = ranks - servers, 0 if bound == "synchronous" else steps - first
        run(*keys, f"--output={folder}/measured.h5", "--overwrite", ranks=ranks)
        result = jobs.run([simulate, *keys, f"--ranks={ranks}", f"--output={folder}/predicted.h5", "--overwrite"])
        assert result.returncode == 0, result
        expected = {}
        for worker in range(workers):
            expected |= {(worker, "send", "gradient"): sum(pushed(share(servers, server)) for server in range(servers)) * steps,
                         (worker, "receive", "parameter"): 4 * everything * steps}
            if alone: expected[worker, "send", "metric"] = 16 * servers * alone
        for server in range(servers):
            held = share(servers, server)
            expected |= {(workers + server, "receive", "gradient"): pushed(held) * workers * steps,
                         (workers + server, "send", "parameter"): 4 * held * workers * steps}
            if alone: expected[workers + server, "receive", "metric"] = 16 * workers * alone
        with h5py.File(folder / "measured.h5") as measured, h5py.File(folder / "predicted.h5") as predicted:
            assert messages(measured) == messages(predicted) == expected, (messages(measured), messages(predicted), expected)
            of_servers = [share(servers, server) for server in range(servers)]
            sums = workers if codec == "none" else 1  # what came of codes is added up in one place
            held = {"parameters": [everything] * workers + of_servers, "optimizer_state": [0] * workers + of_servers,
                    "gradients": [everything] * workers + [(sums + (workers if alone else 0)) * n for n in of_servers]}
            kept = [4 * everything] * workers + [pushed(n) * workers for n in of_servers]
            assert ("codec_state" in measured["memory"]) == (codec != "none")
            assert codec == "none" or measured["memory"]["codec_state"][:].tolist() == kept, measured["memory"]["codec_state"][:]
            for column, elements in held.items():
                assert measured["memory"][column][:].tolist() == [4 * n for n in elements], (column, measured["memory"][column][:])
            for column in measured["memory"]:
                assert (measured["memory"][column][:] == predicted["memory"][column][:]).all(), column
            assert len(measured["steps/loss"]) == len(predicted["steps/seconds"]) == steps
            assert ("pushes" in measured) == (alone > 0)
            if alone:
                pushes = measured["pushes"]
                assert np.array_equal(np.unique(pushes["server"]), np.arange(workers, ranks)) and len(pushes["step"]) == servers * workers * alone
                assert pushes["step"][:].min() == first and pushes["staleness"][:].min() == 0


def what_is_trained(folder):
    """Synchronous: as data parallelism, but for rounding. Asynchronous: the same again, to the bit, in the order of the log."""
    exact = (*common, "--train.precision=fp64", "--compute.backend=reference")
    for name, keys, ranks in (("all", (), 2), ("served", ("--server.count=2",), 4)):
        run(*exact, *keys, f"--save-model={folder}/{name}-model.h5", "--overwrite", ranks=ranks)
    whole, served = (parameters(folder / f"{name}-model.h5") for name in ("all", "served"))
    assert all(np.abs(values - served[tensor]).max() < 1e-12 * np.abs(values).max() for tensor, values in whole.items())
    freely = (*common, "--server.count=2", "--server.bound=none", "--timeline.first=1", "--timeline.steps=2", "--checkpoint.every=3")
    for name, keys in (("first", ()), ("again", (f"--server.replay={folder}/first.h5",))):
        run(*freely, *keys, f"--output={folder}/{name}.h5", f"--save-model={folder}/{name}-model.h5", ranks=5)
    first, again = (parameters(folder / f"{name}-model.h5") for name in ("first", "again"))
    assert all(np.array_equal(values, again[tensor]) for tensor, values in first.items())
    with h5py.File(folder / "first.h5") as one, h5py.File(folder / "again.h5") as two:
        for column in one["pushes"]:
            assert np.array_equal(one["pushes"][column], two["pushes"][column]), column
        # Each server updates once for each worker's push of the steps that were timed.
        timeline = one["timeline"]
        kinds, ranks, of_step = timeline["kind"].asstr()[:], timeline["rank"][:], timeline["step"][:]
        for server in (3, 4):
            for step in (1, 2):
                assert np.count_nonzero((kinds == "update") & (ranks == server) & (of_step == step)) == 3, (server, step)
    result = jobs.run([compare, folder / "first.h5", folder / "again.h5", "--no-gate"])
    assert result.returncode == 0 and "server.replay" in result.stdout + result.stderr, result
    # What cannot be followed is refused before anything is sent.
    for keys, ranks in ((("--server.bound=0",), 5), ((), 4), (("--train.steps=9",), 5), (("--checkpoint.every=2",), 5), (("--server.synchronous-steps=2",), 5)):
        given = [key for key in freely if not any(key.split("=")[0] == other.split("=")[0] for other in keys)]
        result = jobs.run([mpiexec, "-n", ranks, train, *given, *keys, f"--server.replay={folder}/first.h5", f"--output={folder}/never.h5"])
        assert result.returncode == 2 and "server.replay = " in result.stderr and "cannot be followed from step " in result.stderr, (keys, result)
    for path, what in ((f"{folder}/all-model.h5", ""), (f"{folder}/none.h5", ""), (f"{folder}/plain.h5", "has no /pushes: it is of no run with asynchronous servers")):
        if what: run(*common, f"--output={path}", ranks=1)
        result = jobs.run([mpiexec, "-n", 5, train, *freely, f"--server.replay={path}", f"--output={folder}/never.h5"])
        assert result.returncode == 2 and f"server.replay = {path}: {what}" in result.stderr, result
    assert not (folder / "never.h5").exists()


def a_rank_that_stands_still_is_named(folder):
    for bound, still in (("1", 0), ("none", 2)):
        log = folder / "log"
        with open(log, "w") as messages_of_job:
            job = subprocess.Popen([mpiexec, "-n", "3", train, *common[:-2], "--train.epochs=100000", "--evaluate.every=0", "--compute.threads=1", "--watchdog.seconds=1",
                                    "--server.count=1", f"--server.bound={bound}", f"--output={folder}/still.h5", "--overwrite"],
                                   stdout=messages_of_job, stderr=subprocess.STDOUT)
            try:
                ranks = jobs.wait_for_ranks(job, train, 3)
                jobs.wait_for("an epoch", lambda: "epoch 3" in log.read_text(), job, 0.01)
                os.kill(ranks[still], signal.SIGSTOP)
                jobs.wait_for("a verdict", lambda: "watchdog: verdict: " in log.read_text(), job, 0.01)
                verdict = [line for line in log.read_text().splitlines() if "verdict: " in line]
                assert all(f"verdict: rank {still} " in line and "its process is stopped" in line for line in verdict), verdict
                os.kill(ranks[still], signal.SIGCONT)
                jobs.wait_for_end(job, ranks)
                assert job.returncode != 0
            finally:
                jobs.end(job)


def the_start():
    """Predicted steps of the start are synchronous ones, also where the run ends in it."""
    def predicted(*keys):
        result = jobs.run([simulate, *common, "--ranks=4", f"--machine={source}/inputs/machines/ethernet.machine", *keys, f"--output={folder}/start.h5", "--overwrite"])
        assert result.returncode == 0, result
        with h5py.File(folder / "start.h5") as file:
            figures = dict(zip(file["figures/name"].asstr()[:], file["figures/value"][:]))
            return np.append(file["steps/seconds"][:], figures["step_time_predicted"])

    plain = predicted()
    assert np.allclose(predicted("--sync.local.period=4", "--sync.local.start=1000"), plain, rtol=0.01)
    synchronous, alone = (predicted("--server.count=1", f"--server.bound={bound}") for bound in ("synchronous", "none"))
    staged, whole = (predicted("--server.count=1", "--server.bound=none", f"--server.synchronous-steps={first}") for first in (3, 1000))
    assert np.allclose(staged[:3], whole[:3], rtol=1e-9), (staged, whole)
    assert np.allclose(staged[:3], synchronous[0], rtol=0.05) and np.allclose(staged[3:], alone[0], rtol=0.05), (staged, synchronous, alone)
    assert min(synchronous.min(), whole.min()) > 1.5 * max(alone.max(), staged[3:].max()), (synchronous, whole, alone, staged)


def scaling():
    """A table has the numbers of ranks that leave some to work; without --ranks or a grid, too."""
    for keys, numbers in ((("--server.count=3",), ["4", "8"]), (("--sync.secure=true",), ["4", "8"])):
        result = jobs.run([simulate, *common, *keys, "--scaling=1..8"])
        rows = [line.split()[0] for line in result.stdout.splitlines() if re.match(r" *\d+ ", line)]
        assert result.returncode == 0 and rows == numbers, result
    result = jobs.run([simulate, f"--config={source}/inputs/runs/digits_mlp_weak.ini", "--server.count=2", "--scaling=4..8"])
    rows = [line.split()[:2] for line in result.stdout.splitlines() if re.match(r" *\d+ ", line)]
    assert rows == [["4", "200"], ["8", "600"]], result  # of two and of six workers
    result = jobs.run([simulate, *common, "--server.count=9", "--scaling=3..20"])
    assert result.returncode == 0, result
    result = jobs.run([simulate, *common, "--server.count=9", "--scaling=3..11"])
    assert result.returncode == 2 and ("scaling = 3..11: has no number of ranks above server.count = 9, which leaves none to work; the nearest is 3..12"
                                       in result.stderr), result
    assert jobs.run([simulate, *common, "--server.count=3"]).returncode == 0  # on four ranks


def refused(*keys, lines, ranks=4, file=config):
    result = jobs.run([mpiexec, "-n", ranks, train, file, *keys])
    assert result.returncode == 2, result
    for line in lines:
        assert f"partita-train: {line}" in result.stderr.splitlines(), (line, result)


def refusals():
    refused("--server.count=-1", "--server.bound=sometimes", "--server.synchronous-steps=-1",
            lines=("server.count = -1: must be a whole number from 0 to 1048576; the nearest is 0",
                   "server.bound = sometimes: must be a whole number from 0 to 1073741824, or synchronous, or none",
                   "server.synchronous-steps = -1: must be a whole number from 0 to 1000000000; the nearest is 0"))
    refused("--server.count=4", lines=("server.count = 4: leaves no worker among the 4 data ranks; the nearest is 3",))
    refused("--server.count=1", "--grid.weights=1,2", lines=("grid.weights = 1,2: are 2, but the data ranks that take samples are 3; give one for each",))
    # All at once.
    refused("--server.count=1", "--server.bound=3", "--grid.data=2", "--grid.tensor=2", "--sync.split=state", "--sync.compress=powersgd", "--sync.delay=1",
            "--train.clip-norm=1", "--train.deterministic=true", "--sync.local.period=2",
            lines=("server.count = 1: excludes grid.tensor above 1: ranks would have parameters of different steps; the nearest is 0",
                   "server.count = 1: excludes sync.split: servers share the updates already; the nearest is 0",
                   "sync.compress = powersgd: excludes server.count: factors are of sums over all ranks; the nearest is topk",
                   "server.count = 1: excludes sync.delay; the nearest is 0", "server.count = 1: excludes sync.local.period; the nearest is 0",
                   "server.count = 1: excludes train.deterministic=true, whose sums are of even shares; the nearest is 0",
                   "server.bound = 3: excludes train.clip-norm: no server knows the norm of a whole push; the nearest is synchronous"))
    refused("--server.count=1", "--grid.data=2", "--grid.pipeline=2",
            lines=("server.count = 1: excludes grid.pipeline above 1: stages would have parameters of different steps; the nearest is 0",))
    refused("--server.count=2", "--train.optimizer=lamb", "--train.momentum=0",
            lines=("server.count = 2: excludes train.optimizer=lamb, which takes norms of whole tensors; the nearest is 1",))
    refused("--server.count=1", "--server.bound=none", "--sync.compress=fp16", file=f"--config={source}/inputs/runs/digits_cnn_batchnorm.ini",
            lines=("server.count = 1: excludes batchnorm1, whose statistics all data ranks add up in the middle of a pass, where servers have none and "
                   "workers may be in other steps: 'frozen' on its line uses running ones; the nearest is 0",
                   "sync.compress = fp16: excludes asynchronous servers: ranks agree on its scale in each step; the nearest is bf16"))
    refused("--server.count=1", "--strategy=auto",
            lines=("server.count = 1: excludes strategy=auto, whose bounds are those of data ranks and steps that are all alike; the nearest is 0",))
    refused("--server.count=1", "--auto.replan=true", "--train.epochs=2", "--dry-run",
            lines=("auto.replan = true: excludes sync.delay, sync.local.period and server.count: another split takes steps that are all alike; the nearest is false",))
    refused("--server.count=1", "--server.bound=none", "--server.replay=absent.h5", lines=("server.replay = absent.h5: does not exist",))
    for keys in ((), ("--server.count=1",)):
        refused("--server.replay=none.h5", *keys, lines=("server.replay = none.h5: is the order of asynchronous servers: it needs server.count and server.bound",))


with tempfile.TemporaryDirectory() as folder:
    folder = pathlib.Path(folder)
    bytes_and_memory(folder)
    what_is_trained(folder)
    a_rank_that_stands_still_is_named(folder)
    the_start()
    scaling()
    refusals()
