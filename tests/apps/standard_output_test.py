"""Standard output that refuses, is closed, or whose reader leaves: every program says so, and none loses what it was asked to write.

Usage: standard_output_test.py FOLDER_OF_THE_PROGRAMS MPIEXEC SOURCE_FOLDER
"""
import os
import pathlib
import subprocess
import sys
import tempfile

import h5py

sys.path.append(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import jobs

programs, mpiexec, source = map(pathlib.Path, sys.argv[1:4])
NAMES = ("train", "infer", "sweep", "compare", "data", "timeline", "bench-comm", "bench-kernels", "report", "calibrate")
RUN = (f"--config={source}/inputs/runs/digits_mlp.ini", "--train.steps=2", "--data.train-samples=200", "--data.test-samples=100")


def full():
    return os.open("/dev/full", os.O_WRONLY)


def left():
    """A pipe that nobody reads any more."""
    reader, writer = os.pipe()
    os.close(reader)
    return writer


def start(stdout, name, *arguments, launcher=()):
    """A program whose standard output is what `stdout` opens; None: closed."""
    command = [*map(str, launcher), str(programs / f"partita-{name}"), *map(str, arguments)]
    if stdout is None:
        return subprocess.Popen(["sh", "-c", '"$@" >&-', "sh", *command], stderr=subprocess.PIPE, text=True)
    descriptor = stdout()
    try:
        return subprocess.Popen(command, stdout=descriptor, stderr=subprocess.PIPE, text=True)
    finally:
        os.close(descriptor)


def ends(process, code, text=""):
    _, errors = process.communicate(timeout=jobs.LIMIT_SECONDS)
    assert process.returncode == code and text in errors and "Traceback" not in errors, (process.args, process.returncode, errors)
    if code == 0:
        assert "standard output" not in errors, errors


def answers():
    """--help and --version of every program, and the other answers without a run."""
    refused = [start(full, name, switch) for name in NAMES for switch in ("--help", "--version")]
    refused += [start(full, *words) for words in (("train", *RUN, "--print-config"), ("train", *RUN, "--dry-run"),
                                                  ("sweep", f"--config={source}/inputs/sweeps/digits_learning_rate_batch.ini", "--dry-run"))]
    for process in refused:
        ends(process, 1, "cannot write to standard output: No space left on device")
    closed = [start(None, name, "--help") for name in NAMES]
    unread = [start(left, name, "--help") for name in NAMES]
    for process in closed:
        ends(process, 1, "cannot write to standard output: Bad file descriptor")
    for process in unread:
        ends(process, 0)


def work():
    """What a program writes is whole, whatever became of its standard output."""
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)

        def complete(path):
            with h5py.File(path) as file:
                return file.attrs["status"] in (b"complete", "complete")

        # The log prints from the beginning on.
        files = f"--output={folder}/a.h5", f"--save-model={folder}/model.h5"
        ends(start(left, "train", *RUN, "--log.mlperf=true", *files), 0)
        assert complete(folder / "a.h5") and (folder / "model.h5").exists()
        # The launcher itself, which passes the lines on, may die of it: what a rank prints comes after what it writes.
        start(left, "train", *RUN, f"--output={folder}/b.h5", launcher=(mpiexec, "-n", 1)).communicate(timeout=jobs.LIMIT_SECONDS)
        assert complete(folder / "b.h5")
        ends(start(full, "train", *RUN, f"--output={folder}/c.h5"), 1, "cannot write to standard output: No space")
        ends(start(None, "train", *RUN, f"--output={folder}/d.h5"), 1, "cannot write to standard output: Bad file")
        assert complete(folder / "c.h5") and complete(folder / "d.h5")
        ends(start(full, "infer", *RUN, f"--load-model={folder}/model.h5", f"--output={folder}/e.h5"), 1, "No space")
        assert complete(folder / "e.h5")
        ends(start(full, "bench-comm", "--bytes=64", "--samples=1", f"--output={folder}/f.h5"), 1, "No space")
        assert complete(folder / "f.h5")
        ends(start(full, "data", "generate", "--train-samples=20", "--test-samples=20", f"--output={folder}/set"), 1, "No space")
        ends(start(full, "report", folder / "a.h5", f"--output={folder}/report"), 1, "No space")
        ends(start(left, "report", folder / "a.h5", f"--output={folder}/report", "--overwrite"), 0)
        assert (folder / "report" / "index.html").exists() and len(list((folder / "set").iterdir())) >= 4


answers()
work()
