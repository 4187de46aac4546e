"""partita-compare as a user runs it: exit codes, the three formats, refusals that name the keys.

usage: compare_program.py PARTITA_COMPARE WRITE_SAMPLE
"""
import csv
import io
import json
import os
import shutil
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
    assert metrics.keys() == rows.keys() and document["threshold_percent"] == 2
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
    _, message = compare(one, two, "--fromat", "csv", "--thresold=3", "--no-gate=1", "-x", "--metric", code=2)
    for words in ("--fromat = csv: is no option; there are --format, --metric,", "did you mean --format?", "did you mean --threshold?",
                  "--no-gate = 1: takes no value", "-x: is no option", "--metric: needs a value"):
        assert words in message, (words, message)
    # A lone "--" ends the options; dashes and "=" without a name are none.
    dashed = os.path.relpath(shutil.copy(two, "-a.h5"))
    assert "-a.h5: is no option" in compare(one, dashed, code=2)[1]
    assert compare("--format=json", "--", one, dashed)[0] == compare("--format=json", one, f"./{dashed}")[0].replace(f"./{dashed}", dashed)
    assert "--no-gate" in compare("--", one, "--no-gate", code=2)[1]
    assert "-- = 5: is no option; there are --format" in compare(one, two, "--=5", code=2)[1]
    assert compare(one, two, "--metric=", "--format=json")[0].startswith("{")
    assert "--threshold: must be a number" in compare(one, two, "--threshold=", code=2)[1]
    _, message = compare("g=one.h5,one.h5", two, code=2)
    assert "named twice" in message
    _, message = compare(one, sample("running.h5", steps=45, status="running"))
    assert "status running" in message

    # The summary, in all formats: a row of the gated times, and what the correction made of p.
    # Step time and throughput are slower, latency and time to accuracy are not.
    assert abs(float(rows_of(old, slow, code=1)["geometric_mean"]["change"]) - 100 * (1.3 ** (2 / 4) - 1)) < 1
    assert float(rows_of(old, slow, code=1)["step_time"]["p_corrected"]) > float(rows_of(old, slow, code=1)["step_time"]["p"])
    assert metrics["step_time"]["tested_together"] >= 2 and metrics["phase.load"]["p_corrected"] is None

    # Markdown has the rows of the table as cells.
    text, _ = compare(old, slow, "--format", "markdown", code=1)
    tables = [line for line in text.splitlines() if line.startswith("|")]
    assert any(line.startswith("| step\\_time \\* | lower | ms |") and line.endswith("| worse |") for line in tables), text
    heads = [line for line, under in zip(tables, tables[1:]) if under.startswith("|---")]
    assert [head.split(" | ")[0] for head in heads] == ["| ", "| metric"], heads
    table, _ = compare(old, slow, code=1)
    assert len([line for line in table.splitlines() if line]) == len([line for line in text.splitlines() if line]) - 2

    # Selected metrics; one that only some files have, one that none has.
    assert set(rows_of(old, slow, "--metric", "samples_per_second", "--metric=phase.load", code=1)) == {
        "samples_per_second", "phase.load"}
    assert len(rows_of(old, slow, "--metric", "phase")) == 8
    _, message = compare(one, two, "--metric", "step_tme", "--metric", "latency_p9", code=2)
    assert "--metric = step_tme: no file has it; the nearest is step_time" in message and "latency_p9" in message, message
    lacking = sample("lacking.h5", steps=0)
    _, message = compare(one, lacking, "--metric", "step_time", code=2)
    assert "lacking.h5: has no metric step_time" in message, message

    # References: held, violated (also by the only group), wrong in several ways at once.
    text, _ = compare(one, "--reference", "step_time=0.002,-0.05,0.05,s", "--reference=test_accuracy=97,None,")
    assert text.count("holds") == 2 and "violated" not in text, text
    text, _ = compare(one, "--reference", "step_time=0.001,-0.05,0.05", code=1)
    assert "violated" in text
    compare(old, again, "--reference", "step_time=0.001,-0.05,0.05", "--no-gate", code=1)
    document = json.loads(compare(slow, old, "--reference", "step_time=0.002,,0.05", "--format=json")[0])
    assert document["references"] == [{"group": "old", "metric": "step_time", "unit": "s", "target": 0.002, "least": None,
                                       "most": 0.0021, "median": document["references"][0]["median"], "runs": 5,
                                       "holds": True}], document["references"]
    text, _ = compare(one, "--reference", "step_time=0.001,-0.05,0.05", "--format=csv", code=1)
    assert text.splitlines()[1].startswith("reference,one,step_time,s,,yes,0.001") and text.endswith(",violated\n"), text
    _, message = compare(one, "--reference", "step_time=x,0.1,-0.1", "--reference", "loss", code=2)
    assert message.count("--reference") == 4 and "missing" not in message, message
    _, message = compare(one, "--reference", "step_tim=1,,0.1", "--reference", "step_time=1,,0.1,ms", code=2)
    assert "the nearest is step_time" in message and "the unit is s" in message, message

    # Scaling, where only the grid differs.
    grids = [sample(f"ranks{n}.h5", steps=45, ranks=n, seconds=2.2 / n) for n in (2, 4)]
    text, _ = compare(*grids, "--no-gate")
    assert "speed-up" in text and "91.7 %" not in text and "100.0 %" in text, text
    document = json.loads(compare(*grids, "--format=json", "--no-gate")[0])
    assert [round(row["speed_up"], 3) for row in document["scaling"]] == [1, 2] and document["scaling"][1]["scaling"] == "strong"
    assert abs(float(rows_of(*grids, "--no-gate")["efficiency.strong"]["after_median"]) - 1) < 1e-9
    assert "speed-up" not in compare(one, two)[0]

    # Groups of any length; names with a comma, an equals sign, a blank, a backslash; patterns in natural order.
    many = [sample(f"many-{i}.h5", steps=45, seed=i) for i in range(100)]
    assert rows_of("a=" + ",".join(many[:50]), "b=" + ",".join(many[50:]))["step_time"]["n_after"] == "50"
    assert rows_of("a=many-?.h5,many-[1-4]?.h5", "b=many-[5-9]?.h5")["step_time"]["n_before"] == "50"
    for folder_name in ("x,y", "x=y", "x y", "x\\y", "x[1]", "x*"):
        os.mkdir(folder_name)
        for name in (one, two):
            shutil.copy(name, folder_name)
        words = "".join("\\" + c if c in ",=*?[\\" else c for c in folder_name)
        for group in (f"g={words}/{one},{words}/{two}", f"g\\=={words}/one.h5,{words}/t*.h5"):
            assert rows_of(group, old)["step_time"]["n_before"] == "2", group
        compare(f"{folder_name}/{one}", two, "--no-gate")
    document = json.loads(compare("a=many-*.h5", one, "--metric=step_time", "--format=json")[0])
    values = document["comparisons"][0]["metrics"][0]["before"]["values"]
    assert values == [float(rows_of(f"{name}", one)["step_time"]["before_median"]) for name in many[:3]] + values[3:], "2 before 10"
    _, message = compare("a=none-*.h5,also-[x]", one, code=2)
    assert "none-*.h5: matches no file" in message and "also-[x]: matches no file" in message, message
    _, message = compare("a=" + "y" * 300, "b=" + "z" * 300 + "," + one, code=2)
    assert message.count("File name too long") == 2, message
    compare("g=,", two, code=2)

    # A name of any bytes stays in its cell; programs get it as it is.
    odd = "line\nbreak\x1b[31m.h5"
    shutil.copy(two, odd)
    for form in ("table", "markdown"):
        text, _ = compare(one, odd, "--no-gate", f"--format={form}")
        plain, _ = compare(one, two, "--no-gate", f"--format={form}")
        assert len(text.splitlines()) == len(plain.splitlines()) and "\033" not in text, text
        assert ("line\\x0abreak" if form == "table" else "line\\\\x0abreak") in text, text
    assert json.loads(compare(one, odd, "--no-gate", "--format=json")[0])["comparisons"][0]["after"] == odd.removesuffix(".h5")

    # Repetitions that were named one by one: what a group is, once.
    text, _ = compare(*many[:6], "--no-gate", "--metric=step_time")
    assert text.count("6 runs of one configuration, each beside the first.") == 1 and "NAME='runs/*.h5'" in text, text
    for fewer in (many[:4], [*many[:4], sample("rate.h5", steps=45, rate=0.5), "--force"], [old, again, *many[:3]]):
        assert "runs of one configuration" not in compare(*fewer, "--no-gate")[0], fewer

    # Bad input: everything wrong is named at once.
    with open("text.h5", "w") as file:
        file.write("no HDF5")
    with open(one, "rb") as whole, open("truncated.h5", "wb") as file:
        file.write(whole.read()[:20000])
    open("empty.h5", "w").close()
    _, message = compare("text.h5", "missing.h5", "truncated.h5", "empty.h5", one, "--threshold=-1", "--format", "xml",
                         "--reference=loss", f"g={two},./{one}", code=2)
    for expected in ("text.h5: is not an HDF5 file", "missing.h5: cannot be read: No such file", "truncated.h5: is truncated",
                     "empty.h5: is empty", "--threshold", "--format", "--reference", "./one.h5: is named twice"):
        assert expected in message, (expected, message)
    _, message = compare(one, "--threshold", "-1", "--format", "xml", code=2)
    assert "--threshold" in message and "--format" in message and "at least two" in message, message
    for threshold in ("nan", "inf", "5x", ""):
        compare(one, two, f"--threshold={threshold}", code=2)
    compare(one, two, "--thresh", "5", code=2)
    compare(one, two, "--nonsense", code=2)
    compare("=a.h5", two, code=2)
    compare("g=", two, code=2)
    compare(code=2)

    # Files of others and of a newer schema, where Python can make them.
    try:
        import h5py
    except ImportError:
        print("no h5py: foreign files are not tried")
    else:
        with h5py.File("foreign.h5", "w") as file:
            file["x"] = [1, 2, 3]
        shutil.copy(one, "newer.h5")
        with h5py.File("newer.h5", "r+") as file:
            file.attrs.modify("schema_version", 99)
        _, message = compare("foreign.h5", "newer.h5", code=2)
        assert "foreign.h5: is an HDF5 file, but none that Partita wrote" in message, message
        assert "newer.h5: has schema_version 99" in message, message

    assert "partita-compare" in compare("--help")[0]
    assert compare("--version")[0].startswith("partita-compare 0")
    for options in ([], ["--format=csv"]):
        with open("/dev/full", "w") as full:
            done = subprocess.run([compare_program, one, two, *options], stdout=full, stderr=subprocess.PIPE, text=True)
        assert done.returncode == 1 and done.stderr.endswith("standard output: No space left on device\n"), done.stderr
        assert ".cpp" not in done.stderr, done.stderr
    done = subprocess.run(["sh", "-c", '"$@" >&-', "sh", compare_program, one, two], stderr=subprocess.PIPE, text=True)
    assert done.returncode == 1 and "Bad file descriptor" in done.stderr, done
    os.mkfifo("pipe")
    os.mkdir("folder.h5")
    _, message = compare("pipe", "folder.h5", code=2)
    assert "pipe: is not a regular file" in message and "folder.h5: is a directory" in message, message
print("all hold")
