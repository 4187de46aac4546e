"""A training that cannot go on: numbers that are not finite name the step and the layer, a rank that stands still is named with what it did.

Usage: faults_test.py divergence|stopped_rank MPIEXEC PARTITA_TRAIN PARTITA_COMPARE SOURCE_DIR
"""
import os
import pathlib
import re
import signal
import shutil
import subprocess
import sys
import tempfile
import time

import h5py
import numpy

sys.path.append(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import jobs

part, mpiexec, train, compare, source = sys.argv[1:]
RUN = pathlib.Path(source) / "inputs/runs/digits_cnn.ini"


def command(ranks, *arguments):
    return [mpiexec, "-n", str(ranks), train, "--config", str(RUN), "--evaluate.every=0", "--data.train-samples=640", *arguments]


def diverged(folder, ranks, wanted, *arguments):
    """Runs into infinity: the last line and the file say where, alike on every grid."""
    output = pathlib.Path(folder) / "diverged.h5"
    run = jobs.run(command(ranks, f"--output={output}", "--overwrite", *arguments))
    last = run.stdout.splitlines()[-1]
    assert run.returncode == 1 and last == f"STATUS: FAIL {wanted}", (arguments, run.returncode, last, run.stderr)
    with h5py.File(output) as file:
        assert file.attrs["status"].decode() == "invalid" and file.attrs["status_reason"].decode() == wanted, dict(file.attrs)
        return output, file["steps/loss"].shape[0]


def divergence():
    with tempfile.TemporaryDirectory() as folder:
        # One update makes the parameters about 1e29, whose products are beyond float32 in the second layer.
        output_diverged = "step 1 diverged: the output of layer conv2 is the first that is not finite"
        for ranks, grid in (1, []), (2, []), (2, ["--grid.pipeline=2"]), (2, ["--grid.tensor=2"]), (4, ["--grid.pipeline=2", "--grid.tensor=2"]):
            _, steps = diverged(folder, ranks, output_diverged, "--train.learning-rate=1e30", *grid)
            # A kernel may turn NaN into 0, so that the loss of that step is finite: the next one is not.
            assert 2 <= steps <= 3, f"{steps} steps on {ranks} ranks {grid}"
        # The first update itself overflows; the step after it would be the second.
        parameter_diverged = "step 0 diverged: a parameter of layer conv1 is the first that is not finite"
        for ranks, more in (1, []), (2, ["--train.steps=1"]), (2, ["--grid.pipeline=2"]), (2, ["--train.deterministic=true"]):
            file, steps = diverged(folder, ranks, parameter_diverged, "--train.learning-rate=1e30", "--train.weight-decay=1e30", *more)
            assert steps <= 2, steps
        evaluation(folder)
        other = shutil.copy(file, f"{folder}/other.h5")
        refused = jobs.run([compare, file, other])
        assert refused.returncode == 2 and "invalid" in refused.stderr, refused


def evaluation(folder):
    """Running statistics that training does not read make the evaluation infinite: no success, and no target reached."""
    with h5py.File(f"{folder}/far.h5", "w") as model:
        for name, value in (("running_mean", 1e38), ("running_var", 0)):
            model[f"parameters/batchnorm1/{name}"] = numpy.full(10, value, numpy.float32)
    wanted = "the test loss is not finite after epoch 2"
    for ranks, grid in (1, []), (2, []), (2, ["--grid.pipeline=2"]), (2, ["--grid.tensor=2"]):
        output = f"{folder}/evaluated.h5"
        run = jobs.run([mpiexec, "-n", str(ranks), train, f"--config={RUN}", "--data.train-samples=640", "--data.test-samples=50", *grid,
                        "--model.layer=flatten", "--model.layer=linear 10", "--model.layer=batchnorm affine=false momentum=0",
                        f"--load-model={folder}/far.h5", "--evaluate.every=2", "--train.epochs=3", "--train.target-accuracy=1e-9",
                        "--checkpoint.every=1000", f"--output={output}", "--overwrite"])
        assert run.returncode == 1 and run.stdout.splitlines()[-1] == f"STATUS: FAIL {wanted}", (grid, run.returncode, run.stdout, run.stderr)
        with h5py.File(output) as file:
            assert file.attrs["status"].decode() == "invalid" and file.attrs["status_reason"].decode() == wanted, dict(file.attrs)
            assert numpy.isfinite(file["steps/loss"][()]).all() and len(file["epochs/test_loss"]) == 2
        assert not list(pathlib.Path(folder).glob("evaluated.checkpoints/step-*/manifest.h5"))


def stopped_rank():
    limit = 3.0
    job = subprocess.Popen(command(3, "--grid.pipeline=3", "--train.epochs=1000000", f"--watchdog.seconds={limit}"),
                           stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        ranks = sorted(jobs.wait_for_ranks(job, train, 3))
        jobs.wait_for_line(job, "epoch")
        # All together for longer than the limit: nothing is wrong then.
        for pid in ranks:
            os.kill(pid, signal.SIGSTOP)
        time.sleep(limit + 1.5)
        for pid in ranks:
            os.kill(pid, signal.SIGCONT)
        jobs.wait_for_line(job, "epoch")
        begin = time.time()
        os.kill(ranks[1], signal.SIGSTOP)
        _, text = job.communicate(timeout=jobs.LIMIT_SECONDS)
        seconds = time.time() - begin
    finally:
        jobs.end(job)
    assert job.returncode == 1, (job.returncode, text)
    stuck = [line for line in text.splitlines() if re.match(r"watchdog: verdict: rank \d has not .*its process is stopped, in `\w+", line)]
    assert stuck, text
    for rank in range(3):
        assert re.search(rf"^  rank {rank}: .* on (pipeline|world)", text, re.M), text
    print(f"{seconds:.1f} s after the stop: {stuck[0]}; load {os.getloadavg()}")


{"divergence": divergence, "stopped_rank": stopped_rank}[part]()
