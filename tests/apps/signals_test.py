"""USR1, TERM and INT in every program and every phase: what trains checkpoints and ends with 75, all else ends with a word.

When a signal comes is decided by events: it is pending when the program starts, is raised inside a call of MPI (raise_at.cpp), or
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


def check_checkpointed(result, folder):
    assert result.returncode == 75 and "STATUS: FAIL checkpointed on a signal" in result.stdout, result
    assert list(pathlib.Path(folder).glob("*.checkpoints/step-*/manifest.h5")), result


def commands(folder):
    """Of every program one that would have work to do."""
    trained, model = f"{folder}/trained.h5", f"{folder}/model.h5"
    made = run(program("train"), *short, "--timeline.steps=1", f"--output={trained}", f"--save-model={model}")
    assert made.returncode == 0, made
    copy = shutil.copy(trained, f"{folder}/copy.h5")
    return {"infer": (config, f"--load-model={model}"),
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
        for number in SIGNALS:
            with tempfile.TemporaryDirectory() as own:
                check_checkpointed(run(program("train"), *short, f"--output={own}/r.h5", number=number), own)
                result = run(program("sweep"), sweep_config, "--sweep.ranks=1", f"--output={own}/s", number=number)
                assert result.returncode == 75 and "--resume" in result.stdout + result.stderr, result
        # Nothing to go on from: an end, and not that of a whole run.
        result = run(program("train"), *short, number=signal.SIGUSR1)
        assert result.returncode == 1 and "interrupted by a signal" in result.stdout, result
        # What a shell put into the background without job control ignores INT.
        result = jobs.run((program("compare"), *of["compare"]),
                          preexec_fn=lambda: (signal.signal(signal.SIGINT, signal.SIG_IGN), os.kill(os.getpid(), signal.SIGINT)))
        assert result.returncode == 0, result


def around_mpi():
    """Signals while MPI starts and ends, with and without a launcher."""
    with tempfile.TemporaryDirectory() as folder:
        of = {name: (program(name), *arguments) for name, arguments in commands(folder).items()
              if name in ("infer", "bench-comm", "bench-kernels")}
        for at in ("before MPI_Init_thread", "after MPI_Init_thread", "before MPI_Finalize", "after MPI_Finalize"):
            for name, command in of.items():
                result = run(*command, number=signal.SIGUSR1, at=at)
                check_ended(result, name, signal.SIGUSR1)
        for number in SIGNALS:
            for at in ("after MPI_Init_thread", "before MPI_Comm_dup"):
                for rank in (None, 1):
                    with tempfile.TemporaryDirectory() as own:
                        launched = () if rank is None else (mpiexec, "-n", "2")
                        check_checkpointed(run(*launched, program("train"), *short, f"--output={own}/r.h5", number=number, at=at, rank=rank), own)
        for at in ("before MPI_Finalize", "after MPI_Finalize"):  # nothing is left to stop
            result = run(program("train"), *short, number=signal.SIGUSR1, at=at)
            assert result.returncode == 0 and "STATUS: PASS" in result.stdout, (at, result)
        for number in SIGNALS:
            # The other rank may die of what the first takes along: the launcher's code is theirs together.
            result = run(mpiexec, "-n", "2", *of["infer"], number=number, at="before MPI_Comm_dup", rank=1)
            assert result.returncode != 0 and f"partita-infer: ended by {signal.Signals(number).name}" in result.stderr, result


def while_measuring():
    """A signal in the middle of work that reports nothing but lines."""
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


{"at_start": at_start, "around_mpi": around_mpi, "while_measuring": while_measuring}[part]()
