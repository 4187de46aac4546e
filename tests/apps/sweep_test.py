"""partita-sweep as a user runs it: what is expanded and refused, groups of ranks, equality with partita-train, faults, resumption.

Usage: sweep_test.py expansion|bad_input|equality|faults|resumption|signals|shipped MPIEXEC PARTITA_SWEEP PARTITA_TRAIN SOURCE_FOLDER
                     FAILING_DISK
"""
import csv
import errno
import json
import os
import pathlib
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile

sys.path.append(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import jobs

part, mpiexec, sweep, train, source, failing_disk = sys.argv[1:]
runs = pathlib.Path(source) / "inputs" / "runs"
folder = pathlib.Path(tempfile.mkdtemp()).resolve()
tiny = f"config = {runs}/random_mlp_tiny.ini\n[train]\nepochs = 1\nbatch = 10\n"
base = f"config = {runs}/digits_mlp.ini\n[data]\ntrain-samples = 600\ntest-samples = 100\n"
digits = base + "[train]\nepochs = 1\n"


def command(ranks, text, *arguments, name="s.ini"):
    (folder / name).write_text(text)
    return [mpiexec, "-n", str(ranks), sweep, f"--config={folder / name}", *arguments]


def run(ranks, text, *arguments, **options):
    return jobs.run(command(ranks, text, *arguments), cwd=folder, **options)


def index(output):
    with open(folder / output / "index.csv") as file:
        return list(csv.DictReader(file))


def listed(text, *arguments):
    result = run(1, text, "--dry-run", *arguments)
    assert result.returncode == 0, result
    lines = [line.split() for line in result.stdout.splitlines()]
    return [dict(zip(lines[0], line)) for line in lines[1:]]


def expansion():
    """Lists, ranges, cartesian and zipped, repetitions; what is printed reads back to the same."""
    text = digits + "[sweep]\nranks = 2\nseeds = 3, 5..6\n[vary]\ntrain.batch = 32..256*2\ntrain.learning-rate = 0.1..0.3+0.1, 1e-3\n"
    found = listed(text)
    assert [c["number"] for c in found] == [str(n) for n in range(1, 4 * 4 * 3 + 1)]
    expected = [(b, l, s) for b in ("32", "64", "128", "256") for l in ("0.1", "0.2", "0.3", "1e-3") for s in ("3", "5", "6")]
    assert [(c["train.batch"], c["train.learning-rate"], c["train.seed"]) for c in found] == expected
    assert [c["group"] for c in found] == [str(i // 3 + 1) for i in range(48)], "repetitions form groups"
    edited = "\ufeff" + text.replace("seeds = 3, 5..6", "seeds = '3, 5..6' ; repetitions").replace("\n", "\r\n")
    assert listed(edited) == found, "a byte-order mark, CR LF, quotes and comments change nothing"
    found = listed(digits + "[sweep]\ncombine = zip\nseeds = 1..2\n[vary]\ntrain.batch = 8, 16\ntrain.learning-rate = 0.1, 0.2\n")
    assert [(c["train.batch"], c["train.learning-rate"], c["train.seed"]) for c in found] == \
        [("8", "0.1", "1"), ("8", "0.1", "2"), ("16", "0.2", "1"), ("16", "0.2", "2")]
    for values, expected in (("1..10+3", "1 4 7 10"), ("5..1+-2", "5 3 1"), ("1..0.1*0.5", "1 0.5 0.25 0.125"), ("4..4", "4"), ("2..4", "2 3 4"),
                             ("1e-4..1e-1*10", "0.0001 0.001 0.01 0.1"), ("1..2+1e-0", "1 2")):
        key = "train.learning-rate"
        assert [c[key] for c in listed(digits + f"[vary]\n{key} = {values}\n")] == expected.split(), values
    models = listed(f"config = {runs}/digits_mlp.ini\n", f"--vary.model.file={source}/inputs/models/mlp-mnist.ini, {source}/inputs/models/lenet5.ini")
    assert len(models) == 2 and models[1]["model.file"].endswith("lenet5.ini")
    assert len(listed(digits, "--vary.compute.threads=1,2")) == 2, "which decides no result, and how fast it comes"
    odd = listed(text, "--output=odd\x1bname")
    assert len(odd) == 48 and odd[0]["file"] == "odd\\x1bname/0001.h5", odd[:2]
    printed = run(1, text, "--print-config")
    assert printed.returncode == 0 and listed(printed.stdout) == listed(text)
    for switch in ("--help", "--version"):
        assert run(2, text, switch).returncode == 0
    assert not (folder / "s").exists()


def bad_input():
    """Exit 2; everything wrong with every configuration in one message, each once and with its configuration; nothing is written."""
    (folder / "file").write_text("no folder")
    result = run(3, digits + "[sweep]\nranks = 4\ncombine = zap\nsave-models = yes\nsave-modls = true\n[vary]\ntrain.lerning-rate = 1\ntrain.batch = 32, 0, 64, -1\n"
                 "train.momentum =\ntrain.warmup-steps = 5..1\ndata.seed = 1,,2\nsave-model = a, b\n", "--sweep.seeds=1..2", "--train.seed=4",
                 "--output=/nonexistent/s")
    assert result.returncode == 2 and result.stdout == "", result
    for text in ("must be one of cartesian | zip; did you mean 'zip'?", "must be true or false; did you mean 'true'?", "did you mean sweep.save-models", "did you mean train.learning-rate", "vary.train.momentum: is an empty list",
                 "never comes nearer to its end", "empty element", "use sweep.save-models", "train.seed = 4: is fixed and varies"):
        assert result.stderr.count(text) == 1, (text, result.stderr)
    result = run(3, digits + "[sweep]\nranks = 4\n[vary]\ntrain.batch = 32, 0, 64, -1, 32\ntrain.learning-rate = 0.1, nan\n", "--output=/nonexistent/s",
                 "--grid.data=3")
    assert result.returncode == 2, result
    for text in ("sweep.ranks = 4: is more than the job's ranks; the nearest is 3", "train.batch = 0: ", "(configurations 3, 4)", "(configurations 7, 8)",
                 "train.learning-rate = nan", "(configurations 2, 4, 6, 8, 10)", "is the same as configuration 1 (configuration 9)", "nearest valid grid",
                 "the folder /nonexistent does not exist"):
        assert result.stderr.count(text) == 1, (text, result.stderr)
    result = run(1, digits + "[sweep]\nranks = '1\n[sweep]\ncombine = zip\ncombine = zip\n")
    assert result.returncode == 2 and "a quote that does not end" in result.stderr and "given twice" in result.stderr, result
    for arguments, text in ((["--sweep.combine=zip", "--vary.train.batch=1,2", "--vary.train.seed=1..3"], "zipped lists have one length"),
                            (["--vary.train.seed=1..2", "--sweep.seeds=1..2"], "the seed varies or repeats"),
                            (["--output=file"], "is not a folder"), (["--shard=3/2"], "must be k/n"), (["--resume", "--overwrite"], "excludes"),
                            (["--config=no.ini"], "given twice"), (["--=5"], "-- = 5: is no option"), (["--"], "--: is no option"), (["--vary.grid.tensor=1,3"], "(configuration 2)"),
                            (["--vary.sync.algorithm=ring,window"], "vary = sync.algorithm=window: is the same as configuration 1: sync.algorithm has no "
                             "effect beside the other keys (configuration 2)"),
                            (["--vary.train.learning-rate=0.1,0.10"], "is the same as configuration 1 (configuration 2)")):
        result = run(1, digits, *arguments)
        assert result.returncode == 2 and text in result.stderr, (arguments, result)
    assert sorted(p.name for p in folder.iterdir()) == ["file", "s.ini", "wide.ini"]
    # What stands in the way of a folder's parts: all of it, nothing is removed for it.
    (folder / "s" / "index.csv" / "x").mkdir(parents=True)
    for name in ("rows", "0001.h5"):
        (folder / "s" / name).write_text("kept")
    result = run(1, digits, "--overwrite")
    assert result.returncode == 2 and "filesystem error" not in result.stderr, result
    for text in ("s/rows: exists and is not a folder", "s/index.csv: exists and is not a regular file"):
        assert result.stderr.count(text) == 1, (text, result.stderr)
    (folder / "s" / "rows").unlink()
    shutil.rmtree(folder / "s" / "index.csv")
    (folder / "s" / "rows" / "0001.json" / "x").mkdir(parents=True)
    result = run(2, digits, "--overwrite")
    assert result.returncode == 2 and "s/rows/0001.json: is a folder" in result.stderr, result
    assert (folder / "s" / "0001.h5").read_text() == "kept"


def same_result(mine, theirs):
    import h5py
    import numpy

    with h5py.File(mine) as a, h5py.File(theirs) as b:
        assert a.attrs["config_hash"] == b.attrs["config_hash"]
        assert numpy.array_equal(a["steps/loss"][:], b["steps/loss"][:])
        for name in ("train_loss", "test_loss"):
            assert numpy.array_equal(a[f"epochs/{name}"][:], b[f"epochs/{name}"][:], equal_nan=True)
        columns = [c for c in a["traffic"] if not c.endswith("seconds") and a["traffic"][c].ndim == 1]
        rows = [sorted(zip(*(file["traffic"][c][:].tolist() for c in columns))) for file in (a, b)]
        activity = columns.index("activity")
        for kind in (b"train", b"setup"):
            mine_rows, their_rows = ([row for row in of if row[activity] in (kind, kind.decode())] for of in rows)
            assert mine_rows and mine_rows == their_rows, (kind, mine_rows, their_rows)


def words_of(path):
    """Of the recorded command line."""
    import h5py

    with h5py.File(path) as file:
        text = file.attrs["command_line"]
    return shlex.split(text.decode() if isinstance(text, bytes) else text)


def same_model(mine, theirs):
    import h5py
    import numpy

    with h5py.File(mine) as a, h5py.File(theirs) as b:
        tensors = []
        a["parameters"].visititems(lambda name, item: tensors.append(name) if isinstance(item, h5py.Dataset) else None)
        assert tensors and all(numpy.array_equal(a["parameters"][t][()], b["parameters"][t][()]) for t in tensors)


def equality():
    """Every result is that of partita-train with its recorded command line on as many ranks: hash, losses, parameters, bytes. Groups that do not fill the
    world leave ranks idle."""
    text = digits + "[sweep]\nranks = 2\nsave-models = true\n[vary]\ngrid.pipeline = 1, 2\ntrain.learning-rate = 0.01, 0.1\n"
    result = run(5, text, "--output=s")
    assert result.returncode == 0 and "STATUS: PASS" in result.stdout, result
    assert "2 groups of 2 ranks; the last 1 of the job's ranks" in result.stderr
    rows = index("s")
    assert {row["ranks"] for row in rows} == {"0-1", "2-3"} and {row["status"] for row in rows} == {"complete"}, rows
    for row in rows:
        mine = folder / "s" / row["file"]
        words = words_of(mine)
        assert words[0] == "partita-train"
        replaced = [re.sub(r"^--(output|save-model)=s/", r"--\1=t-", word) for word in words[1:]]
        jobs.run([mpiexec, "-n", "2", train, *replaced], check=True, cwd=folder)
        same_result(mine, folder / f"t-{row['file']}")
        same_model(mine.with_suffix(".model.h5"), folder / f"t-{mine.stem}.model.h5")


def faults():
    """A configuration that diverges and one whose result cannot be written are recorded, and the others go on; then only the latter runs again."""
    text = base + "[sweep]\nranks = 2\n[vary]\ntrain.learning-rate = 0.01, 1e6, 0.02\ntrain.batch = 10, 20\n"
    # No room for the snapshots of the fifth, on whichever ranks it runs; what the first of them tries out there before, 4 KiB, still fits.
    full_disk = {"LD_PRELOAD": failing_disk, "FAILING_FOLDER": f"{folder}/s/.0005.h5.partial", "FAILING_CALL": "write",
                 "FAILING_ERRNO": str(errno.ENOSPC), "FAILING_AT": "8000",
                 "ASAN_OPTIONS": "verify_asan_link_order=0"}  # in a build with it the library would have to come behind the sanitizer's
    result = run(4, text, env=os.environ | full_disk)
    assert result.returncode == 1, result
    rows = index("s")
    assert [row["status"] for row in rows] == ["complete", "complete", "invalid", "invalid", "failed", "complete"], (rows, result)
    assert re.fullmatch(r"rank [02]: write .*0005.h5.partial.*No space.*", rows[4]["reason"]) and "not finite" in rows[2]["reason"], rows
    assert "STATUS: FAIL 2 of 6 invalid: 3, 4; 1 of 6 failed: 5" in result.stdout, result
    assert not (folder / "s" / ".0005.h5.partial").exists()
    result = run(4, text)
    assert result.returncode == 2 and "--resume or --overwrite" in result.stderr, result
    (folder / "s" / "0001.h5").write_bytes(b"no result")
    result = run(4, text, "--resume")
    assert result.returncode == 1 and result.stderr.count(" starts on ranks ") == 2, result.stderr
    assert [row["status"] for row in index("s")] == ["complete", "complete", "invalid", "invalid", "complete", "complete"]
    assert (folder / "s" / "0001.h5.damaged").exists()
    result = run(2, text, "--overwrite", "--vary.train.batch=50", "--vary.train.learning-rate=0.01")
    assert result.returncode == 0 and len(index("s")) == 1, result


def started(text, *arguments, ranks=4):
    return subprocess.Popen(command(ranks, text, *arguments), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=folder)


# The second pair of configurations takes long, in few steps, or does not end by itself.
long = base + "[model]\nfile = wide.ini\n[sweep]\nranks = 2\nsave-models = true\n[vary]\ntrain.epochs = 1, 20, 2\ntrain.batch = 300, 200\n"
endless = long.replace(" 20,", " 1000000,")
(folder / "wide.ini").write_text("[model]\nname = wide\ninput = 1x28x28\nlayer = flatten\nlayer = linear 1000\nlayer = relu\nlayer = linear 10\n")


def steps_of(number):
    """Of the checkpoints of a configuration, those that are whole."""
    return sorted(int(p.parent.name[5:]) for p in (folder / "s").glob(f"{number:04}.checkpoints/step-*/manifest.h5"))


def resumption():
    """What was complete stays as it is, what had a checkpoint goes on from it, the rest is run, and all ends as if nothing had been; shards share a folder."""
    import h5py

    often = ("--checkpoint.every=10", "--checkpoint.keep=9")
    result = run(4, long, *often)
    assert result.returncode == 0, result
    shutil.copytree(folder / "s", folder / "whole")
    # As if it had been killed when the third and the fourth were under way.
    for number in (3, 4, 5, 6):
        for name in (f"{number:04}.h5", f"{number:04}.model.h5", f"rows/{number:04}.json"):
            (folder / "s" / name).unlink()
        for step in steps_of(number):
            if number > 4 or step > 10:
                (folder / "s" / f"{number:04}.checkpoints" / f"step-{step}" / "manifest.h5").unlink()
    complete = {name: (folder / "s" / name).stat().st_mtime_ns for name in ("0001.h5", "0002.h5")}
    result = run(4, long, *often, "--resume")
    assert result.returncode == 0, result
    assert result.stderr.count("going on from step 10") == 2 and result.stderr.count(" starts on ranks ") == 4, result.stderr
    assert all((folder / "s" / name).stat().st_mtime_ns == at for name, at in complete.items())
    assert [row["status"] for row in index("s")] == ["complete"] * 6
    for number in range(1, 7):
        same_model(folder / "s" / f"{number:04}.model.h5", folder / "whole" / f"{number:04}.model.h5")
    with h5py.File(folder / "s" / "0003.h5") as file:
        assert len(file["epochs/train_loss"]) == 20

    for shard, best in (("1/2", "1, 3, 5"), ("2/2", "2, 4")):
        result = run(1, tiny, "--vary.train.seed=1..5", f"--shard={shard}", "--output=shards")
        assert result.returncode == 0 and f"configurations {best})" in result.stdout, result
    assert run(1, tiny, "--vary.train.seed=1..5", "--shard=1/2", "--output=shards").returncode == 2
    assert not (folder / "shards" / "index.csv").exists()
    for row in (folder / "shards" / "rows").iterdir():
        if row.name in ("0002.json", "0003.json"):
            row.write_text("")  # the index lives without a row where the result is whole
    result = run(1, tiny, "--vary.train.seed=1..5", "--index-only", "--output=shards")
    assert result.returncode == 0 and [row["status"] for row in index("shards")] == ["complete"] * 5, result
    hashes_of_an_earlier_version("0001", "0002")


def hashes_of_an_earlier_version(*names):
    """Which made them by other rules: the configuration beside a hash decides, with a row or without; another configuration's hash helps nobody."""
    import h5py
    import numpy

    swept = folder / "shards"
    sweep_of = lambda *arguments: run(1, tiny, "--vary.train.seed=1..5", "--output=shards", *arguments)  # noqa: E731
    for name in names:
        with h5py.File(swept / f"{name}.h5", "r+") as file:
            file.attrs["config_hash"] = numpy.bytes_(b"0" * 64)
        row = swept / "rows" / f"{name}.json"
        if name == names[0]:
            row.write_text(json.dumps({**json.loads(row.read_text()), "config_hash": "0" * 64, "ranks": "5"}))
        else:
            row.unlink(missing_ok=True)
    before = {path: path.read_bytes() for path in swept.glob("*.h5")}
    for option in ("--index-only", "--resume"):
        result = sweep_of(option)
        assert result.returncode == 0 and " starts on ranks " not in result.stderr, (option, result)
        rows = index("shards")
        assert [row["status"] for row in rows] == ["complete"] * 5 and rows[0]["ranks"] == "5", (option, rows)
    assert before == {path: path.read_bytes() for path in swept.glob("*.h5")}
    result = sweep_of("--index-only", "--train.learning-rate=0.5")
    assert result.returncode == 1 and {row["status"] for row in index("shards")} == {"pending"}, result


def signals():
    """TERM: running configurations checkpoint, no further one begins, exit 75; kill -9 leaves what was checkpointed; --resume goes on from either.
    Nothing else ends the third and the fourth."""
    for number in (signal.SIGTERM, signal.SIGKILL, signal.SIGTERM):
        before = {n: max(steps_of(n), default=0) for n in (3, 4)}
        job = started(endless, "--checkpoint.every=10", *(["--resume"] if before[3] else []))
        try:
            jobs.wait_for("checkpoints", lambda before=before: all(max(steps_of(n), default=0) > before[n] for n in before), job)
            if number == signal.SIGKILL:
                jobs.end(job)
                continue
            os.kill(job.pid, number)
            out, errors = job.communicate(timeout=jobs.LIMIT_SECONDS)
        finally:
            jobs.end(job)
        # hydra 4.0 sometimes answers 0 after it has forwarded a signal.
        assert job.returncode in (75, 0) and "STATUS: FAIL interrupted by a signal; submit again with --resume" in out, (job.returncode, out, errors)
        assert [row["status"] for row in index("s")] == ["complete"] * 2 + ["interrupted"] * 2 + ["pending"] * 2, index("s")
        assert errors.count("going on from step") == (2 if before[3] else 0), errors
    step = steps_of(3)[-1]
    words = [word for word in words_of(folder / "s" / "0003.h5")[1:] if not re.match("--(output|save-model|resume|checkpoint)", word)]
    jobs.run([mpiexec, "-n", "2", train, *words, f"--train.steps={step}", "--save-model=alone.model.h5"], check=True, cwd=folder)
    same_model(folder / "alone.model.h5", folder / "s" / "0003.checkpoints" / f"step-{step}" / "manifest.h5")


def shipped():
    """The sweep that comes along, on 8 ranks as 4 groups of 2: the best configuration and the repetitions that partita-compare takes."""
    result = jobs.run([mpiexec, "-n", "8", sweep, f"--config={source}/inputs/sweeps/digits_learning_rate_batch.ini", "--data.train-samples=1000",
                             "--data.test-samples=200", "--output=s"], cwd=folder)
    assert result.returncode == 0 and "4 groups of 2 ranks" in result.stderr, result
    rows = index("s")
    assert len(rows) == 27 and {row["ranks"] for row in rows} == {"0-1", "2-3", "4-5", "6-7"}
    means = {}
    for row in rows:
        means.setdefault(row["group"], []).append(float(row["test_accuracy"]))
    assert all(len(values) == 3 for values in means.values())
    best = max(sum(values) / 3 for values in means.values())
    told = re.search(r"best: .* mean test_accuracy (\S+) over 3 runs", result.stdout)
    assert told and abs(float(told[1]) - best) < 1e-4, (result.stdout, best)
    assert json.loads((folder / "s" / "rows" / "0001.json").read_text())["status"] == "complete"


try:
    {f.__name__: f for f in (expansion, bad_input, equality, faults, resumption, signals, shipped)}[part]()
finally:
    shutil.rmtree(folder)
