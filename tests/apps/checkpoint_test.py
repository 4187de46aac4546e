"""Whether a run that was stopped, by a signal or by kill -9 at any moment, goes on from its checkpoint as if there had been none, on the same
and on other grids.

Usage: checkpoint_test.py signals|continued|other_grid|endings|former|killed[=TIMES] MPIEXEC PARTITA_TRAIN SOURCE_FOLDER
"""
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
from checkpoints import check_whole, command, config, datasets, newest, part, run, same_parameters, train

few_steps_that_take_long = ("--train.batch=1000", "--data.train-samples=3000", "--data.test-samples=200")  # three an epoch


def train_bytes(path):
    with h5py.File(path) as file:
        table = file["traffic"]
        keys = zip(table["rank"], *(table[c].asstr()[()] for c in ("activity", "axis", "operation", "purpose")))
        values = zip(*(table[c][()] for c in ("calls", "messages", "payload_bytes", "wire_bytes", "window_bytes_read")))
        return {key: value for key, value in zip(keys, values) if key[1] == "train"}


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


def former():
    """A checkpoint of a version whose only optimizer called its states velocities is gone on from, and what is written then names them."""
    kept = pathlib.Path(__file__).parent / "former_checkpoint"  # two tensor ranks' of these arguments, with --train.steps=6
    arguments = ("--model.input=1x28x28", "--model.layer=avgpool 4", "--model.layer=flatten", "--model.layer=linear 6", "--model.layer=tanh",
                 "--model.layer=linear 10", "--data.train-samples=60", "--data.test-samples=10", "--train.batch=20", "--train.momentum=0.9",
                 "--train.learning-rate=0.1", "--train.precision=fp64", "--compute.backend=reference", "--evaluate.every=0", "--checkpoint.every=6")
    with h5py.File(kept / "step-6" / "manifest.h5") as manifest:
        assert "velocities" in manifest and "optimizer" not in manifest
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        shutil.copytree(kept, folder / "kept")
        models = folder / "whole.h5", folder / "rest.h5"
        for model, more in zip(models, ((), (f"--checkpoint.dir={folder}/kept", "--resume"))):
            result = jobs.run([train, *arguments, "--train.steps=12", f"--save-model={model}", *more])
            assert result.returncode == 0 and ("going on from step 6 " in result.stderr) == bool(more), result
        whole, rest = map(datasets, models)
        for name in filter(lambda name: name.startswith("parameters/"), whole):
            assert np.abs(whole[name] - rest[name]).max() < 1e-12, name
        with h5py.File(folder / "kept" / "step-12" / "manifest.h5") as manifest:
            assert "velocities" not in manifest and list(manifest["optimizer"]) == ["velocity"]
            assert {name: list(layer) for name, layer in manifest["optimizer/velocity"].items()} == \
                {name: list(layer) for name, layer in manifest["parameters"].items()}


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
    {f.__name__: f for f in (signals, continued, other_grid, endings, former)}[name]()
