"""Optimizers as a user meets them: refusals, memory, checkpoints of the same grid and of another, what tells results apart.

Usage: optimizers_test.py MPIEXEC PARTITA_TRAIN PARTITA_COMPARE SOURCE_FOLDER
"""
import os
import pathlib
import re
import shutil
import sys
import tempfile

import h5py
import numpy as np

sys.path.append(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import jobs
from tensors import parameters

mpiexec, train, compare, source = sys.argv[1:5]
sgd = ("--train.momentum=0.9",)
adam = ("--train.optimizer=adam", "--train.momentum=0", "--train.learning-rate=0.001")


def run(*arguments, ranks=1, steps=12):
    launcher = [mpiexec, "-n", ranks] if ranks > 1 else []
    return jobs.run([*launcher, train, f"--config={source}/inputs/runs/digits_mlp.ini", "--data.train-samples=100", "--data.test-samples=20",
                     "--train.batch=20", "--train.precision=fp64", "--compute.backend=reference", f"--train.steps={steps}", "--checkpoint.every=6",
                     "--checkpoint.keep=9", *arguments])


def trained(*arguments, **keys):
    result = run(*arguments, **keys)
    assert result.returncode == 0, (arguments, result)
    return result


def manifest(folder, step):
    """States and the step with which they began."""
    with h5py.File(folder / f"step-{step}" / "manifest.h5") as file:
        layers = list(file["parameters"])
        assert all(list(state) == layers for state in file["optimizer"].values())
        return sorted(file["optimizer"]), int(file.attrs["optimizer_first_update"])


with tempfile.TemporaryDirectory() as folder:
    folder = pathlib.Path(folder)

    # All that does not fit the optimizer is said at once; the run file has a momentum.
    result = run("--train.optimizer=adamw", "--train.beta1=1", "--train.epsilon=0")
    assert result.returncode == 2 and len(result.stderr.splitlines()) >= 3, result
    for text in ("train.momentum = 0.9: belongs to train.optimizer=sgd or nesterov or lars, not to adamw; the nearest is 0", "train.beta1 = 1", "train.epsilon = 0"):
        assert text in result.stderr, (text, result.stderr)
    result = run("--train.beta2=0.5")
    assert result.returncode == 2 and "train.beta2 = 0.5: belongs to train.optimizer=adam or adamw or lamb, not to sgd" in result.stderr, result
    result = run("--train.trust=0.1", "--train.clip-norm=0")
    assert result.returncode == 2, result
    for text in ("train.trust = 0.1: belongs to train.optimizer=lars, not to sgd", "train.clip-norm = 0: must be a number above 0"):
        assert text in result.stderr, (text, result.stderr)
    result = run("--train.optimizer=lamb", "--train.momentum=0", "--grid.tensor=2", ranks=2)
    assert result.returncode == 2 and "grid.tensor = 2: excludes train.optimizer=lamb, which takes norms of whole tensors; the nearest is 1" in result.stderr, result

    # A gradient that is clipped has the norm C: the first step of SGD without momentum moves all parameters by η·C together.
    start, clipped = folder / "start.h5", folder / "clipped.h5"
    trained("--train.momentum=0", f"--save-model={start}", steps=0)
    norms = []
    for ranks, grid in ((1, ()), (2, ("--grid.pipeline=2",)), (2, ("--grid.tensor=2",)), (3, ())):
        trained("--train.momentum=0", "--train.learning-rate=0.1", "--train.clip-norm=0.001", f"--save-model={clipped}", f"--output={folder}/clipped-run.h5",
                "--overwrite", *grid, ranks=ranks, steps=1)
        with h5py.File(folder / "clipped-run.h5") as file:
            norms.append(file["steps/gradient_norm"][0])
        assert abs(norms[-1] / norms[0] - 1) < 1e-12 and norms[0] > 0.001, norms
        before, after = parameters(start), parameters(clipped)
        moved = np.sqrt(sum(((after[name] - before[name]) ** 2).sum() for name in before))
        assert abs(moved / (0.1 * 0.001) - 1) < 1e-4, (ranks, grid, moved)  # 1e-6 is added to the norm
    printed = trained("--train.clip-norm=1", "--print-program=0").stdout
    assert "norm" in printed and "norm" not in trained("--print-program=0").stdout, printed

    # Memory, as it is foreseen and as it is recorded; results that differ in the optimizer.
    kept = folder / "adam.checkpoints"
    for name, keys, states in (("sgd", sgd, 1), ("adam", adam, 2)):
        foreseen = re.search(r"gradients (\d+), optimizer state (\d+)", trained(*keys, "--dry-run").stdout)
        assert int(foreseen[2]) == states * int(foreseen[1]), foreseen
        trained(*keys, f"--output={folder}/{name}.h5", f"--save-model={folder}/{name}-model.h5", ranks=2)
        with h5py.File(folder / f"{name}.h5") as file:
            memory = file["memory"]
            assert (memory["optimizer_state"][:] == states * memory["gradients"][:]).all() and (memory["gradients"][:] == int(foreseen[1])).all()
    result = jobs.run([compare, folder / "sgd.h5", folder / "adam.h5"])
    for key in ("train.optimizer", "train.beta1", "train.epsilon", "train.momentum"):
        assert key in result.stdout + result.stderr, (key, result)

    # The same grid goes on bit by bit, another one to 1e-10 of what six steps of Adam move.
    assert manifest(kept, 6) == (["first_moment", "second_moment"], 0)
    shutil.rmtree(kept / "step-12")
    for ranks, tolerance in ((2, 0), (1, 1e-10 * 6 * 0.001)):
        trained(*adam, "--resume", f"--checkpoint.dir={kept}", f"--save-model={folder}/rest-{ranks}.h5", f"--output={folder}/rest-{ranks}.h5.run", ranks=ranks)
        shutil.rmtree(kept / "step-12")
        whole, rest = parameters(folder / "adam-model.h5"), parameters(folder / f"rest-{ranks}.h5")
        assert whole.keys() == rest.keys() and all(np.abs(whole[name] - rest[name]).max() <= tolerance for name in whole), ranks

    # After another optimizer the moments begin, and their updates count from there.
    result = trained(*adam, "--resume", f"--checkpoint.dir={folder}/sgd.checkpoints", f"--output={folder}/changed.h5", steps=18)
    assert "from step 12 on: train.optimizer = adam (was -)" in result.stderr, result.stderr
    assert manifest(folder / "sgd.checkpoints", 12) == (["velocity"], 0)
    assert manifest(folder / "sgd.checkpoints", 18) == (["first_moment", "second_moment"], 12)
