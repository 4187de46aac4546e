"""partita-report as a user runs it: on real runs, on bad input, into folders that exist, onto a disk that is full.

usage: program_test.py PARTITA_REPORT MPIEXEC PARTITA_TRAIN SOURCE_FOLDER
"""
import os
import pathlib
import resource
import shutil
import signal
import subprocess
import sys
import tempfile

sys.path.append(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import jobs
import packages

packages.require("h5py", "numpy", "pandas", "matplotlib", "PIL")
import numpy  # noqa: E402
from PIL import Image  # noqa: E402

import many_ranks  # noqa: E402
import partita  # noqa: E402

program, mpiexec, train, source = sys.argv[1:5]
PICTURES = {"curves", "step_time", "phases", "timeline", "axes", "matrix", "memory"}


def run_training(output, ranks, *keys):
    command = [mpiexec, "-n", str(ranks), train, "--config", f"{source}/inputs/runs/digits_cnn.ini", "--output", output, *keys]
    done = jobs.run(command)
    assert done.returncode == 0, done.stdout + done.stderr
    return output


def report(*arguments, code=0, **keys):
    done = jobs.run([program, *arguments], **keys)
    assert done.returncode == code, f"{arguments}: exit {done.returncode}, not {code}\n{done.stdout}\n{done.stderr}"
    if code != 0:
        assert "Traceback" not in done.stderr and done.stdout == "", done
    return done.stdout, done.stderr


def check_pictures(folder, names):
    found = {path.stem for path in pathlib.Path(folder).iterdir()} - {"index"}
    assert found == names, (found, names)
    for name in names:
        pixels = numpy.asarray(Image.open(f"{folder}/{name}.png").convert("L"))
        ink = (pixels < 200).mean()
        assert pixels.shape[0] > 150 and pixels.shape[1] > 500 and 0.005 < ink < 0.95, (name, pixels.shape, ink)
        svg = pathlib.Path(f"{folder}/{name}.svg").read_text()
        assert svg.rstrip().endswith("</svg>") and svg.count("<path") > 10, name


def leftovers():
    return [name for name in os.listdir() if name.startswith(".")]


def real_runs():
    pipeline = run_training("pipeline.h5", 2, "--grid.pipeline=2", "--timeline.steps=2", "--train.steps=20")
    data = run_training("data.h5", 2, "--train.steps=20")
    one = run_training("one.h5", 1, "--train.steps=20")
    run = partita.open(pipeline)
    sums = run.peers.groupby(["rank", "activity", "axis"])
    bytes_by_peer, traffic = ["wire_bytes", "wire_bytes_received", "window_bytes_read", "window_bytes_written"], run.traffic
    traffic = traffic[traffic.activity != "record"].groupby(["rank", "activity", "axis"])[bytes_by_peer].sum()
    assert (sums[bytes_by_peer].sum() == traffic[traffic.sum(axis=1) > 0]).all(axis=None), "peers add up to the traffic"

    stdout, stderr = report(pipeline)
    assert stdout == "pipeline-report/index.html\n" and stderr == "", (stdout, stderr)
    check_pictures("pipeline-report", PICTURES)
    page = pathlib.Path("pipeline-report/index.html").read_text()
    for words in ("bubble_fraction", "MPICH", run.attributes["config_hash"], "layer = conv 10 kernel=5", "activation_gradient"):
        assert words in page, words

    # Several: one scaling plot, and pictures of each run under its name. Without a timeline the rest is made, and the way to one
    # is told.
    _, stderr = report(one, data, "-o", "several")
    assert "data.h5" in stderr and "--timeline.steps=2" in stderr, stderr
    assert "--timeline.steps=2" in pathlib.Path("several/index.html").read_text()
    check_pictures("several", {"curves", "step_time", "scaling"} | {f"1_one_{n}" for n in ("phases", "memory")}
                   | {f"2_data_{n}" for n in ("phases", "axes", "matrix", "memory")})
    assert "Speed-up and efficiency" in pathlib.Path("several/index.html").read_text()


def folders():
    # What a file says, and its name, is text, never markup nor a formula.
    many_ranks.make("small.h5", 1, 1, 1, timeline=False, model="<script>alert(1)</script>")
    os.rename("small.h5", "$a_$.h5")
    os.symlink("$a_$.h5", "small.h5")
    report("$a_$.h5", "-o", "r")
    page = pathlib.Path("r/index.html").read_text()
    assert "<script" not in page and "&lt;script&gt;" in page

    # A report is replaced when asked; nothing else ever is.
    before = pathlib.Path("r/index.html").read_bytes()
    _, stderr = report("small.h5", "-o", "r", code=2)
    assert "r: exists" in stderr and "--overwrite" in stderr, stderr
    pathlib.Path("r/1_older_phases.png").write_text("of an older report")
    report("$a_$.h5", "-o", "r", "--overwrite")
    assert not os.path.exists("r/1_older_phases.png") and pathlib.Path("r/index.html").read_bytes() == before, "the same again"
    for mine in ("notes.txt", "photo.png", "phases.svg.orig"):
        pathlib.Path("r", mine).write_text("years")
        _, stderr = report("$a_$.h5", "-o", "r", "--overwrite", code=2)
        assert f"holds {mine}" in stderr and pathlib.Path("r", mine).read_text() == "years", stderr
        os.remove(f"r/{mine}")
    os.mkdir("thesis")
    pathlib.Path("thesis/chapter.txt").write_text("years")
    for keys in ((), ("--overwrite",)):
        _, stderr = report("small.h5", "-o", "thesis", *keys, code=2)
        assert "thesis" in stderr and "not a report" in stderr, stderr
    assert os.listdir("thesis") == ["chapter.txt"]
    os.symlink("thesis", "link")
    report("small.h5", "-o", "link", "--overwrite", code=2)
    report("small.h5", "-o", "none/r", code=2)

    # A report that cannot be written leaves nothing of itself, and the old one whole.
    def small_files():
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))

    _, stderr = report("small.h5", "-o", "r", "--overwrite", code=1, preexec_fn=small_files)
    assert "cannot be written: File too large" in stderr and pathlib.Path("r/index.html").read_bytes() == before, stderr
    assert leftovers() == [], leftovers()


