"""The files that programs are given: none has two roles, none is written by two jobs at a time.

Usage: files_test.py roles|claims FOLDER_OF_THE_PROGRAMS MPIEXEC SOURCE_FOLDER
"""
import fcntl
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import types
import unittest.mock

import h5py

sys.path.append(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import jobs

part = sys.argv[1]
programs, mpiexec, source = map(pathlib.Path, sys.argv[2:5])
FEW = ("--train.steps=2", "--data.train-samples=200", "--data.test-samples=100")
LONG = ("--train.epochs=1000000", "--data.train-samples=200", "--data.test-samples=100")


def command(name, *arguments, ranks=0):
    launcher = [mpiexec, "-n", ranks] if ranks else []
    return list(map(str, [*launcher, programs / f"partita-{name}", *arguments]))


def refused(*texts, run):
    assert run.returncode == 2, run
    for text in texts:
        assert text in run.stderr, (run.args, text, run.stderr)


def content(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def roles():
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        run_file, model_file = shutil.copy(source / "inputs/runs/digits_mlp.ini", folder / "r.ini"), folder / "m.ini"
        text = run_file.read_text()
        model_file.write_text((source / "inputs/runs" / re.search(r"file *= *(\S+)", text).group(1)).read_text())
        run_file.write_text(re.sub(r"(file *= *)\S+", r"\1m.ini", text))
        train = lambda *arguments: jobs.run(command("train", "--config", run_file, *FEW, *arguments))  # noqa: E731
        made = train(f"--output={folder}/a.h5", f"--save-model={folder}/model.h5", "--timeline.first=0", "--timeline.steps=1")
        assert made.returncode == 0, made
        assert jobs.run(command("data", "generate", "--train-samples=200", "--test-samples=100", f"--output={folder}/set")).returncode == 0
        table = shutil.copy(source / "inputs/machines/all_reduce.table", folder / "t.table")
        os.symlink("new.h5", folder / "link.h5")
        os.link(folder / "model.h5", folder / "hard.h5")
        images = folder / "set" / "train-images-idx3-ubyte.gz"
        before = content(folder)
        for arguments, first, second in (
                ((f"--output={folder}/same.h5", f"--save-model={folder}/same.h5"), "save-model", "output"),
                ((f"--output={folder}/new.h5", f"--save-model={folder}/link.h5"), "save-model", "output"),
                ((f"--output={folder}/new.h5", f"--save-model={folder}/.new.h5.partial"), "save-model", "temporary file of output"),
                ((f"--output={folder}/new.h5", f"--checkpoint.dir={folder}/new.h5"), "checkpoint.dir", "output"),
                ((f"--output={run_file}", "--overwrite"), "output", "config"),
                ((f"--output={model_file}", "--overwrite"), "output", "model.file"),
                ((f"--output={table}", f"--sync.table={table}", "--overwrite"), "output", "sync.table"),
                ((f"--save-model={folder}/hard.h5", f"--load-model={folder}/model.h5", "--overwrite"), "save-model", "load-model"),
                ((f"--data.dir={folder}", "--data.name=set", f"--output={images}", "--overwrite"), "output", "data.name")):
            refused(f"{first} = ", f"one file with {second}" if " " not in second else second, run=train(*arguments))
        same = f"--output={folder}/same.h5", f"--save-model={folder}/same.h5"
        refused("save-model", "output", run=train(*same, "--dry-run"))
        refused("save-model", "output", run=jobs.run(command("train", "--config", run_file, *FEW, *same, ranks=2)))
        refused("one file with load-model", run=jobs.run(command("infer", "--config", run_file, *FEW, f"--load-model={folder}/model.h5",
                                                                f"--output={folder}/hard.h5", "--overwrite")))
        refused("one file with RESULT", run=jobs.run(command("timeline", folder / "a.h5", f"--output={folder}/a.h5", "--overwrite")))
        refused("one file with output", run=jobs.run(command("bench-comm", "--bytes=64", "--samples=1", f"--output={folder}/b.h5",
                                                             f"--table={folder}/b.h5")))
        refused("one file with output", run=jobs.run(command("bench-kernels", f"--output={folder}/b.h5", f"--benchmark_out={folder}/b.h5",
                                                             "--benchmark_filter=nothing")))
        sweep = folder / "swept" / "0001.h5"
        sweep.parent.mkdir()
        shutil.copy(folder / "model.h5", sweep)
        (folder / "s.ini").write_text("config = r.ini\n[vary]\ntrain.seed = 1, 2\n")
        refused("one file with load-model", run=jobs.run(command("sweep", f"--config={folder}/s.ini", f"--output={folder}/swept", "--overwrite",
                                                                 f"--load-model={sweep}", *FEW)))
        shutil.rmtree(sweep.parent)
        (folder / "s.ini").unlink()
        assert content(folder) == before, "something was written, or left over"


def epochs(log):
    return len(re.findall(r"^epoch \d+ ", log.read_text(), re.M))


def holder(log, *arguments):
    """A training that goes on until it is ended, once it has begun; what it says goes into a file, which never fills up."""
    with open(log, "w") as said:
        job = subprocess.Popen(command("train", f"--config={source}/inputs/runs/digits_mlp.ini", *LONG, *arguments),
                               stdout=subprocess.DEVNULL, stderr=said)
    jobs.wait_for("an epoch", lambda: epochs(log) > 0, job)
    return job


def claims():
    """The second is refused at once and told by whom; the first never notices; what a killed job had is free."""
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        config = f"--config={source}/inputs/runs/digits_mlp.ini"
        log = folder / "first.log"
        first = holder(log, f"--output={folder}/a.h5", f"--save-model={folder}/m.h5", f"--checkpoint.dir={folder}/ck")
        try:
            says = ("is in use by another job: partita-train, process ", f"process {first.pid} on {os.uname().nodename}")
            for words in (("train", config, *FEW, f"--output={folder}/a.h5", "--overwrite"),
                          ("train", config, *FEW, f"--output={folder}/a.h5", "--resume"),
                          ("train", config, *FEW, f"--output={folder}/m.h5"),
                          ("train", config, *FEW, f"--output={folder}/b.h5", f"--save-model={folder}/a.h5", "--overwrite"),
                          ("train", config, *FEW, f"--output={folder}/b.h5", f"--checkpoint.dir={folder}/ck"),
                          ("bench-comm", "--bytes=64", "--samples=1", f"--output={folder}/a.h5", "--overwrite"),
                          ("bench-kernels", f"--output={folder}/a.h5", "--overwrite", "--benchmark_filter=nothing")):
                refused(*says, run=jobs.run(command(*words)))
            refused(*says, run=jobs.run(command("train", config, *FEW, f"--output={folder}/a.h5", "--overwrite", ranks=2)))
            # Other names beside it are free, and the first goes on.
            assert jobs.run(command("train", config, *FEW, f"--output={folder}/b.h5")).returncode == 0
            before = epochs(log)
            jobs.wait_for("an epoch after the others", lambda: epochs(log) > before, first)
            first.send_signal(jobs.signal.SIGUSR1)
            assert first.wait(timeout=jobs.LIMIT_SECONDS) == 75, first.returncode
        finally:
            jobs.end(first)
        with h5py.File(folder / "a.h5") as file:
            assert len(file["steps/loss"]) > 0
        assert not list(folder.glob(".*")) and not (folder / "ck" / ".lock").exists()
        killed = holder(folder / "killed.log", f"--output={folder}/k.h5", f"--checkpoint.dir={folder}/ck-k")
        jobs.end(killed)
        assert (folder / ".k.h5.lock").exists()
        assert jobs.run(command("train", config, *FEW, f"--output={folder}/k.h5", f"--checkpoint.dir={folder}/ck-k", "--overwrite")).returncode == 0
        assert not list(folder.glob(".*")) and not list((folder / "ck-k").iterdir())
    sweeps()
    reports()


def reports():
    """Another report of the same name is being made; the folder is named after the whole name of the result."""
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        for output, result, arguments in (("a.1.report", "a.1", ()), ("a-report", "a.h5", ()), ("mine", "a.h5", ("-o", "mine"))):
            with open(folder / f".{output}.lock", "w") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                print("somebody", file=lock, flush=True)
                refused(f"{output}: is in use by another job: somebody", run=jobs.run(command("report", result, *arguments), cwd=folder))
    slow_holders()


def slow_holders():
    """Who has a lock says so after taking it: the report looks again until there is a whole line."""
    sys.path.append(str(source / "scripts"))
    from partita import claim

    with tempfile.TemporaryDirectory() as folder:
        place = pathlib.Path(folder) / ".a.lock"
        for texts, told in (((b"", b"some", b"somebody, here\n"), "somebody, here"), ((b"",) * 100, "of which nothing is known")):
            said = iter(texts)

            def pread(file, count, at, said=said):
                place.write_bytes(next(said))
                return os.pread(file, count, at)

            with open(place, "w") as lock, unittest.mock.patch.object(claim, "os", types.SimpleNamespace(**vars(os) | {"pread": pread})):
                fcntl.flock(lock, fcntl.LOCK_EX)
                try:
                    claim.take(place)
                    raise AssertionError("taken")
                except claim.InUse as refusal:
                    assert str(refusal) == f"is in use by another job: {told}", refusal


def sweeps():
    """A folder is one sweep's, or of shards a part each; its index can be made beside shards, its runs are its own."""
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        (folder / "s.ini").write_text(f"config = {source}/inputs/runs/digits_mlp.ini\n[vary]\ntrain.seed = 1, 2, 3, 4\n")
        sweep = lambda *arguments: command("sweep", f"--config={folder}/s.ini", f"--output={folder}/s", *arguments)  # noqa: E731
        first = subprocess.Popen(sweep(*LONG, "--shard=1/2"), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        try:
            jobs.wait_for("a result", lambda: (folder / "s" / "0001.h5").exists(), first)
            says = "is in use by another job: partita-sweep, process "
            refused(says, run=jobs.run(sweep(*FEW, "--overwrite")))
            os.link(folder / "s.ini", folder / "s.1")
            refused("output: must name a folder", run=jobs.run(command("sweep", f"--config={folder}/s.1", *FEW), cwd=folder))
            refused(says, run=jobs.run(sweep(*LONG, "--shard=1/2", "--resume")))
            refused(says, run=jobs.run(command("train", f"--config={source}/inputs/runs/digits_mlp.ini", *FEW, "--overwrite",
                                               f"--output={folder}/s/0001.h5")))
            assert jobs.run(sweep(*LONG, "--index-only")).returncode in (0, 1) and (folder / "s" / "index.csv").exists()
            assert first.poll() is None
        finally:
            jobs.end(first)
        runs_of_a_sweep(folder)


def runs_of_a_sweep(folder):
    """A run whose files another program has keeps its sweep from replacing any result."""
    (folder / "t.ini").write_text(f"config = {source}/inputs/runs/digits_mlp.ini\n[vary]\ntrain.seed = 1, 2, 3\n")
    sweep = command("sweep", f"--config={folder}/t.ini", f"--output={folder}/t", *FEW)
    assert jobs.run(sweep).returncode == 0
    others = holder(folder / "other.log", f"--output={folder}/t/0002.h5", "--overwrite")
    try:
        kept = [path for path in (folder / "t").rglob("*")  # the other program goes on writing its own
                if "0002" not in path.name and "0002" not in path.parent.name and path.is_file()]
        before = {path: path.read_bytes() for path in kept}
        assert {"0001.h5", "0003.h5", "0001.json", "index.csv"} <= {path.name for path in kept}
        for option in ("--overwrite", "--resume"):
            result = jobs.run([*sweep, option])
            refused(f"t/0002.h5: is in use by another job: partita-train, process {others.pid}", run=result)
            assert "0001.h5" not in result.stderr and "0003.h5" not in result.stderr, result.stderr
        assert before == {path: path.read_bytes() for path in kept} and (folder / "t" / "0002.h5").exists()
        assert not [path for path in (folder / "t").rglob(".*.lock") if "0002" not in path.name]
        # However many runs there are, and however few files a process may open: the one in use is named, and no other.
        result = jobs.run(["sh", "-c", 'ulimit -n 64; exec "$0" "$@"', *sweep, "--overwrite", "--vary.train.seed=1..80"])
        refused(f"t/0002.h5: is in use by another job: partita-train, process {others.pid}", run=result)
        assert all("/t/0002." in line for line in result.stderr.splitlines()), result.stderr
        assert before == {path: path.read_bytes() for path in kept}
        # Another shard has nothing to do with it.
        assert jobs.run([*sweep, "--overwrite", "--shard=1/2"]).returncode == 0
        assert others.poll() is None
    finally:
        jobs.end(others)
    assert jobs.run([*sweep, "--overwrite"]).returncode == 0


{"roles": roles, "claims": claims}[part]()
