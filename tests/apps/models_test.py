"""Models from and to elsewhere: files that h5py wrote, named layers, layers left out, and the conversion of state_dicts.

Usage: models_test.py files|names|npz|torch MPIEXEC PARTITA_TRAIN PARTITA_INFER SOURCE_FOLDER
Part torch is skipped (77) where torch is not installed.
"""
import os
import pathlib
import sys
import tempfile

import h5py
import numpy

sys.path.append(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import jobs
from model_files import read, same, write

part, mpiexec, train, infer, source = sys.argv[1:6]
folder = pathlib.Path(tempfile.mkdtemp())
data = ["--data.name=random", "--data.task=classification", "--data.features=1x8x8", "--data.classes=5", "--data.train-samples=23",
        "--data.test-samples=11", "--model.input=1x8x8", "--train.batch=10"]
layers = ["conv 3 kernel=3", "relu", "maxpool 2", "flatten", "linear 7", "tanh", "linear 5"]
shapes = {"conv1": (3, 1, 3, 3), "linear1": (7, 27), "linear2": (5, 7)}
random = numpy.random.default_rng(1)


def run(program, ranks, *arguments, lines=layers):
    return jobs.run([mpiexec, "-n", ranks, program, *data, *(f"--model.layer={line}" for line in lines), *arguments])


def drawn(names, dtype=numpy.float32):
    """Tensors such as a state_dict's."""
    tensors = {}
    for name, shape in zip(names, shapes.values()):
        tensors[f"{name}.weight"] = random.uniform(-0.3, 0.3, shape).astype(dtype)
        tensors[f"{name}.bias"] = random.uniform(-0.3, 0.3, shape[:1]).astype(dtype)
    return tensors


def files():
    """What h5py writes in the documented layout is loaded, bit for bit; what is none of it is said to be."""
    for dtype in (numpy.float16, numpy.float32, numpy.dtype(">f4"), numpy.float64):
        tensors = drawn(shapes, dtype)
        path = write(folder / "foreign.h5", tensors)
        double = ["--train.precision=fp64", "--compute.backend=reference"] if dtype == numpy.float64 else []
        result = run(train, 2, "--train.steps=0", f"--load-model={path}", f"--save-model={folder}/saved.h5", "--overwrite", *double)
        assert result.returncode == 0, result
        same(read(folder / "saved.h5"), tensors)
    assert run(infer, 1, f"--load-model={path}").returncode == 0
    tensors = drawn(shapes)
    wrong = {"shape": ({**tensors, "linear2.weight": tensors["linear1.weight"]}, "linear2 weight has shape 7x27 there and 5x7 here"),
             "half": ({k: v for k, v in tensors.items() if k != "linear1.bias"}, "has no bias of this model's layer linear1"),
             "whole": ({k: v.astype(numpy.int32) for k, v in tensors.items()}, "/parameters/conv1/bias has another type"),
             "names": ({k.replace("linear", "fc").replace("conv", "c"): v for k, v in tensors.items()},
                       "no layer of this model's names; it has c1, fc1, fc2")}
    for name, (content, text) in wrong.items():
        result = run(train, 1, "--train.steps=0", f"--load-model={write(folder / name, content)}")
        assert result.returncode == 2 and text in result.stderr, (name, result)
    with h5py.File(folder / "flat.h5", "w") as file:
        file["parameters/conv1.weight"] = tensors["conv1.weight"]
    with h5py.File(folder / "none.h5", "w") as file:
        file["weights"] = tensors["conv1.weight"]
    for name, text in (("flat.h5", "/parameters/conv1.weight is a dataset"), ("none.h5", "/parameters is missing")):
        result = run(infer, 1, f"--load-model={folder / name}")
        assert result.returncode == 2 and text in result.stderr and "docs/models.md" in result.stderr, (name, result)
    assert "damaged" not in result.stderr, result
    unread_layers(tensors)
    without_biases()


def without_biases():
    """Layers without a bias have none in files; a file's layers have what the model's have."""
    lines = ["conv 3 kernel=3x2 padding=1x0 bias=false", "relu", "avgpool global", "flatten", "linear 5 bias=false name=head"]
    result = run(train, 2, "--train.steps=2", "--grid.tensor=2", f"--save-model={folder}/bare.h5", lines=lines)
    assert result.returncode == 0, result
    tensors = read(folder / "bare.h5")
    assert {name: values.shape for name, values in tensors.items()} == {"conv1.weight": (3, 1, 3, 2), "head.weight": (5, 3)}, tensors
    result = run(train, 1, "--train.steps=0", f"--load-model={folder}/bare.h5", f"--save-model={folder}/saved.h5", "--overwrite", lines=lines)
    assert result.returncode == 0, result
    same(read(folder / "saved.h5"), tensors)
    assert run(infer, 2, f"--load-model={folder}/bare.h5", lines=lines).returncode == 0
    lone = write(folder / "lone.h5", {"conv1.weight": tensors["conv1.weight"], "head.bias": numpy.zeros(5, numpy.float32)})
    biased = write(folder / "biased.h5", {**tensors, "head.bias": numpy.zeros(5, numpy.float32)})
    for file, head, text in ((folder / "bare.h5", "linear 5 name=head", "has no bias of this model's layer head; bias=false on its line leaves it out"),
                             (biased, lines[-1], "has a bias of head, which this model's layer lacks"),
                             (lone, lines[-1], "has a bias of head, which this model's layer lacks")):
        for program in (train, infer):
            result = run(program, 1, f"--load-model={file}", lines=[*lines[:-1], head])
            assert result.returncode == 2 and text in result.stderr, (text, result)


def unread_layers(tensors):
    """Layers that the model does not have may be anything; a layer that it has is refused by name, or left out."""
    with h5py.File(write(folder / "extra.h5", tensors), "r+") as file:
        file["parameters/conv1/weight"].attrs["checksum"] = "of another kind"
        file["parameters/conv1/bias"].attrs["checksum"] = numpy.uint64(1)
        extra = file["parameters"]
        extra["int8/weight"] = numpy.zeros((2, 3), numpy.int8)
        extra["volume/weight"] = numpy.zeros((1, 2, 1, 1, 2), numpy.float32)
        extra["scale/weight"] = numpy.float32(2)
        extra["empty/weight"] = h5py.Empty("f")
        extra["none/weight"] = numpy.zeros((0, 3), numpy.float32)
        extra["text/bias"] = "words"
        extra["group/weight/inner"] = numpy.zeros(3)
        extra["temperature"] = numpy.float32(1)
        extra["link"] = h5py.SoftLink("/elsewhere")
        extra.create_dataset("packed/weight", data=numpy.zeros((8, 9), numpy.float32), compression="lzf")
    result = run(train, 2, "--train.steps=0", f"--load-model={folder}/extra.h5", f"--save-model={folder}/saved.h5", "--overwrite")
    assert result.returncode == 0, result
    same(read(folder / "saved.h5"), tensors)
    assert run(infer, 1, f"--load-model={folder}/extra.h5").returncode == 0
    for wanted, reason in (("int8", "/parameters/int8/weight has another type"), ("volume", "/parameters/volume/weight has 5 dimensions"),
                           ("temperature", "/parameters/temperature is a dataset")):
        lines = [*layers[:-1], f"linear 5 name={wanted}"]
        result = run(train, 1, "--train.steps=0", f"--load-model={folder}/extra.h5", lines=lines)
        assert result.returncode == 2 and reason in result.stderr and f"load-model.skip={wanted} leaves it out" in result.stderr, result
        result = run(train, 1, "--train.steps=0", f"--load-model={folder}/extra.h5", f"--load-model.skip={wanted}", lines=lines)
        assert result.returncode == 0, result


def names():
    """A layer's name is what files call it: models, results, timelines, checkpoints on other grids; layers can be left out by it."""
    named = [*layers[:-1], "linear 5 name=head"]
    common = ["--train.precision=fp64", "--compute.backend=reference"]
    result = run(train, 2, *common, "--grid.tensor=2", "--train.steps=6", "--timeline.first=2", "--timeline.steps=2", "--checkpoint.every=3",
                 f"--output={folder}/r.h5", f"--save-model={folder}/m.h5", lines=named)
    assert result.returncode == 0, result
    with h5py.File(folder / "r.h5") as file:
        assert [name.decode() for name in file["model/name"][:]] == ["conv1", "relu1", "maxpool1", "flatten1", "linear1", "tanh1", "head"]
        assert b"head" in set(file["timeline/layer"][:]), set(file["timeline/layer"][:])
    assert {name.split(".")[0] for name in read(folder / "m.h5")} == {"conv1", "linear1", "head"}
    checkpoints = next(path for path in folder.iterdir() if path.name.endswith(".checkpoints"))
    result = run(train, 3, *common, "--train.steps=8", f"--checkpoint.dir={checkpoints}", "--resume", f"--output={folder}/again.h5", lines=named)
    assert result.returncode == 0 and "going on from step 6" in result.stderr, result

    other = [*layers[:-1], "linear 6 name=head"]
    start = ["--train.steps=0", f"--load-model={folder}/m.h5", *common]
    result = run(train, 1, *start, lines=other)
    assert result.returncode == 2 and "head weight has shape 5x7 there and 6x7 here; load-model.skip=head leaves it out" in result.stderr, result
    for skip, kept in (("head", {"conv1", "linear1"}), ("he*, linear1", {"conv1"})):
        result = run(train, 2, *start, f"--load-model.skip={skip}", f"--save-model={folder}/s.h5", "--overwrite", lines=other)
        assert result.returncode == 0, result
        before, after = read(folder / "m.h5"), read(folder / "s.h5")
        for name in after:
            same_values = before[name].shape == after[name].shape and numpy.array_equal(before[name], after[name])
            assert same_values == (name.split(".")[0] in kept), (skip, name)
    for arguments, text in (([*start, "--load-model.skip=tail, c/d"], "must be names of layers"),
                            ([*start, "--load-model.skip=tail"], "load-model.skip = tail: is no layer of"), (["--load-model.skip=head"], "not given")):
        result = run(train, 1, *arguments, lines=other)
        assert result.returncode == 2 and text in result.stderr, (arguments, result)


def convert(*arguments):
    return jobs.run([sys.executable, f"{source}/scripts/convert_model.py", *arguments])


def round_trip(suffix, save, load):
    """state_dict -> model file -> Partita -> model file -> state_dict, bit for bit, by names that PyTorch gives."""
    torch_names = ["features.0", "classifier.1", "classifier.3"]
    tensors = drawn(torch_names)
    state, model = folder / f"state{suffix}", folder / "model.h5"
    save(state, tensors)
    result = convert(state, model)
    assert result.returncode == 0 and "features.0 -> conv1  3x1x3x3" in result.stdout, result
    assert run(train, 2, "--train.steps=0", f"--load-model={model}", f"--save-model={folder}/through.h5").returncode == 0
    result = convert(folder / "through.h5", folder / f"back{suffix}", "--like", state)
    assert result.returncode == 0 and "linear2 -> classifier.3  5x7" in result.stdout, result
    back = load(folder / f"back{suffix}")
    assert list(back) == list(tensors)
    same(back, tensors)
    assert convert(folder / "through.h5", folder / f"plain{suffix}").returncode == 0
    assert list(load(folder / f"plain{suffix}")) == [f"{layer}.{name}" for layer in shapes for name in ("weight", "bias")]

    result = convert(state, folder / "mapped.h5", "--map", "classifier.3=head")
    assert result.returncode == 0, result
    result = run(infer, 1, f"--load-model={folder}/mapped.h5", lines=[*layers[:-1], "linear 5 name=head"])
    assert result.returncode == 0, result
    return state, tensors


def refused_conversions(state, tensors):
    """Files that cannot be read and states that do not fit are refused in a line, without a traceback."""
    bytes_of = state.read_bytes()
    (folder / "torn.npz").write_bytes(bytes_of[:-40])
    numpy.save(folder / "array.npy", tensors["features.0.bias"])
    (folder / "array.npy").rename(folder / "array.npz")
    with h5py.File(folder / "dataset.h5", "w") as file:
        file["parameters"] = tensors["features.0.bias"]
    numpy.savez(folder / "short.npz", **{**tensors, "classifier.3.bias": tensors["features.0.bias"]})
    numpy.savez(folder / "lone.npz", weight=tensors["classifier.3.weight"], bias=tensors["classifier.3.bias"])
    for given, text in (("torn.npz", "cannot be read as a state_dict"), ("array.npz", "cannot be read as a state_dict"),
                        ("short.npz", "classifier.3.bias: has shape (3,), its weight (5, 7)"), ("lone.npz", "has no layer's name before it")):
        result = convert(folder / given, folder / "x.h5")
        assert result.returncode == 2 and text in result.stderr and "Traceback" not in result.stderr, (given, result)
    result = convert(folder / "dataset.h5", folder / "x.npz")
    assert result.returncode == 2 and "dataset.h5: cannot be read as a model file" in result.stderr, result
    weight, bias = tensors["classifier.3.weight"], tensors["classifier.3.bias"]
    for content, text in (({}, "has no layer"), ({"tail": weight}, "/parameters/tail is no group of a layer's tensors"),
                          ({"tail/bias": bias}, "tail.bias stands without a weight")):
        with h5py.File(folder / "odd.h5", "w") as file:
            file.create_group("parameters")
            for name, values in content.items():
                file["parameters"][name] = values
        result = convert(folder / "odd.h5", folder / "x.npz")
        assert result.returncode == 2 and f"odd.h5: {text}" in result.stderr, (text, result)
    numpy.savez(folder / "unbiased.npz", **{name: values for name, values in tensors.items() if name != "classifier.3.bias"})
    result = convert(folder / "through.h5", folder / "x.npz", "--like", folder / "unbiased.npz")
    assert result.returncode == 2 and "--like: classifier.3 has no bias, linear2 a bias" in result.stderr, result
    result = convert(state, folder / "x.h5", "--map=features.0=a", "--map=features.0=b")
    assert result.returncode == 2 and "--map features.0: is given more than once" in result.stderr, result
    result = convert(state, folder / "x.h5", *(f"--map={entry}" for entry in ("features.0=a/b", "classifier.1=", "classifier.3=two words")))
    assert result.returncode == 2 and all(f"--map {entry}: " in result.stderr for entry in (
        "features.0=a/b", "classifier.1=", "classifier.3=two words")), result
    result = convert(folder / "through.h5", folder / "x.npz", "--map", "conv1=")
    assert result.returncode == 2 and "--map conv1=: " in result.stderr, result
    blocked = folder / "blocked"
    blocked.mkdir()
    (blocked / "h5py.py").write_text("raise ImportError('none here')")
    result = jobs.run(["env", f"PYTHONPATH={blocked}", sys.executable, f"{source}/scripts/convert_model.py", state, folder / "x.h5"])
    assert result.returncode == 2 and result.stderr == "convert_model.py: needs h5py and numpy: none here\n", result


def npz():
    def load(path):
        with numpy.load(path) as file:
            return {name: file[name] for name in file.files}
    state, tensors = round_trip(".npz", lambda path, values: numpy.savez(path, **values), load)
    result = convert(state, folder / "model.h5")
    assert result.returncode == 2 and "--overwrite" in result.stderr, result
    norm = {"bn.weight": numpy.ones(3, numpy.float32), "bn.bias": numpy.zeros(3, numpy.float32), "bn.num_batches_tracked": numpy.int64(3)}
    numpy.savez(folder / "norm.npz", **{k: v for k, v in tensors.items() if k != "classifier.3.bias"}, **norm)
    result = convert(folder / "norm.npz", folder / "norm.h5")
    assert result.returncode == 2 and "bn.weight: has 1 dimension, but no running statistics" in result.stderr and "bn.num_batches_tracked" in result.stderr, result
    assert not (folder / "norm.h5").exists()
    result = convert(folder / "norm.npz", folder / "norm.h5", "--skip", "bn")
    assert result.returncode == 0 and "classifier.3: has no bias; the line of linear2 needs bias=false" in result.stderr, result
    assert "linear2.bias" not in read(folder / "norm.h5")
    result = convert(folder / "norm.h5", folder / "denorm.npz", "--like", folder / "norm.npz", "--skip", "bn")
    assert result.returncode == 0 and "classifier.3.weight" in load(folder / "denorm.npz"), result
    for arguments, text in (((state, folder / "x.h5", "--map", "nope=a"), "is no layer of"), ((state, folder / "x.npz"), "the other a model file"),
                            ((state, folder / "x.h5", "--map", "classifier.1=linear2"), "two layers would be called linear2"),
                            ((folder / "norm.h5", folder / "x.npz", "--like", folder / "norm.npz"), "--like: has 4 layers, the model 3")):
        result = convert(*arguments)
        assert result.returncode == 2 and text in result.stderr, (arguments, result)
    refused_conversions(state, tensors)
    assert not (folder / "x.h5").exists() and not [path for path in folder.iterdir() if path.name.startswith(".")]


def with_torch():
    try:
        import torch
    except ImportError:
        print("skipped: torch is not installed for", sys.executable)
        sys.exit(77)

    def save(path, values):
        torch.save({name: torch.from_numpy(array) for name, array in values.items()}, path)

    def load(path):
        return {name: tensor.numpy() for name, tensor in torch.load(path, weights_only=True).items()}
    round_trip(".pt", save, load)
    net = torch.nn.Sequential(torch.nn.Conv2d(1, 3, 3), torch.nn.ReLU(), torch.nn.MaxPool2d(2), torch.nn.Flatten(), torch.nn.Linear(27, 7),
                              torch.nn.Tanh(), torch.nn.Linear(7, 5))
    torch.save({"state_dict": net.state_dict(), "epoch": 3}, folder / "net.pth")
    assert convert(folder / "net.pth", folder / "net.h5").returncode == 0
    same(read(folder / "net.h5"), {f"{layer}.{name}": net.state_dict()[f"{index}.{name}"].numpy()
                          for layer, index in zip(shapes, (0, 4, 6)) for name in ("weight", "bias")})
    assert convert(folder / "net.h5", folder / "new.pt", "--like", folder / "net.pth").returncode == 0
    net.load_state_dict(torch.load(folder / "new.pt", weights_only=True))


{"files": files, "names": names, "npz": npz, "torch": with_torch}[part]()
print("ok")
