"""Text that is not UTF-8 (a model's, a job's and a file's name in Latin-1): results hold it as UTF-8, from which it can be got back, and
every reader works.

usage: foreign_text_test.py PARTITA_TRAIN PARTITA_COMPARE PARTITA_TIMELINE PARTITA_REPORT PARTITA_SWEEP SOURCE_FOLDER; exit 77 without h5py.
"""
import json
import os
import re
import sys
import tempfile

sys.path.append(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import jobs

try:
    import h5py
except ImportError:
    print("SKIP: no h5py here")
    sys.exit(77)

train, compare, timeline, report, sweep, source = map(os.fsencode, map(os.path.abspath, sys.argv[1:7]))
JOB, MODEL, FILE = b"r\xe9gression \\xe9", b"mod\xe8le", b"caf\xe9.h5"


def run(*command, code=0, **environment):
    done = jobs.run(command, text=False, env={**os.environb, **{k.encode(): v for k, v in environment.items()}})
    assert done.returncode == code, (command, done.returncode, done.stdout, done.stderr)
    return done.stdout, done.stderr


def original(text):
    """What docs/compare.md says of the way back."""
    return re.sub(rb"\\x([0-9a-f]{2})", lambda byte: bytes([int(byte[1], 16)]), text)


with tempfile.TemporaryDirectory() as folder:
    os.chdir(folder)
    words = [b"--config", source + b"/inputs/runs/digits_mlp.ini", b"--data.train-samples=100", b"--data.test-samples=20", b"--train.steps=8",
             b"--train.batch=10", b"--model.name=" + MODEL, b"--timeline.steps=2"]
    log, _ = run(train, *words, b"--log.mlperf=true", b"--output=" + FILE, SLURM_JOB_NAME=JOB)
    events = [json.loads(line.split(b" ", 1)[1].decode()) for line in log.splitlines() if line.startswith(b":::MLLOG")]
    assert any(event["value"] == "mod\\xe8le" for event in events), events
    run(train, *words, b"--output=plain.h5")
    with h5py.File(FILE) as file:
        for value, what in ((file.attrs["model"], MODEL), (file["environment"].attrs["SLURM_JOB_NAME"], JOB)):
            stored = value if isinstance(value, bytes) else value.encode()
            stored.decode("utf-8")
            assert original(stored) == what, (stored, what)
        assert original(bytes(file.attrs["command_line"])).endswith(b"--output=" + FILE), file.attrs["command_line"]

    # A resumed run finds itself again: what a program reads is what was given.
    checkpoints = [b"--checkpoint.every=4", b"--output=again.h5"]
    run(train, *words, *checkpoints)
    _, said = run(train, *words, *checkpoints, b"--resume")
    assert b"has ended already" in said, said
    for form in (b"table", b"csv", b"json", b"markdown"):
        shown, _ = run(compare, b"\xe0=" + FILE, b"plain.h5", b"--format", form, b"--no-gate")
        assert "\\xe0" in shown.decode("utf-8").replace("\\\\", "\\"), shown
    trace = json.loads(run(timeline, FILE)[0].decode("utf-8"))
    assert any("caf\\xe9.h5" in value for value in trace["otherData"].values() if isinstance(value, str)), trace["otherData"]
    run(report, FILE, b"plain.h5", b"-o", b"r\xe9port")
    with open(b"r\xe9port/index.html", "rb") as file:
        page = file.read().decode("utf-8")
    assert "caf\\xe9" in page and "mod\\xe8le" in page
    with open("s.ini", "wb") as file:
        file.write(b"config = " + words[1] + b"\n[vary]\nmodel.name = " + MODEL + b", plain\n")
    run(sweep, b"--config=s.ini", *words[2:-2], b"--output=swept")
    with open(b"swept/index.csv", "rb") as file:
        table = file.read()
    assert "mod\\xe8le" in table.decode("utf-8") and original(table).count(MODEL) == 1, table
    os.chdir("/")
print("all hold")
