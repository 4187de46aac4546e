"""Skips visibly, with exit code 77, where a package is missing."""
import importlib.util
import sys


def require(*names):
    missing = [name for name in names if importlib.util.find_spec(name) is None]
    if missing:
        print("SKIP: no package", ", ".join(missing), "for", sys.executable)
        sys.exit(77)
