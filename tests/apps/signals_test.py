"""USR1, TERM and INT in every program and every phase: what has begun to train checkpoints and ends with 75, all else ends with a word.

When a signal comes is decided by events: it is pending when the program starts, is raised inside a call (raise_at.cpp), or
is sent when a line was seen. Usage: signals_test.py PART MPIEXEC RAISE_AT_LIBRARY PROGRAMS_FOLDER SOURCE_FOLDER
"""
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile

sys.path.append(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import jobs

part, mpiexec, raise_at, programs, source = sys.argv[1:6]
SIGNALS = (signal.SIGUSR1, signal.SIGTERM, signal.SIGINT)
config = f"--config={source}/inputs/runs/digits_mlp.ini"
sweep_config = f"--config={source}/inputs/sweeps/digits_learning_rate_batch.ini"
# Ends by itself, so that a signal that was missed shows as success.
short = (config, "--train.steps=20", "--evaluate.every=0")


def program(name):
    return f"{programs}/partita-{name}"


def pending(number):
    """In the child, before it becomes the program: the signal has come, and is held back."""
    def prepare():
        signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        os.kill(os.getpid(), number)
    return prepare


def run(*command, number=None, at=None, rank=None):
    variables = {}
    if at:
        variables = {"LD_PRELOAD": raise_at, "RAISE_AT": at, "RAISE_SIGNAL": str(int(number))}
        if rank is not None:
            variables["RAISE_RANK"] = str(rank)
    return jobs.run(command, env=os.environ | variables, preexec_fn=pending(number) if number and not at else None)


def check_ended(result, name, number):
    """The code is what shells say of a process that the signal ended."""
    assert result.returncode == 128 + number, (name, result)
    assert f"partita-{name}: ended by {number.name}\n" in result.stderr, (name, result)


def commands(folder):
    """Of every program one that would have work to do. What trains writes into a folder of its own."""
    trained, model = f"{folder}/trained.h5", f"{folder}/model.h5"
    made = run(program("train"), *short, "--timeline.steps=1", f"--output={trained}", f"--save-model={model}")
    assert made.returncode == 0, made
    copy = shutil.copy(trained, f"{folder}/copy.h5")
    return {"train": (*short, f"--output={folder}/r.h5"),
            "sweep": (sweep_config, "--sweep.ranks=1", f"--output={folder}/swept"),
            "infer": (config, f"--load-model={model}"),
            "bench-comm": ("--bytes=64", "--samples=2"),
            "bench-kernels": ("--benchmark_filter=recording",),
            "compare": (trained, copy, "--no-gate"),
            "data": ("generate", "--output", f"{folder}/set"),
            "timeline": (trained, "--output", f"{folder}/trace.json"),
            "report": (trained, "-o", f"{folder}/report")}


def at_start():
    """Signals that wait when the program starts."""
    with tempfile.TemporaryDirectory() as folder:
        of = commands(folder)
        before = sorted(os.listdir(folder))
        for number in SIGNALS:
            for name, arguments in of.items():
                check_ended(run(program(name), *arguments, number=number), name, number)
        assert sorted(os.listdir(folder)) == before, os.listdir(folder)
        # What a shell put into the background without job control ignores INT.
        result = jobs.run((program("compare"), *of["compare"]),
                          preexec_fn=lambda: (signal.signal(signal.SIGINT, signal.SIG_IGN), os.kill(os.getpid(), signal.SIGINT)))
        assert result.returncode == 0, result


def around_mpi():
    """Signals while MPI starts and ends, with and without a launcher."""
    with tempfile.TemporaryDirectory() as folder:
        of = {name: (program(name), *arguments) for name, arguments in commands(folder).items()
              if name in ("train", "sweep", "infer", "bench-comm", "bench-kernels")}
        before = sorted(os.listdir(folder))
        for at in ("before MPI_Init_thread", "after MPI_Init_thread"):
            for name, command in of.items():
                check_ended(run(*command, number=signal.SIGUSR1, at=at), name, signal.SIGUSR1)
        for number in SIGNALS:
            for name in ("train", "infer"):
                # The other rank may die of what the first takes along, and MPICH 4.2.1's mpiexec says 0 at times of ranks that signals
                # ended: the launcher's code tells nothing.
                result = run(mpiexec, "-n", "2", *of[name], number=number, at="before MPI_Comm_dup", rank=1)
                assert f"partita-{name}: ended by {number.name}\n" in result.stderr, result
        assert sorted(os.listdir(folder)) == before, os.listdir(folder)
        for at in ("before MPI_Finalize", "after MPI_Finalize"):
            for name in ("infer", "bench-comm", "bench-kernels"):
                check_ended(run(*of[name], number=signal.SIGUSR1, at=at), name, signal.SIGUSR1)
            result = run(program("train"), *short, number=signal.SIGUSR1, at=at)  # nothing is left to stop
            assert result.returncode == 0 and "STATUS: PASS" in result.stdout, (at, result)


def around_checkpoints():
    """Signals while --overwrite removes the checkpoints of an earlier run, and while one is taken up: there will be one."""
    with tempfile.TemporaryDirectory() as folder:
        command = (mpiexec, "-n", "2", program("train"), *short, "--checkpoint.every=10", f"--output={folder}/r.h5")
        checkpoints = pathlib.Path(folder) / "r.checkpoints"
        made = run(*command)
        assert made.returncode == 0 and (checkpoints / "step-20").exists(), made
        for at, how, steps in (("after unlinkat", "--overwrite", {"step-1"}), ("before the first window", "--resume", {"step-1", "step-2"})):
            result = run(*command, how, number=signal.SIGUSR1, at=at, rank=0)
            assert result.returncode == 75 and "STATUS: FAIL checkpointed on a signal; submit again with --resume" in result.stdout, (at, result)
            assert {name for name in os.listdir(checkpoints) if name.startswith("step-")} == steps, (at, os.listdir(checkpoints))


def while_mpi_starts():
    """Signals while a rank waits for another that never comes. What it says and its code are its own: of the launcher's, which may be
    talking to it at that moment, nothing is known."""
    with tempfile.TemporaryDirectory() as folder:
        own, errors, code = (pathlib.Path(folder) / name for name in ("own", "errors", "code"))
        script = f'"$@" 2>{errors}; echo $? >{code}.partial; mv {code}.partial {code}'
        of = {"train": (*short, f"--output={own}/r.h5"), "sweep": (sweep_config, f"--output={own}/swept"),
              "infer": (config,), "bench-comm": (), "bench-kernels": ()}
        for name, arguments in of.items():
            for number in SIGNALS if name == "train" else SIGNALS[:1]:
                own.mkdir()
                job = subprocess.Popen((mpiexec, "-n", "1", "sh", "-c", script, "sh", program(name), *arguments, ":",
                                        "-n", "1", "sleep", str(jobs.LIMIT_SECONDS)), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                       env=os.environ | {"LD_PRELOAD": raise_at, "RAISE_AT": "before MPI_Init_thread", "RAISE_SIGNAL": "0"})
                try:
                    jobs.wait_for("start of MPI", lambda: errors.exists() and "before MPI_Init_thread" in errors.read_text(), job)
                    rank, = jobs.ranks_of(job, program(name))
                    jobs.wait_for("rank that waits", lambda rank=rank: jobs.state_of(rank) == "S", job)
                    os.kill(rank, number)
                    jobs.wait_for("end", code.exists)
                    assert code.read_text() == f"{128 + number}\n" and f"partita-{name}: ended by {number.name}\n" in errors.read_text(), \
                        (code.read_text(), errors.read_text())
                finally:
                    jobs.end(job)
                own.rmdir()  # nothing was written
                errors.unlink(), code.unlink()


def while_measuring():
    """A signal in the middle of work that reports nothing but lines, and of training that cannot be gone on with."""
    child = subprocess.Popen((program("train"), config, "--train.epochs=1000000"), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        jobs.wait_for_line(child, "epoch")
        child.send_signal(signal.SIGUSR1)
        out, _ = child.communicate(timeout=jobs.LIMIT_SECONDS)
        assert child.returncode == 1 and "STATUS: FAIL interrupted by a signal, nothing could be checkpointed" in out, (child.returncode, out)
    finally:
        jobs.end(child)
    for number in SIGNALS:
        child = subprocess.Popen((program("bench-comm"), "--bytes=16777216", "--samples=10000"), stdout=subprocess.DEVNULL,
                                 stderr=subprocess.PIPE, text=True)
        try:
            jobs.wait_for_line(child, "Running")
            child.send_signal(number)
            _, errors = child.communicate(timeout=jobs.LIMIT_SECONDS)
            assert child.returncode == 128 + number and f"partita-bench-comm: ended by {number.name}\n" in errors, (child.returncode, errors)
        finally:
            jobs.end(child)


{f.__name__: f for f in (at_start, around_mpi, around_checkpoints, while_mpi_starts, while_measuring)}[part]()
