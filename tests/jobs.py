"""Jobs that tests start: run to their end, waited for by what they do, ended by process id.

No limit here judges a machine. They end what hangs, so that a test that fails says why before CTest ends it.
"""
import os
import pathlib
import signal
import subprocess
import time

LIMIT_SECONDS = 600


def run(command, **options):
    """A command, until it ends; what it printed as text."""
    options = {"capture_output": True, "text": True, "timeout": LIMIT_SECONDS} | options
    return subprocess.run([word if isinstance(word, bytes) else str(word) for word in command], **options)


def run_begun(command, sign, attempts=4):
    """The same of a command that may be kept waiting before it begins, which it tells by `sign`: then it is started again."""
    for attempt in range(attempts):
        try:
            return run(command, timeout=LIMIT_SECONDS / 6)
        except subprocess.TimeoutExpired as late:
            said = late.stdout or b""
            assert attempt + 1 < attempts and sign not in (said if isinstance(said, str) else said.decode()), said


def wait_for(what, happened, job=None, poll_seconds=0.01):
    """Until `happened()` is true, which is returned; fails where the job ends before, or nothing happens for very long."""
    until = time.monotonic() + LIMIT_SECONDS
    while not (found := happened()):
        over = job is not None and job.poll() is not None
        if over and (found := happened()):
            break
        assert not over, f"the job ended with {job.returncode} before {what}"
        assert time.monotonic() < until, f"no {what} in {LIMIT_SECONDS} s"
        time.sleep(poll_seconds)
    return found


def wait_for_line(job, start):
    """Until the job has said a line that begins so on its standard error, which is a pipe."""
    said = []
    for line in job.stderr:
        said.append(line)
        if line.startswith(start):
            return line
    raise AssertionError(f"the job ended without '{start}': {''.join(said)}")


def descendants(pid):
    try:
        children = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        children = []
    return [process for child in map(int, children) for process in (child, *descendants(child))]


def ranks_of(job, program):
    """Processes of the program that this job started, in no order."""
    def executes(pid):
        try:
            return os.readlink(f"/proc/{pid}/exe") == os.path.realpath(program)
        except OSError:
            return False
    return [pid for pid in descendants(job.pid) if executes(pid)]


def wait_for_ranks(job, program, count):
    """The process ids of all ranks, once they are there."""
    return wait_for(f"{count} ranks", lambda: len(found := ranks_of(job, program)) == count and found, job)


def state_of(pid):
    """What a process does, by the letter that ps shows; one that has ended may still be in its parent's list (Z)."""
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return "X"


def is_running(pid):
    """Whether a process computes or waits."""
    return state_of(pid) not in "ZX"


def wait_for_end(job, pids=()):
    """Until the job and these processes of it have ended; the job's exit code."""
    code = job.wait(LIMIT_SECONDS)
    wait_for(f"end of {pids}", lambda: not any(map(is_running, pids)))
    return code


def end(job, number=signal.SIGKILL):
    """What is left of a job, by process id."""
    for pid in [*descendants(job.pid), job.pid] if job.poll() is None else []:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            pass
    job.wait(LIMIT_SECONDS)
