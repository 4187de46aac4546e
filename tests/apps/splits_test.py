"""Shares of states, gradients and parameters as a user meets them: the same model to the bit, memory and bytes as foreseen, predicted and
recorded, checkpoints between splits, refusals.

Usage: splits_test.py MPIEXEC PARTITA_TRAIN PARTITA_SIMULATE PARTITA_COMPARE SOURCE_FOLDER
"""
import os
import pathlib
import re
import sys
import tempfile

import h5py
import numpy as np

sys.path.append(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import jobs
from tensors import parameters

mpiexec, train, simulate, compare, source = sys.argv[1:6]
common = (f"--config={source}/inputs/runs/digits_mlp.ini", "--data.train-samples=100", "--data.test-samples=20", "--train.batch=20", "--train.precision=fp64",
          "--compute.backend=reference", "--train.steps=12", "--train.optimizer=adam", "--train.momentum=0", "--train.learning-rate=0.001",
          "--sync.bucket-bytes=1", "--model.layer=flatten", "--model.layer=linear 16", *["--model.layer=relu", "--model.layer=linear 100"] * 6, "--model.layer=linear 10",
          "--model.file=", "--model.input=1x28x28", "--model.init=kaiming")
# Parameters by bucket, a layer each, in the order in which their gradients are complete, and bytes of an element.
buckets, element = (100 * 10 + 10, *[100 * 100 + 100] * 5, 16 * 100 + 100, 784 * 16 + 16), 8


def run(*arguments, ranks=1):
    launcher = [mpiexec, "-n", ranks] if ranks > 1 else []
    return jobs.run([*launcher, train, *common, *arguments])


def trained(*arguments, **keys):
    result = run(*arguments, **keys)
    assert result.returncode == 0, (arguments, result)
    return result


def memory(split, ranks):
    """Of a rank, in bytes: parameters, gradients, states."""
    everything, shares = sum(buckets), sum(-(-n // ranks) for n in buckets)
    held = shares if split == "parameter" else everything
    states = everything if split == "none" else shares
    two_and_shares = max(a + b for a, b in zip(buckets, buckets[1:])) + shares
    gradients = min(two_and_shares, everything) if split in ("gradient", "parameter") else everything
    return [held * element, gradients * element, 2 * states * element]


def sent(file, operation, purpose):
    traffic = file["traffic"]
    words = {name: [word.decode() for word in traffic[name][:]] for name in ("activity", "operation", "purpose")}
    rows = [i for i, row in enumerate(zip(*words.values())) if row == ("train", operation, purpose)]
    return sum(int(traffic[column][i]) for column in ("wire_bytes", "window_bytes_read", "window_bytes_written") for i in rows)


with tempfile.TemporaryDirectory() as folder:
    folder = pathlib.Path(folder)
    for ranks in (2, 3):
        models = {}
        for split in ("none", "state", "gradient", "parameter"):
            name = f"{split}-{ranks}"
            keys = (f"--sync.split={split}",)
            foreseen = re.search(r"parameters (\d+), gradients (\d+), optimizer state (\d+)", trained(*keys, "--dry-run", ranks=ranks).stdout)
            assert list(map(int, foreseen.groups())) == memory(split, ranks), (name, foreseen)
            trained(*keys, f"--output={folder}/{name}.h5", f"--save-model={folder}/{name}-model.h5", "--checkpoint.every=6", "--checkpoint.keep=9", ranks=ranks)
            result = jobs.run([simulate, *common, *keys, f"--ranks={ranks}", f"--output={folder}/{name}-predicted.h5"])
            assert result.returncode == 0, result
            with h5py.File(folder / f"{name}.h5") as measured, h5py.File(folder / f"{name}-predicted.h5") as predicted:
                for column, expected in zip(("parameters", "gradients", "optimizer_state"), memory(split, ranks)):
                    assert (measured["memory"][column][:] == expected).all(), (name, column)
                for column in measured["memory"]:
                    assert (measured["memory"][column][:] == predicted["memory"][column][:]).all(), (name, column)
                for operation, purpose in (("all_reduce", "gradient"), ("reduce_scatter", "gradient"), ("all_gather", "parameter"), ("all_gather", "norm")):
                    assert sent(measured, operation, purpose) == sent(predicted, operation, purpose), (name, operation, purpose, sent(measured, operation, purpose), sent(predicted, operation, purpose))
                assert (sent(measured, "reduce_scatter", "gradient") > 0) == (sent(measured, "all_gather", "parameter") > 0) == (split != "none"), name
            models[split] = parameters(folder / f"{name}-model.h5")
            assert models[split].keys() == models["none"].keys()
            assert all(np.array_equal(models[split][tensor], models["none"][tensor]) for tensor in models["none"]), name

    # What the shards hold, the views show whole; any split goes on from any other.
    shown = parameters(folder / "parameter-3.checkpoints" / "step-12" / "manifest.h5")
    assert shown.keys() == models["parameter"].keys() and all(np.array_equal(shown[name], models["parameter"][name]) for name in shown)
    for start, split, ranks in (("parameter-3", "none", 2), ("none-2", "parameter", 3), ("state-3", "gradient", 3), ("gradient-2", "state", 1)):
        kept = folder / f"{start}.checkpoints"
        for entry in (kept / "step-12").iterdir():
            entry.unlink()
        (kept / "step-12").rmdir()
        trained("--resume", f"--checkpoint.dir={kept}", f"--sync.split={split}", f"--save-model={folder}/rest-{start}.h5", f"--output={folder}/rest-{start}-run.h5", ranks=ranks)
        rest = parameters(folder / f"rest-{start}.h5")
        tolerance = 0 if ranks == int(start[-1]) else 1e-10 * 6 * 0.001  # of what six steps of Adam move
        whole = parameters(folder / f"{start}-model.h5")
        assert all(np.abs(rest[name] - whole[name]).max() <= tolerance for name in whole), (start, split, ranks)

    result = jobs.run([compare, folder / "none-2.h5", folder / "state-2.h5", "--no-gate"])
    assert result.returncode == 0 and "sync.split" in result.stdout + result.stderr, result

    # Refusals, all at once.
    result = run("--sync.split=all", "--sync.gather=never", ranks=2)
    assert result.returncode == 2 and "sync.split = all: " in result.stderr and "sync.gather = never: " in result.stderr, result
    result = jobs.run([mpiexec, "-n", 2, train, f"--config={source}/inputs/runs/digits_mlp.ini", "--train.optimizer=lars", "--train.clip-norm=1",
                       "--train.deterministic=true", "--sync.split=state"])
    assert result.returncode == 2, result
    for key in ("train.clip-norm", "train.optimizer=lars"):
        assert f"sync.split = state: excludes {key} in the deterministic mode, where norms are those of whole tensors; the nearest is none" in result.stderr, result
