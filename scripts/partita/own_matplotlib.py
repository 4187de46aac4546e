"""Imports matplotlib for the program, without what its user configured: a matplotlibrc wherever it lies (the one in this folder comes
before all others), MPLBACKEND, a home that is none.

What was imported already, by a Python program that draws with this package, stays as it is; `style.drawing` sets its settings
back for as long as a picture is drawn.
"""
import atexit
import contextlib
import logging
import os
import pathlib
import shutil
import tempfile


def has_folder():
    """Whether there is a place for matplotlib's list of fonts; without a home it ends with an error."""
    with contextlib.suppress(RuntimeError):
        return bool(os.environ.get("MPLCONFIGDIR") or pathlib.Path.home())
    return False


def import_matplotlib():
    logging.getLogger("matplotlib").setLevel(logging.ERROR)  # a folder that cannot be written is replaced without a word
    os.environ.pop("MPLBACKEND", None)
    if not has_folder():
        os.environ["MPLCONFIGDIR"] = tempfile.mkdtemp()
        atexit.register(shutil.rmtree, os.environ["MPLCONFIGDIR"], ignore_errors=True)
    here = os.open(".", os.O_PATH)
    try:
        os.chdir(pathlib.Path(__file__).parent)  # the first place where a matplotlibrc is looked for
        import matplotlib.figure  # noqa: F401
    finally:
        os.fchdir(here)
        os.close(here)
