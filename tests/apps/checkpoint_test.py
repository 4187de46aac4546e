"""Checkpoints as a user meets them: signals, --resume on the same and on other grids, refusals, damage, kill -9 at any moment.

Usage: checkpoint_test.py signals|continued|refusals|damaged|other_grid|endings|names|changes|killed[=TIMES] MPIEXEC PARTITA_TRAIN SOURCE_FOLDER
"""
import hashlib
import os
import pathlib
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import h5py
import numpy as np

sys.path.append(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import jobs

part, mpiexec, train, source = sys.argv[1:5]
config = pathlib.Path(source) / "inputs" / "runs" / "digits_mlp.ini"
short = ("--train.epochs=3", "--data.train-samples=3000", "--data.test-samples=200")


def command(ranks, *arguments):
    return [mpiexec, "-n", str(ranks), train, f"--config={config}", *map(str, arguments)]


def run(ranks, *arguments):
    return jobs.run(command(ranks, *arguments))


def datasets(path):
    found = {}
    with h5py.File(path) as file:
        file.visititems(lambda name, item: found.__setitem__(name, item[()]) if isinstance(item, h5py.Dataset) else None)
    return found


def train_bytes(path):
    with h5py.File(path) as file:
        table = file["traffic"]
        keys = zip(table["rank"], *(table[c].asstr()[()] for c in ("activity", "axis", "operation", "purpose")))
        values = zip(*(table[c][()] for c in ("calls", "messages", "payload_bytes", "wire_bytes", "window_bytes_read")))
        return {key: value for key, value in zip(keys, values) if key[1] == "train"}


def newest(folder):
    steps = sorted((int(p.name[5:]), p) for p in folder.glob("step-*") if (p / "manifest.h5").exists())
    return steps[-1] if steps else (-1, None)


def check_whole(folder):
    """Every file is the one that the manifest vouches for, and the views show whole tensors."""
    with h5py.File(folder / "manifest.h5") as manifest:
        for group in ("shards", "result"):
            for name, sha in zip(manifest[group]["name"].asstr(), manifest[group]["sha256"].asstr()):
                assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == sha, folder / name
        for layer in manifest["parameters"].values():
            for tensor in layer.values():
                assert np.isfinite(tensor[()]).all() and tensor[()].any()


few_steps_that_take_long = ("--train.batch=1000", "--data.train-samples=3000", "--data.test-samples=200")  # three an epoch


def same_parameters(one, other):
    """Bit for bit, of model files or of a checkpoint's manifest."""
    one, other = ({name: value for name, value in datasets(path).items() if name.startswith("parameters/")} for path in (one, other))
    return bool(one) and one.keys() == other.keys() and all(np.array_equal(one[name], other[name]) for name in one)


def check_same_start(whole, stopped, steps):
    """The rows of so many steps, and of the epochs that are over with them."""
    whole, stopped = datasets(whole), datasets(stopped)
    for names, rows in ((("steps/loss", "steps/samples"), steps),
                        (("epochs/epoch", "epochs/train_loss", "epochs/test_loss", "epochs/test_accuracy"), steps // 3)):
        for name in names:
            assert len(stopped[name]) == rows and np.array_equal(whole[name][:rows], stopped[name]), name


def signals():
    """A signal checkpoints at a step boundary, on all ranks; --resume goes on as if there had been none. Nothing else ends these runs."""
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        for restarts, number in enumerate((signal.SIGUSR1, signal.SIGTERM, signal.SIGINT)):
            job = subprocess.Popen(command(2, *few_steps_that_take_long, "--train.epochs=1000000", f"--output={folder}/r.h5", "--resume"),
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            try:
                jobs.wait_for_line(job, "epoch")
                if number == signal.SIGINT:  # the launcher keeps this one for itself: it ends the job
                    for pid in jobs.ranks_of(job, train)[:1]:
                        os.kill(pid, number)
                else:
                    job.send_signal(number)
                out, _ = job.communicate(timeout=jobs.LIMIT_SECONDS)
            finally:
                jobs.end(job)
            assert "STATUS: FAIL checkpointed on a signal; submit again with --resume" in out, out
            # hydra 4.0 sometimes answers 0 after it has forwarded a signal.
            assert job.returncode in (75, 0), job.returncode
            step, checkpoint = newest(folder / "r.checkpoints")
            with h5py.File(folder / "r.h5") as file:
                assert file.attrs["status"] in (b"running", "running") and file.attrs["restarts"] == restarts
            check_whole(checkpoint)
        whole = run(2, *few_steps_that_take_long, f"--train.steps={step}", f"--output={folder}/whole.h5", f"--save-model={folder}/whole-model.h5")
        assert whole.returncode == 0, whole
        assert same_parameters(folder / "whole-model.h5", checkpoint / "manifest.h5")
        check_same_start(folder / "whole.h5", folder / "r.h5", step)


def continued():
    """A run that goes on from a checkpoint ends with the very bits, rows and bytes of the one that did not stop."""
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        arguments = (*few_steps_that_take_long, "--train.epochs=20", "--checkpoint.every=20", "--checkpoint.keep=9",
                     f"--output={folder}/r.h5", f"--save-model={folder}/model.h5")
        whole = run(2, *arguments)
        assert whole.returncode == 0, whole
        for name in ("r.h5", "model.h5"):
            (folder / name).rename(folder / f"whole-{name}")
        for step in (40, 60):  # as if it had been killed before
            (folder / "r.checkpoints" / f"step-{step}" / "manifest.h5").unlink()
        result = run(2, *arguments, "--resume")
        assert result.returncode == 0 and "STATUS: PASS" in result.stdout and "going on from step 20" in result.stderr, result
        with h5py.File(folder / "r.h5") as file:
            assert file.attrs["restarts"] == 1 and file.attrs["status"] in (b"complete", "complete")
        assert same_parameters(folder / "whole-model.h5", folder / "model.h5")
        check_same_start(folder / "whole-r.h5", folder / "r.h5", 60)
        assert train_bytes(folder / "whole-r.h5") == train_bytes(folder / "r.h5")
        again = run(2, *arguments, "--resume")
        assert again.returncode == 0 and "has ended already" in again.stderr and "STATUS: PASS" in again.stdout, again


def refusals():
    """What cannot be gone on with is refused before anything is written, and says why."""
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        output = f"--output={folder}/r.h5"
        assert run(2, *short, output, "--checkpoint.every=20").returncode == 0
        before = {p: p.read_bytes() for p in folder.rglob("*.h5")}
        dir_only = f"--checkpoint.dir={folder}/r.checkpoints"
        for arguments, texts in (
                ((dir_only,), ["holds the checkpoint of step", "--resume", "--overwrite"]),
                ((output, "--resume", "--overwrite"), ["resume"]),
                (("--resume",), ["needs checkpoint.dir"]),
                ((dir_only, "--resume", "--train.seed=2", "--train.batch=50"), ["train.seed 1, not 2", "train.batch 100, not 50"]),
                ((dir_only, "--resume", "--data.seed=9"), ["SHA-256"]),
                ((dir_only, "--resume", "--model.layer=flatten", "--model.layer=linear 99", "--model.layer=relu",
                  "--model.layer=linear 10"), ["another model", "linear1"]),
                ((output, "--resume", "--train.learning-rate=0.5"), ["another configuration", "name another output"]),
                ((f"--checkpoint.dir={folder}/r.h5", "--resume"), ["is not a folder"]),
                ((f"--checkpoint.dir={folder}/no/where",), ["does not exist"])):
            result = run(2, *short, *arguments)
            assert result.returncode == 2, (arguments, result)
            for text in texts:
                assert text in result.stderr, (arguments, text, result.stderr)
        assert before == {p: p.read_bytes() for p in folder.rglob("*.h5")}
        # A new run does not leave an old one's checkpoints to be gone on from.
        assert run(2, *short, output, "--overwrite", "--train.steps=3").returncode == 0
        assert newest(folder / "r.checkpoints") == (-1, None)


def damaged():
    """The newest whole checkpoint is used; what is damaged is named and set aside; without a whole one nothing is lost."""
    chosen = random.Random(3)
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        checkpoints = folder / "r.checkpoints"
        arguments = (*short, f"--output={folder}/r.h5")
        assert run(2, *arguments, "--checkpoint.every=20", "--checkpoint.keep=3").returncode == 0
        (folder / "r.h5").unlink()
        steps = sorted(int(p.name[5:]) for p in checkpoints.iterdir())
        assert len(steps) == 3, steps
        for step, name in zip(steps[1:], ("shard-1.h5", "result.h5")):
            victim = checkpoints / f"step-{step}" / name
            content = bytearray(victim.read_bytes())
            content[chosen.randrange(len(content))] ^= 1 << chosen.randrange(8)
            victim.write_bytes(content)
        result = run(2, *arguments, "--resume")
        assert result.returncode == 0, result
        assert "shard-1.h5" in result.stderr and "result.h5" in result.stderr and "SHA-256" in result.stderr, result.stderr
        assert f"going on from step {steps[0]}" in result.stderr, result.stderr
        assert (checkpoints / f"damaged-step-{steps[2]}").exists() and not (checkpoints / f"step-{steps[2]}").exists()
        for manifest in checkpoints.glob("step-*/manifest.h5"):
            os.truncate(manifest, os.path.getsize(manifest) // 2)
        (folder / "r.h5").unlink()
        left = sorted(checkpoints.iterdir())
        result = run(2, *arguments, "--resume")
        assert result.returncode == 1 and "holds no checkpoint that is whole" in result.stderr, result
        assert left == sorted(checkpoints.iterdir())


def other_grid():
    """From data to tensor and to one rank, as another run: its own output begins at the checkpoint's step."""
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        common = ("--train.epochs=3", "--data.train-samples=1000", "--data.test-samples=100", "--train.precision=fp64",
                  "--compute.backend=reference")
        whole = run(1, *common, f"--output={folder}/whole.h5", f"--save-model={folder}/whole-model.h5")
        assert whole.returncode == 0, whole
        stop = run(2, *common, f"--output={folder}/data.h5", "--checkpoint.every=8", "--train.steps=16")
        assert stop.returncode == 0, stop
        expected = datasets(folder / "whole-model.h5")
        for ranks, grid in ((2, "--grid.tensor=2"), (1, "--grid.data=1"), (2, "--grid.pipeline=2")):
            for path in folder.glob("other*"):
                path.unlink()
            result = run(ranks, *common, grid, f"--checkpoint.dir={folder}/data.checkpoints", "--resume",
                         f"--output={folder}/other.h5", f"--save-model={folder}/other-model.h5")
            assert result.returncode == 0 and "going on from step 16" in result.stderr, result
            with h5py.File(folder / "other.h5") as file:
                assert file.attrs["first_step"] == 16 and len(file["steps/loss"]) == 30 - 16 and len(file["epochs/epoch"]) == 3
            found = datasets(folder / "other-model.h5")
            for name in filter(lambda name: name.startswith("parameters/") and found[name].dtype.kind == "f", expected):
                assert np.abs(found[name] - expected[name]).max() < 1e-12, (grid, name)


def endings():
    """What has ended stays ended; what is missing is made good; what another job holds is left alone; a launcher is not needed."""
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        alone = subprocess.Popen([train, f"--config={config}", "--train.epochs=100000", "--compute.threads=1", f"--output={folder}/k.h5"],
                                 stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        try:
            jobs.wait_for_line(alone, "epoch")
            alone.send_signal(signal.SIGUSR1)
            out, _ = alone.communicate(timeout=jobs.LIMIT_SECONDS)
            assert alone.returncode == 75 and "STATUS: FAIL checkpointed" in out, (alone.returncode, out)
        finally:
            jobs.end(alone)

        target = ("--train.epochs=6", "--train.target-accuracy=0.6", "--checkpoint.every=60")
        files = (f"--output={folder}/t.h5", f"--save-model={folder}/t-model.h5")
        assert run(2, *target, *files).returncode == 0
        before = datasets(folder / "t-model.h5")
        (folder / "t.h5").unlink()
        (folder / "t-model.h5").unlink()
        result = run(2, *target, *files, "--resume")
        assert result.returncode == 0 and "epoch" not in result.stderr.replace("epochs", ""), result
        after = datasets(folder / "t-model.h5")
        assert all((before[k] == after[k]).all() for k in before) and "time_to_accuracy" in result.stdout

        few = ("--train.steps=12", "--timeline.steps=4", "--checkpoint.every=1", "--checkpoint.keep=20")
        files = (f"--output={folder}/w.h5", f"--save-model={folder}/w-model.h5")
        assert run(2, *few, *files).returncode == 0
        (folder / "w-model.h5").unlink()
        result = run(2, *few, *files, "--resume")
        assert result.returncode == 0 and "is missing" in result.stderr and (folder / "w-model.h5").exists(), result
        (folder / "w.h5").unlink()
        for step in range(8, 13):
            (folder / "w.checkpoints" / f"step-{step}" / "manifest.h5").unlink()
        assert run(2, *few, *files, "--resume").returncode == 0
        with h5py.File(folder / "w.h5") as file:
            table = file["timeline"]
            assert set(table["step"][()]) == {5, 6, 7, 8}
            assert (np.sort(table["flow"][()][table["flow"][()] >= 0]) >= 0).all() and (table["end_seconds"][()] >= table["start_seconds"][()]).all()

        result = run(2, "--train.steps=5", f"--checkpoint.dir={folder}/w.checkpoints", "--resume")
        assert result.returncode == 2 and "nothing is left to train" in result.stderr, result

        holder = subprocess.Popen(command(2, "--train.epochs=100000", f"--checkpoint.dir={folder}/one", "--checkpoint.every=1000"),
                                  stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        try:
            jobs.wait_for_line(holder, "checkpoint of step")
            result = run(2, "--train.epochs=100000", f"--checkpoint.dir={folder}/one", "--resume")
            assert result.returncode != 0 and "is in use by another job" in result.stderr, result
        finally:
            jobs.end(holder)


def alone(*arguments, steps=6):
    """Without a launcher, which costs more than these runs."""
    return jobs.run([train, f"--config={config}", f"--train.steps={steps}", "--data.train-samples=300", "--data.test-samples=50",
                     "--checkpoint.every=3", *arguments])


def refused(texts, *arguments, **keys):
    result = alone(*arguments, **keys)
    assert result.returncode == 2, result
    for text in texts:
        assert text in result.stderr, (arguments, text, result.stderr)


def goes_on(step, *arguments, **keys):
    result = alone(*arguments, "--resume", **keys)
    assert result.returncode == 0 and f"going on from step {step} " in result.stderr, result
    return result


def names():
    """Outputs that differ behind the last dot have checkpoints of their own, which say whose they are."""
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        one, two = folder / "rep.1", folder / "rep.2"
        assert alone(f"--output={one}").returncode == 0
        mine = folder / "rep.1-checkpoints"
        with h5py.File(newest(mine)[1] / "manifest.h5") as manifest:
            assert manifest.attrs["output"] in (b"../rep.1", "../rep.1")
        result = alone(f"--output={two}", "--resume")
        assert result.returncode == 0 and "no checkpoint in" in result.stderr and "epoch 1 " in result.stderr, result
        assert alone(f"--output={two}", "--overwrite").returncode == 0 and newest(mine)[0] == 6
        assert alone(f"--output={folder}/rep.h5").returncode == 0 and (folder / "rep.checkpoints").is_dir()

        # Another output is another run, even where nothing else differs, and is asked for by name.
        explicit = f"--checkpoint.dir={mine}"
        refused(["nothing is left to train"], f"--output={folder}/rep.3", explicit, "--resume")
        goes_on(6, f"--output={folder}/rep.3", explicit, steps=7)
        with h5py.File(folder / "rep.3") as file:
            assert file.attrs["first_step"] == 6 and len(file["steps/loss"]) == 1
        shutil.rmtree(mine)
        assert alone(f"--output={one}", "--overwrite").returncode == 0
        refused(["holds the checkpoints of another output (../rep.1), which --overwrite would delete"], f"--output={folder}/rep.4", explicit, "--overwrite")
        shutil.copytree(mine, folder / "rep.5-checkpoints")
        refused(["belongs to another output (../rep.1)", "name it with checkpoint.dir"], f"--output={folder}/rep.5", "--resume")

        # Moved together they still belong together.
        (folder / "moved").mkdir()
        shutil.move(mine, folder / "moved")
        goes_on(6, f"--output={folder}/moved/rep.1")

        renamed(folder)

        # Checkpoints of earlier versions do not name their output, and lie where its name without ending says.
        former = shutil.move(folder / "moved" / "rep.1-checkpoints", folder / "old.checkpoints")
        for manifest in pathlib.Path(former).glob("step-*/manifest.h5"):
            with h5py.File(manifest, "r+") as file:
                config_text = file.attrs["config"]
                config_text = config_text.decode() if isinstance(config_text, bytes) else config_text
                file.attrs["config"] = np.bytes_(re.sub(r"(?m)^output = .*$", "output = elsewhere/old.1", config_text).encode())
                del file.attrs["output"]
        refused(["old.checkpoints holds this output's checkpoints", "old.1-checkpoints"], f"--output={folder}/old.1", "--resume")
        refused(["belongs to another output (old.1)"], f"--output={folder}/old.h5", "--resume")
        refused(["another output (old.1), which --overwrite would delete"], f"--output={folder}/old.h5", "--overwrite")
        goes_on(6, f"--output={folder}/old.1", f"--checkpoint.dir={former}")
        with h5py.File(folder / "old.1") as file:
            assert file.attrs["restarts"] == 1 and len(file["steps/loss"]) == 6


def attribute(path, name):
    with h5py.File(path) as file:
        value = file.attrs[name]
        return value.decode() if isinstance(value, bytes) else value


def broken_off(output, checkpoints):
    """As if the job had been killed behind its checkpoint of step 3."""
    shutil.rmtree(checkpoints / "step-6")
    with h5py.File(output, "r+") as file:
        file.attrs["status"] = np.bytes_(b"running")


def renamed(folder):
    """An output and its checkpoints stay one run by what they hold, whatever they are called and wherever they lie; what is refused names
    what works."""
    a, b, before = folder / "a.h5", folder / "b.h5", folder / "before"
    assert alone(f"--output={a}").returncode == 0
    # A copy, as a twin that began in the same second, has no checkpoint of an output that is still in its place.
    copy = shutil.copy(a, folder / "copy.h5")
    refused(["holds the checkpoints of another output (../a.h5), which --overwrite would delete"], f"--output={copy}",
            f"--checkpoint.dir={folder}/a.checkpoints", "--overwrite")
    assert newest(folder / "a.checkpoints")[0] == 6
    broken_off(a, folder / "a.checkpoints")
    created = attribute(a, "created")
    a.rename(b)
    (folder / "a.checkpoints").rename(folder / "b.checkpoints")
    assert alone(f"--output={a}", "--train.learning-rate=0.5").returncode == 0  # another run in its place changes nothing
    goes_on(3, f"--output={b}")
    assert attribute(b, "created") == created and attribute(b, "restarts") == 1 and attribute(b, "first_step") == 0
    assert len(datasets(b)["steps/loss"]) == 6

    # The folder of the project is moved; the checkpoints, which are named from the root, stay.
    before.mkdir()
    explicit = f"--checkpoint.dir={folder}/elsewhere"
    assert alone(f"--output={before}/c.h5", explicit).returncode == 0
    broken_off(before / "c.h5", folder / "elsewhere")
    after = before.rename(folder / "after")
    goes_on(3, f"--output={after}/c.h5", explicit)
    assert attribute(after / "c.h5", "restarts") == 1
    assert alone(f"--output={after}/c.h5", explicit, "--overwrite").returncode == 0

    # Another run's result has that name meanwhile.
    broken_off(b, folder / "b.checkpoints")
    with h5py.File(b, "r+") as file:
        file.attrs["created"] = np.bytes_(b"2001-01-01T00:00:00Z")
    (folder / "b.checkpoints").rename(folder / "d.checkpoints")
    b.rename(folder / "d.h5")
    result = alone(f"--output={folder}/d.h5", "--resume")
    assert result.returncode == 2 and len(result.stderr.splitlines()) == 1, result
    advice = re.search(r"d.h5: would lose its steps: .* is of another output \(../a.h5\); to go on from it as another run, name another output, and "
                       r"(checkpoint.dir) = (\S+)", result.stderr)
    assert advice, result.stderr
    goes_on(3, f"--output={folder}/e.h5", f"--{advice[1]}={advice[2]}")


def changes():
    """A run that goes on says every key that differs, refuses what would change its past, and records the others."""
    def recorded(path):
        with h5py.File(path) as file:
            table = file["changes"]
            return list(zip(table["step"][()].tolist(), *(table[name].asstr()[()].tolist() for name in ("key", "before", "after"))))

    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        assert alone(f"--output={folder}/r.h5", f"--save-model={folder}/m.h5", "--train.learning-rate=0.01").returncode == 0
        with h5py.File(folder / "r.h5") as file:
            assert "changes" not in file
        shutil.copytree(folder / "r.checkpoints", folder / "kept")  # a copy beside: it still names ../r.h5
        other = (f"--checkpoint.dir={folder}/kept", f"--output={folder}/o.h5")
        before = {path for path in folder.rglob("*")}
        refused(["data.mean = 0.5: was not given in the steps", "data.std = 2: was not given in", ": leave it out, or train from the beginning",
                 "model.init = kaiming: was torch in", "load-model = ", "train.seed 1, not 7"], *other, "--resume", "--data.mean=0.5", "--data.std=2", "--model.init=kaiming",
                f"--load-model={folder}/m.h5", "--train.seed=7", "--train.learning-rate=0.01", steps=8)
        assert before == {path for path in folder.rglob("*")}

        result = goes_on(6, *other, "--train.learning-rate=0.5", "--train.momentum=0.5", steps=8)
        rows = recorded(folder / "o.h5")
        for row in ((6, "train.learning-rate", "0.01", "0.5"), (6, "train.steps", "6", "8"), (6, "output", f"{folder}/r.h5", f"{folder}/o.h5")):
            assert row in rows, (row, rows)
        for _, key, was, now in rows:
            assert f"from step 6 on: {key} = {now} (was {was})" in result.stderr, (key, result.stderr)
        assert {"train.momentum", "checkpoint.dir"} < {row[1] for row in rows} and "data.mean" not in {row[1] for row in rows}

        # What decides no result may change under the same output; so may what is written otherwise and means the same, or has no
        # effect: numbers that normalise as the training set's own, passes beside a number of steps. What changed before is not forgotten.
        with h5py.File(folder / "m.h5") as file:
            own = [f"--data.{key}={float(file['data/normalisation/' + key][0])!r}" for key in ("mean", "std")]
        (folder / "r.h5").unlink()
        same = (f"--output={folder}/r.h5", "--train.learning-rate=0.01", f"--save-model={folder}/m.h5")
        goes_on(6, *same, *own, "--evaluate.every=3", "--train.epochs=9")
        assert (6, "evaluate.every", "1", "3") in recorded(folder / "r.h5")

        # An earlier version made hashes by other rules: a model that has its output's is of this configuration, no other.
        for path, hashed in ((folder / "r.h5", b"0"), (folder / "m.h5", b"1")):
            with h5py.File(path, "r+") as file:
                file.attrs["config_hash"] = np.bytes_(hashed * 64)
        refused(["exists already and is no model of this configuration"], *same, *own, "--resume")
        with h5py.File(folder / "m.h5", "r+") as file:
            file.attrs["config_hash"] = np.bytes_(b"0" * 64)
        result = alone(*same, *own, "--resume")
        assert result.returncode == 0 and "has ended already" in result.stderr, result
        assert alone(f"--output={folder}/e.h5", "--data.mean=0.5").returncode == 0
        refused(["data.mean: was 0.5 in the steps", ": give it, or train from the beginning"], f"--checkpoint.dir={folder}/e.checkpoints",
                "--resume", steps=8)


def killed(times):
    """kill -9 of a rank or of the launcher, early or around a checkpoint: no acknowledged checkpoint is lost, none is torn, the others end."""
    chosen = random.Random(11)
    acknowledged = resumed = 0
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        arguments = ("--train.epochs=1000000", "--data.train-samples=2000", "--data.test-samples=100", "--checkpoint.every=7",
                     f"--output={folder}/r.h5", "--snapshot.seconds=0", "--evaluate.every=100000")
        for attempt in range(times):
            log = folder / "log"
            with open(log, "w") as messages:
                job = subprocess.Popen(command(2, *arguments, "--resume"), stdout=subprocess.DEVNULL, stderr=messages)
                try:
                    ranks = jobs.wait_for_ranks(job, train, 2)
                    if attempt % 2 == 0:
                        wanted = chosen.randrange(1, 9)
                        jobs.wait_for(f"{wanted} checkpoints", lambda: log.read_text().count("checkpoint of step") >= wanted, job, 0.001)
                        time.sleep(chosen.uniform(0, 0.01))
                    else:
                        time.sleep(chosen.uniform(0, 0.5))  # another moment each time
                    os.kill(job.pid if chosen.random() < 0.3 else chosen.choice(ranks), signal.SIGKILL)
                    jobs.wait_for_end(job, ranks)
                finally:
                    jobs.end(job)
            text = log.read_text()
            assert "damaged" not in text and "FAILED" not in text, text
            said = [int(step) for step in re.findall(r"^checkpoint of step (\d+): ", text, re.M)]
            step, checkpoint = newest(folder / "r.checkpoints")
            if said:
                acknowledged += len(said)
                assert step >= said[-1], (attempt, step, said[-1])
            going_on = re.search(r"going on from step (\d+)", text)
            resumed += going_on is not None
            if checkpoint:
                check_whole(checkpoint)
                if (folder / "r.h5").exists():
                    with h5py.File(folder / "r.h5") as file:
                        file["steps/loss"][:]
    print(f"{times} kills, {acknowledged} acknowledged checkpoints, {resumed} restarts")
    assert acknowledged >= (times + 1) // 2 and resumed >= (times - 1) // 2


name, _, times = part.partition("=")
if name == "killed":
    killed(int(times or 4))
else:
    {"signals": signals, "continued": continued, "refusals": refusals, "damaged": damaged, "other_grid": other_grid, "endings": endings, "names": names, "changes": changes}[name]()
