"""partita-report: result files in, a folder of pictures with one page out."""
import argparse
import os
import pathlib
import re
import shutil
import sys
import tempfile

from .claim import InUse, claimed
from .own_matplotlib import import_matplotlib
from .page import GENERATOR
from .result import BadFile, open as open_result
from .standard_output import guarded
from .versions import ShowVersion

FAILED, BAD_INPUT = 1, 2
# The names of all pictures; of several runs, those of one have its number and name before them.
PICTURES = ("curves", "step_time", "latency", "exchange", "scaling", "phases", "timeline", "timelines", "axes", "matrix", "memory")
DESCRIPTION = """Draws result files: loss and accuracy, step times, phases, memory and traffic by rank, the timeline of a step,
scaling over several files. Writes a folder with every picture as PNG and SVG, and index.html, which holds them all and needs
nothing else."""


def parse(arguments, version):
    parser = argparse.ArgumentParser("partita-report", description=DESCRIPTION, allow_abbrev=False,
                                     epilog="Exit status: 0; 1 when the report cannot be written; 2 for bad input.")
    parser.add_argument("results", nargs="+", metavar="RESULT.h5")
    parser.add_argument("-o", "--output", metavar="DIR", help="the folder to make; default: a-report for a.h5, b.1.report for b.1")
    parser.add_argument("--overwrite", action="store_true", help="replace an existing report")
    parser.add_argument("--version", action=ShowVersion, version=version)
    return parser.parse_args(arguments)


def check_folder(folder, overwrite):
    """What forbids to make the folder, or nothing. Only a report or an empty folder is ever replaced."""
    parent = folder.absolute().parent
    if not parent.is_dir():
        return f"{folder}: the folder {parent} does not exist"
    if not os.access(parent, os.W_OK | os.X_OK):
        return f"{folder}: the folder {parent} is not writable"
    if not os.path.lexists(folder):
        return None
    if not is_report(folder):
        return f"{folder}: exists and is not a report: name another with -o"
    foreign = sorted(path.name for path in folder.iterdir() if not is_of_report(path))
    if foreign:
        return f"{folder}: holds {foreign[0]}, which no report makes: move it away, or name another folder with -o"
    return None if overwrite else f"{folder}: exists: --overwrite replaces it"


def is_report(folder):
    if folder.is_symlink() or not folder.is_dir():
        return False
    if not any(folder.iterdir()):
        return True
    page = folder / "index.html"
    return page.is_file() and GENERATOR.encode() in page.read_bytes()[:2000]


def is_of_report(path):
    """Whether a report makes a file of this name."""
    name, _, suffix = path.name.rpartition(".")
    made = path.name == "index.html" or suffix in ("png", "svg") and (name in PICTURES or re.fullmatch(
        rf"\d+_[A-Za-z0-9._-]*_({'|'.join(PICTURES)})", name))
    return bool(made) and path.is_file() and not path.is_symlink()


def named_twice(paths):
    """The paths that name a file once more."""
    seen, twice = set(), []
    for path in paths:
        place = os.path.realpath(path)
        if place in seen:
            twice.append(f"{path}: is named twice; every run counts once")
        seen.add(place)
    return twice


def write_folder(folder, files):
    """All or nothing: the files go to a folder beside it, which is then renamed."""
    folder = folder.absolute()
    made = pathlib.Path(tempfile.mkdtemp(prefix=f".{folder.name}.", suffix=".partial", dir=folder.parent))
    try:
        made.chmod(0o777 & ~current_umask())
        for name, content in files.items():
            with (made / name).open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
        if folder.exists():
            old = made.with_suffix(".old")
            folder.rename(old)
            try:
                made.rename(folder)
            except BaseException:
                old.rename(folder)
                raise
            shutil.rmtree(old)
        else:
            made.rename(folder)
    except BaseException:
        shutil.rmtree(made, ignore_errors=True)
        raise


def current_umask():
    mask = os.umask(0)
    os.umask(mask)
    return mask


def make_report(paths, folder, overwrite):
    """Reads all, draws all, then writes. Raises BadFile with everything that is wrong."""
    runs, wrong = [], named_twice(paths)
    for path in paths:
        try:
            runs.append(open_result(path))
        except BadFile as refused:
            wrong.append(str(refused))
    refused = check_folder(folder, overwrite)
    if refused:
        wrong.append(refused)
    if wrong:
        raise BadFile("\n".join(wrong))
    import_matplotlib()
    from .contents import NO_TIMELINE, Report
    from .style import drawing
    with drawing():
        report = Report(runs)
    write_folder(folder, report.files)
    for _, run in report.runs:
        if "steps" in run and "timeline" not in run:
            print(f"partita-report: note: {run.path}: {NO_TIMELINE}", file=sys.stderr)


def main(arguments, version):
    return guarded("partita-report", lambda: answer(arguments, version))


def default_folder(result):
    """Another one for every name: a.h5's is a-report, a.1's a.1.report."""
    name = pathlib.Path(result).name
    return name.removesuffix(".h5") + "-report" if name.endswith(".h5") else name + ".report"


def answer(arguments, version):
    for stream in filter(None, (sys.stdout, sys.stderr)):  # the bytes of a path, whatever they are
        stream.reconfigure(errors="surrogateescape")
    options = parse(arguments, version)
    folder = pathlib.Path(options.output or default_folder(options.results[0]))
    try:
        with claimed(folder, "partita-report"):
            make_report(options.results, folder, options.overwrite)
    except InUse as taken:
        print(f"partita-report: {folder}: {taken}", file=sys.stderr)
        return BAD_INPUT
    except BadFile as refused:
        print(f"partita-report: {refused}", file=sys.stderr)
        return BAD_INPUT
    except OSError as failed:
        print(f"partita-report: {folder}: cannot be written: {failed.strerror or failed}", file=sys.stderr)
        return FAILED
    print(folder / "index.html")
    return 0
