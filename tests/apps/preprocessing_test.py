"""A model knows how its training normalised and which classes there were: inference and fine-tuning use it, or say why not.

Usage: preprocessing_test.py MPIEXEC PARTITA_TRAIN PARTITA_INFER
"""
import os
import pathlib
import re
import struct
import sys
import tempfile

import h5py
import numpy

sys.path.append(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import jobs

mpiexec, train, infer = sys.argv[1:4]
scratch = tempfile.TemporaryDirectory(prefix="partita-preprocessing-")
folder = pathlib.Path(scratch.name)
rng = numpy.random.default_rng(5)


def write_idx(path, values):
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(struct.pack(f">I{values.ndim}I", 0x0800 + values.ndim, *values.shape) + values.astype("u1").tobytes())


def write_set(name, channels, train_labels, test_labels):
    """Channels as different as can be."""
    level = numpy.array([20, 120, 220][:channels]).reshape(-1, 1, 1)
    shape = (channels, 4, 5) if channels > 1 else (4, 5)
    images = {}
    for half, labels in (("train", train_labels), ("t10k", test_labels)):
        labels = numpy.array(labels)
        images[half] = rng.integers(0, 30, (len(labels), channels, 4, 5)) + level + labels.reshape(-1, 1, 1, 1)
        write_idx(folder / name / f"{half}-images-idx{len(shape) + 1}-ubyte", images[half].reshape(len(labels), *shape))
        write_idx(folder / name / f"{half}-labels-idx1-ubyte", labels)
    return images


def run(program, ranks, name, shape, *arguments):
    keys = (f"--data.dir={folder}", f"--data.name={name}", f"--model.input={shape}", "--model.layer=flatten", "--model.layer=linear 4")
    return jobs.run([mpiexec, "-n", ranks, program, *keys, *arguments])


def passes(result):
    assert result.returncode == 0 and result.stdout.endswith("STATUS: PASS\n"), result
    return {name: float(value) for name, value in re.findall(r"FOM name=(\S+) value=(\S+)", result.stdout)}


def refused(result, *texts):
    assert result.returncode == 2, result
    for text in texts:
        assert result.stderr.count(text) == 1, (text, result.stderr)


def loss_of(path, images, labels, mean, std):
    """The mean cross-entropy of the stored linear layer, from the formula."""
    with h5py.File(path) as file:
        weight, bias = (file[f"parameters/linear1/{name}"][:].astype("f8") for name in ("weight", "bias"))
    x = (images / 255 - numpy.reshape(mean, (-1, 1, 1))) / numpy.reshape(std, (-1, 1, 1))
    logits = x.reshape(len(x), -1) @ weight.T + bias
    logits -= logits.max(axis=1, keepdims=True)
    return numpy.mean(numpy.log(numpy.exp(logits).sum(axis=1)) - logits[numpy.arange(len(labels)), labels])


def near(a, b):
    assert abs(a - b) <= 2e-5 * abs(b), (a, b)


# Three channels, each with its own moments: training (two ranks), what the file keeps, and inference on every kind of grid.
labels = [0, 1, 2, 3] * 10
images = write_set("colour", 3, labels, labels[:21])
model = folder / "colour.h5"
trained = passes(run(train, 2, "colour", "3x4x5", "--data.train-samples=20", "--train.batch=5", "--train.epochs=3", f"--save-model={model}"))
first = images["train"][:20] / 255
mean, std = first.mean(axis=(0, 2, 3)), first.std(axis=(0, 2, 3))
with h5py.File(model) as file:
    assert file["data"].attrs["sample_shape"] == b"3x4x5" and file["data"].attrs["precision"] == b"fp32", dict(file["data"].attrs)
    assert file["data"].attrs["classes"] == 4 and file["data"].attrs["name"] == b"colour"
    stored = (file["data/normalisation/mean"][:], file["data/normalisation/std"][:])
assert numpy.allclose(stored[0], mean, atol=1e-14) and numpy.allclose(stored[1], std, atol=1e-14), stored
expected = loss_of(model, images["t10k"], labels[:21], mean, std)
near(trained["test_loss"], expected)
for arguments in ((1,), (2, "--grid.tensor=2"), (2, "--grid.pipeline=2")):
    result = run(infer, arguments[0], "colour", "3x4x5", f"--load-model={model}", *arguments[1:])  # the whole training set is there
    near(passes(result)["test_loss"], expected)
    assert f"normalising as {model} was trained: mean " in result.stderr, result.stderr
given = [" ".join(map(repr, map(float, numbers))) for numbers in stored]
near(passes(run(infer, 1, "colour", "3x4x5", f"--load-model={model}", f"--data.mean={given[0]}", f"--data.std={given[1]}"))["test_loss"], expected)
refused(run(infer, 1, "colour", "3x4x5", f"--load-model={model}", "--data.mean=0.5,0.4,0.3", "--data.std=0.5"), "data.mean = 0.5 0.4 0.3",
        "data.std = 0.5", given[0], given[1])
refused(run(infer, 2, "colour", "3x4x5", f"--load-model={model}", "--data.mean=0.5,,0.3", "--data.std=1 x 3"), "between commas",
        "'x' must be a number")
refused(run(train, 1, "colour", "3x4x5", "--data.mean=0.5 0.3"), "has 2 numbers, a sample of colour has shape 3x4x5")

# A model that does not know: what is used instead is said.
old = folder / "old.h5"
old.write_bytes(model.read_bytes())
with h5py.File(old, "r+") as file:
    del file["data"]
result = run(infer, 1, "colour", "3x4x5", f"--load-model={old}")
whole = images["train"] / 255
otherwise = loss_of(old, images["t10k"], labels[:21], whole.mean(axis=(0, 2, 3)), whole.std(axis=(0, 2, 3)))
near(passes(result)["test_loss"], otherwise)
assert abs(otherwise - expected) > 1e-3 * expected, "or the checks above could not tell one normalisation from the other"
assert f"{old} does not say how its training normalised" in result.stderr and "(this training set's)" in result.stderr, result.stderr

# Fine-tuning takes the new set's own normalisation, and says so.
tuned = ("--train.steps=1", "--train.precision=fp64", "--compute.backend=reference", f"--load-model={model}")
result = run(train, 1, "colour", "3x4x5", *tuned)
passes(result)
assert "(this training set's); " in result.stderr and f"{model} was trained with mean {given[0]}, std {given[1]}" in result.stderr, result.stderr
assert "was trained in fp32, this run computes in fp64" in result.stderr, result.stderr
result = run(train, 1, "colour", "3x4x5", *tuned, f"--data.mean={given[0]}", f"--data.std={given[1]}")
passes(result)
assert "normalising as" in result.stderr, result.stderr

# A class that only the test set has; the classes of the model serve inference, the names are compared.
write_set("rare", 1, [0, 1, 2] * 4, [3, 1, 3, 0])
rare = folder / "rare.h5"
keys = ("--train.batch=4", "--train.steps=2")
refused(run(train, 1, "rare", "1x4x5", *keys), f"{folder}/rare/t10k-labels-idx1-ubyte", "label 3 of sample 0 is out of range",
        "the nearest is data.classes=4")
refused(run(train, 2, "rare", "1x4x5", *keys, "--data.classes=3"), "expected 0 to 2 by data.classes")
refused(run(train, 1, "rare", "1x4x5", *keys, "--data.classes=5"), "the last layer has 4 outputs, rare has 5 classes")
passes(run(train, 2, "rare", "1x4x5", *keys, "--data.classes=4", f"--save-model={rare}"))
passes(run(infer, 2, "rare", "1x4x5", f"--load-model={rare}"))
passes(run(infer, 1, "rare", "1x4x5", f"--load-model={rare}", "--data.classes=4"))
refused(run(infer, 1, "rare", "1x4x5", f"--load-model={old}"), "label 3 of sample 0")
refused(run(infer, 1, "rare", "1x4x5", f"--load-model={model}"), "was trained on samples of shape 3x4x5, whose normalisation does not fit")
write_set("more", 1, [0, 9, 2, 3] * 3, [5, 1, 3, 0])
result = run(infer, 2, "more", "1x4x5", f"--load-model={rare}")
refused(result, f"load-model = {rare}: was trained on 4 classes; more has labels up to 9")
assert "data.classes" not in result.stderr and "labels-idx1" not in result.stderr, result.stderr
refused(run(infer, 1, "more", "1x4x5", f"--load-model={rare}", "--data.classes=4"), "the nearest is data.classes=10", "the nearest is data.classes=6")
for number, names in enumerate((["gull", "tern", "auk", "skua"], ["tern", "gull", "auk", "skua"])):
    (folder / "rare" / "classes.txt").write_text("\n".join(names))
    result = run(train, 1, "rare", "1x4x5", *keys, f"--load-model={rare}", f"--save-model={folder}/named{number}.h5")
    passes(result)
    assert ("the classes of" in result.stderr) is False, result.stderr
with h5py.File(folder / "named0.h5") as file:
    assert list(file["data/classes/name"][:]) == [b"gull", b"tern", b"auk", b"skua"]
result = run(infer, 1, "rare", "1x4x5", f"--load-model={folder}/named0.h5")
passes(result)
assert "are gull, tern, auk, skua; those of rare are tern, gull, auk, skua" in result.stderr, result.stderr
print("ok")
