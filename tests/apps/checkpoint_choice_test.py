"""Which checkpoint a run goes on from: whole, its own, of a configuration that allows it; what is refused, and what is said of it.

Usage: checkpoint_choice_test.py refusals|damaged|impossible|names|changes MPIEXEC PARTITA_TRAIN SOURCE_FOLDER
"""
import hashlib
import os
import pathlib
import random
import re
import shutil
import tempfile

import h5py
import numpy as np

from checkpoints import alone, datasets, goes_on, newest, part, refused, run

short = ("--train.epochs=3", "--data.train-samples=3000", "--data.test-samples=200")


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


def put(dataset, at, value):
    """A value that no checksum beside it contradicts."""
    dataset[at] = value
    dataset.attrs.pop("checksum", None)


def vouch_again(folder):
    """The manifest names the bytes of the shards as they are now."""
    with h5py.File(folder / "manifest.h5", "r+") as manifest:
        shards = manifest["shards"]
        for i, name in enumerate(shards["name"].asstr()[()]):
            content = (folder / name).read_bytes()
            put(shards["bytes"], i, len(content))
            put(shards["sha256"], i, hashlib.sha256(content).hexdigest())


def impossible():
    """A checkpoint whose running statistics are none is damaged, though its manifest vouches for it; all of them are named."""
    layers = [f"--model.layer={line}" for line in ("flatten", "linear 8", "batchnorm", "linear 10", "batchnorm")]
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        checkpoints, arguments = folder / "r.checkpoints", (*layers, f"--output={folder}/r.h5")
        assert alone(*arguments).returncode == 0
        (folder / "r.h5").unlink()
        wrong = (("batchnorm1", "running_var", 3, -5), ("batchnorm1", "running_mean", 7, np.inf), ("batchnorm2", "running_mean", 9, np.nan))
        with h5py.File(checkpoints / "step-6" / "shard-0.h5", "r+") as shard:
            for layer, name, at, value in wrong:
                put(shard[f"parameters/{layer}/{name}"], at, value)
            put(shard["parameters/linear1/bias"], 0, -5)  # a learned parameter may be any number
        vouch_again(checkpoints / "step-6")
        result = goes_on(3, *arguments)
        for layer, name, at, value in wrong:
            assert f"step-6/shard-0.h5: {layer} {name} has {value} at {at}, which is no running statistic\n" in result.stderr, (name, result.stderr)
        assert result.stderr.count("which is no running statistic") == 3 and (checkpoints / "damaged-step-6").exists(), result.stderr


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


{f.__name__: f for f in (refusals, damaged, impossible, names, changes)}[part]()
