"""partita-compare as a user runs it: exit codes, the three formats, refusals that name the keys.

usage: compare_program.py PARTITA_COMPARE WRITE_SAMPLE
"""
import csv
import io
import json
import os
import subprocess
import sys
import tempfile

compare_program, write_sample = sys.argv[1:3]


def sample(name, **keys):
    subprocess.run([write_sample, name, *(f"{k}={v}" for k, v in keys.items())], check=True)
    return name


def compare(*arguments, code=0):
    done = subprocess.run([compare_program, *arguments], capture_output=True, text=True)
    assert done.returncode == code, f"{arguments}: exit {done.returncode}, not {code}\n{done.stdout}\n{done.stderr}"
    if code == 2:
        assert done.stdout == "" and done.stderr.startswith("partita-compare: "), done
    return done.stdout, done.stderr


def rows_of(*arguments, code=0):
    text, _ = compare(*arguments, "--format", "csv", code=code)
    return {row["metric"]: row for row in csv.DictReader(io.StringIO(text))}


with tempfile.TemporaryDirectory() as folder:
    os.chdir(folder)
    one, two = sample("one.h5", steps=45, seed=1), sample("two.h5", steps=45, seed=2)
    old = "old=" + ",".join(sample(f"old{i}.h5", steps=45, seed=i) for i in range(5))
    again = "again=" + ",".join(sample(f"again{i}.h5", steps=45, seed=i + 10) for i in range(5))
    slow = "slow=" + ",".join(sample(f"slow{i}.h5", steps=45, seed=i, seconds=1.3) for i in range(5))

    # Single runs: shown, never judged.
    table, _ = compare(one, two)
    assert "within run" in table and "inconclusive" in table and "\033" not in table
    widths = {len(line.split("verdict")[0]) for line in table.splitlines() if line.endswith("verdict")}
    assert len(widths) == 1

    # Repetitions: A/A is quiet, a slowdown fails, is not gated on demand, and lies within a large threshold.
    assert rows_of(old, again)["step_time"]["verdict"] == "~"
    rows = rows_of(old, slow, code=1)
    assert rows["step_time"]["verdict"] == "worse" and rows["samples_per_second"]["verdict"] == "worse"
    assert abs(float(rows["step_time"]["change"]) - 30) < 1 and float(rows["step_time"]["p"]) < 0.01
    assert rows["step_time"]["n_before"] == rows["step_time"]["n_after"] == "5"
    compare(old, slow, "--no-gate")
    compare(old, slow, "--threshold", "40")
    assert rows_of(slow, old)["step_time"]["verdict"] == "better"
    compare(old, again, slow, code=1)

    # JSON says the same as CSV.
    text, _ = compare(old, slow, "--format", "json", code=1)
    document = json.loads(text)
    metrics = {m["metric"]: m for m in document["comparisons"][0]["metrics"]}
    assert metrics.keys() == rows.keys() and document["threshold_percent"] == 5
    for name, metric in metrics.items():
        assert metric["verdict"] == rows[name]["verdict"], name
        assert metric["before"]["median"] == float(rows[name]["before_median"]), name
    assert len(metrics["step_time"]["after"]["values"]) == 5

    # Bytes: one more on the wire fails; another grid does not, and says so.
    compare(one, sample("wire.h5", steps=45, wire=1), code=1)
    rows = rows_of(one, sample("four.h5", steps=45, ranks=4))
    assert rows["wire_bytes.data.all_reduce.gradient"]["verdict"] == "incomparable"
    assert rows["step_time"]["verdict"] == "inconclusive"

    # Other workloads: refused with the key, shown when forced.
    bf16 = sample("bf16.h5", steps=45, precision="bf16")
    _, message = compare(one, bf16, code=2)
    assert "precision" in message and "bf16" in message and "fp32" in message and "--force" in message, message
    _, message = compare(one, sample("batch.h5", steps=45, batch=128), code=2)
    assert "batch" in message and "128" in message, message
    assert rows_of(one, bf16, "--force")["step_time"]["verdict"] == "incomparable"
    _, message = compare(one, sample("invalid.h5", status="invalid"), code=2)
    assert "status" in message
    _, message = compare("g=one.h5,one.h5", two, code=2)
    assert "named twice" in message
    _, message = compare(one, sample("running.h5", steps=45, status="running"))
    assert "status running" in message

    # Bad input: everything wrong is named at once.
    with open("text.h5", "w") as file:
        file.write("no HDF5")
    _, message = compare("text.h5", "missing.h5", one, code=2)
    assert "text.h5: is not an HDF5 file" in message and "missing.h5: cannot be read" in message, message
    _, message = compare(one, "--threshold", "-1", "--format", "xml", code=2)
    assert "--threshold" in message and "--format" in message and "at least two" in message, message
    for threshold in ("nan", "inf", "5x", ""):
        compare(one, two, f"--threshold={threshold}", code=2)
    compare(one, two, "--thresh", "5", code=2)
    compare(one, two, "--nonsense", code=2)
    compare("=a.h5", two, code=2)
    compare("g=", two, code=2)
    compare(code=2)

    assert "partita-compare" in compare("--help")[0]
    assert compare("--version")[0].startswith("partita-compare 0")
    with open("/dev/full", "w") as full:
        assert subprocess.run([compare_program, one, two], stdout=full, stderr=subprocess.DEVNULL).returncode == 2
print("all hold")