def bad_input():
    pathlib.Path("text.h5").write_text("no HDF5")
    shutil.copy("small.h5", "cut.h5")
    os.truncate("cut.h5", os.path.getsize("cut.h5") * 2 // 3)
    _, stderr = report("text.h5", "small.h5", "missing.h5", "cut.h5", "-o", "thesis", code=2)
    for words in ("text.h5: is not an HDF5 file", "missing.h5: cannot be read", "cut.h5: is truncated", "thesis: exists"):
        assert words in stderr, stderr
    assert "small.h5" not in stderr, stderr
    _, stderr = report("small.h5", "text.h5", "./small.h5", "$a_$.h5", code=2)
    assert stderr.count("is named twice") == 2 and "./small.h5" in stderr and "text.h5: is not" in stderr, stderr
    os.mkfifo("fifo.h5")
    assert "fifo.h5: is not a regular file" in report("fifo.h5", code=2)[1]
    for arguments in ((), ("small.h5", "--nonsense"), ("small.h5", "--over"), ("-o",)):
        report(*arguments, code=2)
    assert "RESULT.h5" in report("--help")[0] and report("--version")[0].startswith("partita-report 0")


def interrupted():
    """Ended by a signal while it works: no half folder."""
    child = subprocess.Popen([program, "small.h5", "-o", "stopped"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        child.wait(0.6)
    except subprocess.TimeoutExpired:
        child.send_signal(signal.SIGTERM)
        child.wait(jobs.LIMIT_SECONDS)
    assert leftovers() == [] and (not os.path.exists("stopped") or os.path.exists("stopped/index.html"))


with tempfile.TemporaryDirectory() as folder:
    os.chdir(folder)
    real_runs()
    folders()
    bad_input()
    interrupted()
    os.chdir("/")
print("all hold")
