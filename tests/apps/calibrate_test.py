"""partita-calibrate as a user runs it: what stands in the machine file, that it is read, bad input. No figure is judged.

Usage: calibrate_test.py MPIEXEC PARTITA_CALIBRATE PARTITA_TRAIN SOURCE_FOLDER
"""
import os
import pathlib
import shlex
import sys
import tempfile

sys.path.append(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import jobs

mpiexec, calibrate, train, source = sys.argv[1:5]
QUICK = ("--quick", "--budget=1")


def run(ranks, program, *arguments):
    return jobs.run([mpiexec, "-n", ranks, program, *arguments])


def statements(path):
    """(word, values by name) of each line that is one."""
    rows = []
    for line in path.read_text().splitlines():
        words = shlex.split(line, comments=True)
        if words:
            rows.append((words[0], dict(word.split("=", 1) for word in words[1:])))
    return rows


def of(rows, word):
    return [values for w, values in rows if w == word]


def check_kernels(rows, active):
    kernels = [k for k in of(rows, "kernel") if k.get("active_ranks", "1") == str(active)]
    for k in kernels:
        low, median, high = (float(k[f"{name}_seconds"]) for name in ("lower_quartile", "median", "upper_quartile"))
        assert 0 <= low <= median <= high and int(k["runs"]) >= 3, k
    keys = [tuple(k.get(name) for name in ("kernel", "phase", "shape", "beyond")) for k in kernels]
    assert len(keys) == len(set(keys)), "a kernel has two lines"
    caches = len(of(rows, "cache"))
    for k in kernels:
        assert caches == 0 or len(k["beyond"].split("x")) == caches, k
    return {k["kernel"].split("+")[0] for k in kernels}


with tempfile.TemporaryDirectory() as folder:
    folder = pathlib.Path(folder)
    file = folder / "my.machine"
    result = run(2, calibrate, f"--output={file}", *QUICK)
    assert result.returncode == 0, result
    assert "own error of " in result.stdout.splitlines()[-1], result.stdout
    assert " data 2 " in result.stdout and " tensor 2 " in result.stdout, result.stdout
    rows = statements(file)
    assert of(rows, "provenance")[0]["origin"] == "measured" and all(
        of(rows, "provenance")[0][name] for name in ("host", "cpu", "date", "versions", "load")), rows
    cores = len(os.sched_getaffinity(0))
    if cores >= 2:
        assert {"1", "2"} == {m["active_ranks"] for m in of(rows, "memory") if "active_ranks" in m}, rows
    shared = of(rows, "cores")[0]
    assert 1 <= int(shared["number"]) <= cores and float(shared["yield_seconds"]) >= 0, shared
    assert [level["name"] for level in of(rows, "level")] == ["node"]
    begins = [int(m["min_bytes"]) for m in of(rows, "message")]
    assert begins[0] == 0 and begins == sorted(set(begins)), begins
    begins = [int(w["min_bytes"]) for w in of(rows, "window")]
    assert begins[0] == 0 and begins == sorted(set(begins)), begins
    assert all(float(s) >= 0 for s in of(rows, "overhead")[0].values()) and of(rows, "progress") == [{"mode": "polled"}]
    [variance], [checkpoint] = of(rows, "variance"), of(rows, "checkpoint")
    assert set(variance) == {"within_run", "between_runs", "between_ranks"} and all(0 <= float(d) <= 2 for d in variance.values())
    assert float(variance["within_run"]) > 0 and float(checkpoint["bytes_per_second"]) > 0 and float(checkpoint["seconds"]) >= 0, rows
    if cores >= 2:
        assert {s["of"]: s["beside"] for s in of(rows, "slowdown")} == {"products": "messages", "others": "messages"}, rows
        assert all(1 <= float(s["factor"]) <= 10 for s in of(rows, "slowdown")) and float(variance["between_ranks"]) > 0, rows
    assert {"load", "linear", "conv", "relu", "cross-entropy", "update"} <= check_kernels(rows, 1)
    if cores >= 2:
        assert {"load", "linear", "conv", "update", "pack", "unpack", "convert"} <= check_kernels(rows, 2)

    # The product reads it.
    config = f"--config={source}/inputs/runs/digits_mlp.ini"
    assert run(1, train, config, "--dry-run", f"--machine={file}").returncode == 0

    # A file that is there stays, and everything that is wrong is said at once.
    before = file.read_bytes()
    result = run(2, calibrate, f"--output={file}", *QUICK)
    assert result.returncode == 2 and "overwrite" in result.stderr and file.read_bytes() == before, result
    result = run(2, calibrate, "--budget=0", "--threads=many", "--ranks-per-node=-1")
    assert result.returncode == 2, result
    for text in ("--output", "--budget", "--threads", "--ranks-per-node"):
        assert text in result.stderr, (text, result.stderr)
    result = run(1, calibrate, f"--output={folder}/none/my.machine", "--quik")
    assert result.returncode == 2 and "did you mean --quick?" in result.stderr, result
    assert sorted(path.name for path in folder.iterdir()) == ["my.machine"], list(folder.iterdir())

    # One rank alone has nobody to send to; the file is replaced.
    result = run(1, calibrate, f"--output={file}", "--overwrite", *QUICK)
    assert result.returncode == 0, result
    rows = statements(file)
    assert not of(rows, "level") and not of(rows, "slowdown") and float(of(rows, "variance")[0]["between_ranks"]) == 0 and not of(rows, "window") and of(rows, "link"), rows
    assert {"load", "linear", "conv", "cross-entropy", "update"} <= check_kernels(rows, 1)
    assert run(1, calibrate, "--help").returncode == 0 and "partita-calibrate 0" in run(1, calibrate, "--version").stdout
print("ok")
