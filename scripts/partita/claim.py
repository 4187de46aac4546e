"""Keeps other processes from what is being written, as the other programs do: a lock of the operating system on `.NAME.lock` beside it,
which ends with its process however that ends."""
import contextlib
import datetime
import errno
import fcntl
import os
import socket
import time

JOBS = ("SLURM_JOB_ID", "PBS_JOBID", "LSB_JOBID")


class InUse(Exception):
    """Another process has it."""


@contextlib.contextmanager
def claimed(path, program):
    """While the block runs. Where nothing can be written, or the file system has no locks, nothing is claimed."""
    path = path.absolute()
    place = path.parent.resolve() / f".{path.name}.lock"
    lock = take(place)
    try:
        if lock is not None:
            os.truncate(lock, 0)
            os.pwrite(lock, f"{holder(program)}\n".encode(errors="surrogateescape"), 0)
        yield
    finally:
        if lock is not None:
            place.unlink(missing_ok=True)
            os.close(lock)


def take(place):
    """The descriptor of the lock, or nothing. Raises InUse."""
    for _ in range(100):
        try:
            lock = os.open(place, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666)
        except OSError:
            return None
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.samestat(os.fstat(lock), os.stat(place)):
                return lock
        except FileNotFoundError:
            pass
        except OSError as refused:
            text = read_holder(lock) if refused.errno == errno.EWOULDBLOCK else None
            os.close(lock)
            if text is not None:
                raise InUse(f"is in use by another job: {text}") from None
            return None
        os.close(lock)  # it was deleted by who had it, between our calls
    return None


def read_holder(lock, most_looks=20):
    """Who has the lock says so a moment after it has taken it: until there is a line, another look is worth it."""
    for look in range(most_looks):
        time.sleep(0.005 if look else 0)
        line, end, _ = os.pread(lock, 512, 0).partition(b"\n")
        if end:
            break
    return line.decode(errors="replace") or "of which nothing is known"


def holder(program):
    jobs = [f"job {os.environ[name]}" for name in JOBS if name in os.environ]
    now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    return ", ".join([program, f"process {os.getpid()} on {socket.gethostname()}", *jobs, f"since {now}"])
