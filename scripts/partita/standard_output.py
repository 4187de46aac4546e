"""What becomes of a program's standard output, as of the other programs'."""
import errno
import os
import sys


def guarded(name, work):
    """Runs `work` and gives the exit code. A reader that leaves (`| head`) stops nothing; where standard output refuses what is
    printed for any other reason, work that succeeded ends with 1, which is said on standard error."""
    # A file that is opened must not become a standard stream that is closed: something else takes its number, the lowest free one.
    while (descriptor := os.open(os.devnull, os.O_RDONLY)) <= 2:
        pass
    os.close(descriptor)
    code, refusal = 0, None
    try:
        code = work()
    except SystemExit as ended:  # of the command line's parser
        code = ended.code or 0
    except OSError as failed:
        refusal = failed
    if refusal is None:
        refusal = flush()
    if refusal is None or isinstance(refusal, BrokenPipeError):
        return code
    print(f"{name}: cannot write to standard output: {refusal.strerror}", file=sys.stderr)
    return code or 1


def flush():
    """Why standard output could not be written; nothing where it could."""
    if sys.stdout is None:  # it was closed when the interpreter started
        return OSError(errno.EBADF, os.strerror(errno.EBADF))
    try:
        sys.stdout.flush()
    except OSError as failed:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # or the interpreter would try again
        return failed
    return None
