"""What the tests of checkpoints start from: runs on ranks and alone, what a folder of checkpoints holds, whether one is whole.

Their arguments are PART MPIEXEC PARTITA_TRAIN SOURCE_FOLDER.
"""
import hashlib
import os
import pathlib
import sys

import h5py
import numpy as np

sys.path.append(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import jobs

part, mpiexec, train, source = sys.argv[1:5]
config = pathlib.Path(source) / "inputs" / "runs" / "digits_mlp.ini"


def command(ranks, *arguments):
    return [mpiexec, "-n", str(ranks), train, f"--config={config}", *map(str, arguments)]


def run(ranks, *arguments):
    return jobs.run(command(ranks, *arguments))


def datasets(path):
    found = {}
    with h5py.File(path) as file:
        file.visititems(lambda name, item: found.__setitem__(name, item[()]) if isinstance(item, h5py.Dataset) else None)
    return found


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


def same_parameters(one, other):
    """Bit for bit, of model files or of a checkpoint's manifest."""
    one, other = ({name: value for name, value in datasets(path).items() if name.startswith("parameters/")} for path in (one, other))
    return bool(one) and one.keys() == other.keys() and all(np.array_equal(one[name], other[name]) for name in one)


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
