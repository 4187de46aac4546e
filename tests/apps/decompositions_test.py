"""partita-train under every decomposition, as a user runs it: bad input, anatomy of a step, faults, accuracy on real MNIST.

Usage: decompositions_test.py bad_input|described|anatomy|faults|mnist|five_seeds MPIEXEC PARTITA_TRAIN PARTITA_TIMELINE SOURCE_FOLDER
"""
import json
import os
import pathlib
import random
import re
import signal
import subprocess
import sys
import tempfile

sys.path.append(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import jobs

part, mpiexec, train, timeline, source = sys.argv[1:6]
runs = pathlib.Path(source) / "inputs" / "runs"


def run(ranks, *arguments, config="digits_cnn"):
    return jobs.run([mpiexec, "-n", ranks, train, f"--config={runs / config}.ini", *arguments])


def bad_input():
    """Exit 2, all at once in one message from rank 0, with the layer and the nearest valid value."""
    cases = {
        # stages more than layers; micro-batches more than the share of the batch; chunks where there may be none
        (12, "--grid.pipeline=12", "--train.batch=4", "--pipeline.microbatches=5", "--pipeline.chunks=2"): (
            "grid.pipeline = 12: cnn-mnist has 10 layers", "the nearest is 10",
            "pipeline.microbatches = 5: is more than the largest share of the batch on a data rank; the nearest is 4",
            "pipeline.chunks = 2: 1f1b works on one chunk a stage; the nearest is 1"),
        (2, "--grid.pipeline=2", "--pipeline.schedule=gpipe", "--pipeline.chunks=20", "--pipeline.warmup=2"): (
            "pipeline.chunks = 20: cnn-mnist has 10 layers, fewer than 40 chunks; the nearest is 5",
            "pipeline.warmup = 2: belongs to pipeline.schedule=1f1b"),
        (2, "--timeline.steps=2", "--timeline.first=50", "--train.steps=3"): ("timeline.first = 50", "the nearest is 2"),
        (4, "--sync.algorithm=window", "--sync.ranks-per-node=2"): ("sync.algorithm = window", "the nearest is hierarchical"),
        # what a layer cannot do with the tensor axis
        (2, "--grid.tensor=2", "--model.layer=conv 10 kernel=5 placement=colum", "--model.layer=flatten placement=height",
         "--model.layer=linear 10 placement=height", "--model.layer=relu placement=row", "--model.layer=tanh stage=-1"): (
            "model.layer 1", "did you mean 'column'", "model.layer 2 = flatten placement=height: cannot be placed as 'height'",
            "model.layer 3 = linear 10 placement=height: cannot be placed", "model.layer 4 = relu placement=row: cannot be placed",
            "model.layer 5 = tanh stage=-1: stage must be a whole number from 0"),
        # stages that contradict each other
        (2, "--grid.pipeline=2", "--model.layer=flatten", "--model.layer=linear 20 stage=1", "--model.layer=linear 10 stage=0"): (
            "model.layer 2 = linear 20 stage=1: the stages asked for cannot be cut", "model.layer 3 = linear 10 stage=0: the stages asked"),
        (2, "--grid.pipeline=2", "--model.layer=flatten", "--model.layer=linear 10 stage=7"): (
            "model.layer 2 = linear 10 stage=7: there are 2 stages; the nearest is stage=1",),
        # the deterministic mode: no tensor axis, grains that do not divide, other micro-batches
        (6, "--train.deterministic=true", "--grid.data=3", "--grid.tensor=2"): (
            "excludes a tensor axis", "grid.data = 3: must divide the 8 grains of the deterministic mode; the nearest is 2"),
        (2, "--train.deterministic=true", "--train.grains=15"): ("train.grains = 15: must be a power of two; the nearest is 16",),
        (2, "--train.deterministic=true", "--pipeline.microbatches=3"): ("the nearest is 4",),
        (2, "--train.deterministic=true", "--sync.algorithm=ring"): (
            "sync.algorithm = ring: excludes train.deterministic", "the nearest is recursive-doubling"),
        (6, "--grid.pipeline=4", "--grid.data=1"): ("needs 4 ranks but the job has 6", "the nearest valid grid is"),
        (2, "--strategy=layer", "--grid.tensor=2"): ("strategy = layer: excludes grid keys",),
        (2, "--strategy=modell"): ("strategy = modell: must be one of",),
        (2, "--print-program=2"): ("print-program = 2: is no rank of this job; the nearest is 1",),
    }
    for (ranks, *arguments), texts in cases.items():
        result = run(ranks, *arguments)
        assert result.returncode == 2, (arguments, result)
        for text in texts:
            assert result.stderr.count(text) == 1, (arguments, text, result.stderr)


def described():
    """--dry-run tells every role, --print-program one rank's instructions, --strategy what it chose."""
    text = run(8, "--grid.pipeline=2", "--grid.tensor=2", "--dry-run").stdout
    assert text.count("stage 0, tensor rank") == 2 and text.count("stage 1, tensor rank") == 2, text
    for word in ("grid   data=2 pipeline=2 tensor=2", "activations and messages", "pipeline send activation: 8 calls", "idle fraction",
                 "data all_reduce gradient: ", ", by window, loaded "):
        assert word in text, (word, text)
    for arguments, sync in ((("--train.deterministic=true",), "recursive-doubling: chosen by train.deterministic"),
                            (("--train.deterministic=true", "--sync.algorithm=recursive-doubling"), "recursive-doubling: sync.algorithm"),
                            (("--sync.algorithm=ring",), "ring: sync.algorithm"), ((), "auto: each looked up in the table of algorithms")):
        result = run(1, *arguments, "--dry-run")
        assert f"\nsync   all-reduces by {sync}\n" in result.stdout, (arguments, result)
    text = run(2, "--grid.pipeline=2", "--print-program=1").stdout
    assert "receive activation over pipeline peer 0 tag 0" in text and "update" in text, text
    assert "all_reduce metric over pipeline, sum of float64 by window, 2 elements" in text, text
    text = run(2, "--print-program=1", "--sync.algorithm=ring").stdout
    assert "all_reduce gradient over data, sum of float32 by ring, " in text, text
    for strategy, ranks, grid in (("data", 3, "data=3 pipeline=1 tensor=1"), ("layer", 3, "data=1 pipeline=3 tensor=1"),
                                  ("tensor", 3, "data=1 pipeline=1 tensor=3"), ("hybrid", 8, "data=2 pipeline=2 tensor=2")):
        result = run(ranks, f"--strategy={strategy}", "--train.steps=1", "--evaluate.every=0")
        assert result.returncode == 0 and f"strategy {strategy}: grid {grid}" in result.stderr, result


def anatomy():
    """The phases of a step add up to it; the timeline covers it; layers know their stage and placement; ledger sent = received."""
    import h5py
    import numpy

    with tempfile.TemporaryDirectory() as folder:
        # What the deterministic mode chose is what the result names; an evaluation's all-reduces are by the algorithm that was asked for.
        for name, arguments in (("tree", ["--train.deterministic=true"]), ("vendor", ["--grid.tensor=2", "--sync.algorithm=mpi"])):
            result = run(2, "--train.steps=1", "--data.test-samples=40", f"--output={folder}/{name}.h5", *arguments, config="digits_mlp")
            assert result.returncode == 0, result
        with h5py.File(f"{folder}/tree.h5") as tree, h5py.File(f"{folder}/vendor.h5") as vendor:
            assert tree.attrs["algorithm"] == b"recursive-doubling", tree.attrs["algorithm"]
            evaluation = vendor["traffic/activity"][:] == b"evaluate"
            modelled = vendor["traffic/modelled_wire_bytes"][:][evaluation]  # -1: of a library whose inside nobody knows
            assert (modelled.sum() > 0 or (modelled == -1).any()) and not vendor["traffic/window_bytes_read"][:][evaluation].any()
        result = run(4, "--train.steps=12", "--evaluate.every=0", "--grid.pipeline=2", "--grid.tensor=2", "--timeline.steps=2",
                     f"--output={folder}/r.h5", f"--save-model={folder}/m.h5")
        assert result.returncode == 0, result
        assert "name=bubble_fraction" in result.stdout and "name=idle_fraction" in result.stdout and "name=overlap" in result.stdout, result.stdout
        with h5py.File(f"{folder}/r.h5") as file:
            phases = sum(file[f"steps/phase/{name}"][:] for name in file["steps/phase"])
            seconds = file["steps/rank_seconds"][:]
            assert phases.shape == seconds.shape == (12, 4)
            assert abs(phases - seconds).max() <= 1e-9, (phases, seconds)
            assert set(file["model/stage"][:]) == {0, 1}
            assert {b"column", b"row"} & set(file["model/placement"][:]) or b"batch" in set(file["model/placement"][:])
            assert file["traffic/wire_bytes"][:].sum() == file["traffic/wire_bytes_received"][:].sum()
            steps, ranks = file["timeline/step"][:], file["timeline/rank"][:]
            assert set(steps) == {5, 6} and set(ranks) == {0, 1, 2, 3}
            flows = file["timeline/flow"][:]
            _, count = numpy.unique(flows[flows >= 0], return_counts=True)
            assert len(count) and (count == 2).all()
            # Instructions of one rank and step follow each other; in between only transfers are moved on.
            own = (steps == 5) & (ranks == 0) & (file["timeline/queue"][:] == b"compute")
            begin, end = (numpy.sort(file[f"timeline/{name}_seconds"][:][own]) for name in ("start", "end"))
            gaps = begin[1:] - end[:-1]
            assert gaps.min() >= 0 and gaps.sum() <= file["steps/phase/exposed_transfer"][5, 0] + 1e-9, gaps
        trace = json.loads(subprocess.run([timeline, f"{folder}/r.h5"], capture_output=True, text=True, check=True).stdout)
        assert {event["ph"] for event in trace["traceEvents"]} >= {"X", "s", "f", "C", "M"}


def faults():
    """A stage that dies ends the job; a loss that is not finite ends all stages with 1."""
    chosen = random.Random(3)
    for grid in (("--grid.pipeline=3",), ("--grid.pipeline=2", "--grid.tensor=2")):
        ranks = 3 if len(grid) == 1 else 4
        job = subprocess.Popen([mpiexec, "-n", str(ranks), train, f"--config={runs}/digits_mlp.ini", "--train.epochs=1000000", *grid],
                               stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        try:
            jobs.wait_for_line(job, "epoch")
            pids = jobs.wait_for_ranks(job, train, ranks)
            os.kill(chosen.choice(pids), signal.SIGKILL)
            jobs.wait_for_end(job, pids)  # with any code: MPICH 4.2.1's mpiexec says 0 at times
        finally:
            jobs.end(job)
    result = run(4, "--grid.pipeline=2", "--grid.tensor=2", "--train.learning-rate=1e20", "--train.steps=20")
    assert result.returncode == 1 and "STATUS: FAIL" in result.stdout, result


def accuracy(ranks, config, seed, *arguments):
    result = run(ranks, "--train.epochs=2", f"--train.seed={seed}", *arguments, config=config)
    assert result.returncode == 0, result
    return 100 * float(re.search(r"name=test_accuracy value=(\S+)", result.stdout).group(1))


def need_mnist():
    if not os.path.isdir(os.path.join(os.environ.get("PARTITA_DATA_DIR", "/nonexistent"), "mnist")):
        print("SKIPPED: set PARTITA_DATA_DIR to a folder with mnist")
        sys.exit(77)


decompositions = {"data": (2, "mnist_cnn"), "pipeline": (2, "mnist_cnn_pipeline"), "tensor": (2, "mnist_cnn_tensor"),
                  "spatial": (2, "mnist_cnn_spatial"), "hybrid": (8, "mnist_cnn_hybrid")}


def mnist():
    """Two epochs, one seed: data and 2 x 2 x 2 within 0.4 points of one rank."""
    need_mnist()
    one = accuracy(1, "mnist_cnn", 1)
    for name in ("data", "hybrid"):
        reached = accuracy(*decompositions[name], 1)
        print(f"{name} {reached:.2f} %, one rank {one:.2f} %")
        assert abs(reached - one) <= 0.4


def five_seeds():
    """Two epochs, seeds 1 to 5: the mean of every decomposition within 0.15 points of one rank's."""
    need_mnist()
    seeds = range(1, 6)
    one = [accuracy(1, "mnist_cnn", seed) for seed in seeds]
    print("one rank", one, "mean", sum(one) / 5)
    for name, (ranks, config) in decompositions.items():
        reached = [accuracy(ranks, config, seed) for seed in seeds]
        print(name, reached, "mean", sum(reached) / 5)
        assert abs(sum(reached) - sum(one)) / 5 <= 0.15


globals()[part]()
