"""Keeps other processes from what is being written, as the other programs do: a lock of the operating system on `.NAME.lock` beside it,
which ends with its process however that ends."""
import contextlib
import datetime
import errno
import fcntl
import os
import socket

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
            os.pwrite(lock, holder(program).encode(errors="surrogateescape"), 0)
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
            text = os.pread(lock, 512, 0).decode(errors="replace") or "of which nothing is known"
            os.close(lock)
            if refused.errno == errno.EWOULDBLOCK:
                raise InUse(f"is in use by another job: {text}") from None
            return None
        os.close(lock)  # it was deleted by who had it, between our calls
    return None


def holder(program):
    jobs = [f"job {os.environ[name]}" for name in JOBS if name in os.environ]
    now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    return ", ".join([program, f"process {os.getpid()} on {socket.gethostname()}", *jobs, f"since {now}"])
