"""Transfer learning: starting from a saved model with frozen layers, on one rank and on two.

Usage: transfer_test.py MPIEXEC PARTITA_TRAIN
"""
import os
import pathlib
import sys
import tempfile

import h5py
import numpy

sys.path.append(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import jobs

mpiexec, train = sys.argv[1:3]
data = ["--data.name=random", "--data.task=classification", "--data.features=13", "--data.classes=5", "--data.train-samples=23",
        "--model.input=13", "--train.batch=10", "--train.precision=fp64", "--compute.backend=reference", "--train.momentum=0.9"]


def run(ranks, layers, *arguments):
    command = [mpiexec, "-n", str(ranks), train, *data, *(f"--model.layer={layer}" for layer in layers), *arguments]
    return jobs.run(command)


def parameters(path):
    with h5py.File(path) as file:
        return {f"{layer}/{name}": file["parameters"][layer][name][:] for layer in file["parameters"] for name in ("weight", "bias")}


with tempfile.TemporaryDirectory() as folder:
    path = pathlib.Path(folder)
    first = run(1, ["linear 11", "tanh", "linear 7", "tanh", "linear 5"], "--train.steps=5", f"--save-model={path}/a.h5")
    assert first.returncode == 0, first
    start = parameters(path / "a.h5")
    layers = ["linear 11 frozen", "tanh", "linear 7", "tanh", "linear 5"]
    tuned = {}
    for ranks in (1, 2, 3):
        result = run(ranks, layers, "--train.steps=20", f"--load-model={path}/a.h5", f"--save-model={path}/{ranks}.h5",
                     f"--output={path}/r{ranks}.h5")
        assert result.returncode == 0, result
        tuned[ranks] = parameters(path / f"{ranks}.h5")
        for name, values in tuned[ranks].items():
            moved = numpy.linalg.norm(values - start[name])
            if name.startswith("linear1/"):
                assert (values == start[name]).all(), f"{name} is frozen but moved"
            else:
                assert moved > 1e-4 * numpy.linalg.norm(start[name]), f"{name} did not move"
                difference = numpy.linalg.norm(values - tuned[1][name])
                assert difference <= 1e-10 * moved, (ranks, name, difference / moved)
    with h5py.File(path / "r2.h5") as file:
        rows = file["traffic"]
        training = (rows["activity"][:] == b"train") & (rows["purpose"][:] == b"gradient") & (rows["rank"][:] == 0)
        assert rows["payload_bytes"][:][training].sum() == 20 * 8 * (7 * 11 + 7 + 5 * 7 + 5)
        assert file["memory/gradients"][0] == 8 * (7 * 11 + 7 + 5 * 7 + 5)

    # A new head: the layers that the file has too are loaded, others drawn.
    result = run(2, ["linear 11 frozen", "tanh", "linear 7", "tanh", "linear 6", "tanh", "linear 5"], "--train.steps=0",
                 f"--load-model={path}/a.h5", f"--save-model={path}/n.h5")
    assert result.returncode == 2 and "linear3" in result.stderr and "5x7" in result.stderr and "6x7" in result.stderr, result
    result = run(2, ["linear 11 frozen", "tanh", "linear 5"], "--train.steps=1", f"--load-model={path}/a.h5")
    assert result.returncode == 2 and "linear2" in result.stderr, result
    for wrong in (f"{path}/none.h5", __file__, f"{path}/r2.h5"):
        result = run(2, layers, "--train.steps=1", f"--load-model={wrong}")
        assert result.returncode == 2, (wrong, result)
print("ok")
