"""Models with batch norms from and to elsewhere: files that h5py wrote, and the conversion of state_dicts.

Usage: norm_models_test.py files|npz|torch MPIEXEC PARTITA_TRAIN PARTITA_INFER SOURCE_FOLDER
Part torch is skipped (77) where torch is not installed.
"""
import os
import pathlib
import re
import sys
import tempfile

import h5py
import numpy

sys.path.append(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import jobs
from model_files import read, same, write

part, mpiexec, train, infer, source = sys.argv[1:6]
scratch = tempfile.TemporaryDirectory(prefix="partita-norm-models-")
folder = pathlib.Path(scratch.name)
random = numpy.random.default_rng(1)
pixels = 2 * 5 * 6
data = ["--data.name=random", "--data.task=regression", "--data.features=2x5x6", "--data.train-samples=23", "--data.test-samples=11",
        "--model.input=2x5x6", "--model.loss=mse", "--train.batch=10", "--train.precision=fp64", "--compute.backend=reference"]
layers = ["conv 4 kernel=3 bias=false", "batchnorm", "relu", "flatten", "linear 7 bias=false", "batchnorm affine=false", "tanh", "linear 3",
          "batchnorm eps=0.01"]
shapes = {"conv1": {"weight": (4, 2, 3, 3)},
          "batchnorm1": dict.fromkeys(("weight", "bias", "running_mean", "running_var"), (4,)),
          "linear1": {"weight": (7, 48)},
          "batchnorm2": dict.fromkeys(("running_mean", "running_var"), (7,)),
          "linear2": {"weight": (3, 7), "bias": (3,)},
          "batchnorm3": dict.fromkeys(("weight", "bias", "running_mean", "running_var"), (3,))}
theirs = dict(zip(shapes, ("features.0", "features.1", "classifier.1", "classifier.2", "classifier.4", "classifier.5")))


def run(program, ranks, *arguments, lines=layers, targets=3):
    return jobs.run([mpiexec, "-n", ranks, program, *data, f"--data.targets={targets}", *(f"--model.layer={line}" for line in lines), *arguments])


def passes(result):
    assert result.returncode == 0 and "Traceback" not in result.stderr, result
    return result


def refused(result, *texts):
    assert result.returncode == 2 and "Traceback" not in result.stderr, result
    for text in texts:
        assert text in result.stderr, (text, result.stderr)


def drawn(names=None, dtype=numpy.float64):
    """Tensors by the names of a model file, or of a state_dict; no variance is 0."""
    return {f"{names[layer] if names else layer}.{name}": random.uniform(0.5 if name == "running_var" else -0.5, 1.5, shape).astype(dtype)
            for layer, its in shapes.items() for name, shape in its.items()}


def files():
    """What h5py writes in the documented layout is loaded, bit for bit, by any grid; what is none of it is said to be."""
    tensors = drawn()
    path = write(folder / "foreign.h5", {**tensors, "batchnorm1.num_batches_tracked": numpy.int64(3)})
    for ranks, grid in ((1, "--grid.data=1"), (2, "--grid.tensor=2")):
        passes(run(train, ranks, grid, "--train.steps=0", f"--load-model={path}", f"--save-model={folder}/saved.h5", "--overwrite"))
        same(read(folder / "saved.h5"), tensors)
    odd = {name: values for name, values in tensors.items() if name not in ("batchnorm1.weight", "batchnorm1.bias", "batchnorm3.running_var")}
    odd |= {"batchnorm2.weight": numpy.ones(7), "batchnorm3.running_mean": numpy.zeros(4)}
    for program in (train, infer):
        result = run(program, 1, f"--load-model={write(folder / 'odd.h5', odd)}")
        refused(result, "has no weight of this model's layer batchnorm1; affine=false on its line leaves it out",
                "has no bias of this model's layer batchnorm1; affine=false on its line leaves it out",
                "has a weight of batchnorm2, which this model's layer lacks",
                "batchnorm3 running_mean has shape 4 there and 3 here", "has no running_var of this model's layer batchnorm3")
        assert "running_var of this model's layer batchnorm3;" not in result.stderr, result
    for name, value in (("running_var", -1e-9), ("running_var", numpy.inf), ("running_mean", numpy.nan)):
        wrong = tensors[f"batchnorm2.{name}"].copy()
        wrong[4] = value
        for program in (train, infer):
            refused(run(program, 1, f"--load-model={write(folder / 'wrong.h5', tensors | {f'batchnorm2.{name}': wrong})}"),
                    f"batchnorm2 {name} has {value:g} at 4, which is no running statistic")
    others = write(folder / "others.h5", {f"other-{name}": values for name, values in tensors.items()})
    every = ", ".join(sorted(f"other-{layer}" for layer in shapes))
    refused(run(train, 1, "--train.steps=0", f"--load-model={others}"), f"no layer of this model's names; it has {every}\n")
    refused(run(train, 1, "--train.steps=0", f"--load-model={path}", "--load-model.skip=norm*"), f"it has {', '.join(sorted(shapes))}\n")
    passes(run(train, 1, "--train.steps=0", f"--load-model={path}", "--load-model.skip=batchnorm*", f"--save-model={folder}/drawn.h5"))
    for name, values in read(folder / "drawn.h5").items():
        assert numpy.array_equal(values, tensors[name]) != name.startswith("batchnorm"), name


def convert(*arguments):
    return jobs.run([sys.executable, f"{source}/scripts/convert_model.py", *arguments])


def with_counters(tensors, count):
    """What PyTorch keeps besides: how many batches each batch norm has seen."""
    state = {}
    for name, values in tensors.items():
        state[name] = values
        if name.endswith(".running_var"):
            state[name.removesuffix("running_var") + "num_batches_tracked"] = numpy.array(count)
    return state


def load_npz(path):
    with numpy.load(path) as file:
        return {name: file[name] for name in file.files}


def npz():
    """state_dict -> model file -> state_dict, by names of PyTorch's and by the layers' own; all that does not fit is refused."""
    tensors = drawn(theirs, numpy.float32)
    state, model = folder / "state.npz", folder / "model.h5"
    numpy.savez(state, **with_counters(tensors, 5))
    result = passes(convert(state, model))
    assert result.stdout.splitlines() == [f"{theirs[layer]} -> {layer}  {'x'.join(map(str, next(iter(its.values()))))}"
                                          for layer, its in shapes.items()], result
    assert result.stderr.splitlines() == [
        "features.0: has no bias; the line of conv1 needs bias=false", "classifier.1: has no bias; the line of linear1 needs bias=false",
        "classifier.2: has no weight and no bias; the line of batchnorm2 needs affine=false"], result
    own = {f"{layer}.{name}": tensors[f"{theirs[layer]}.{name}"] for layer, its in shapes.items() for name in its}
    same(read(model), own)
    for arguments, expected in ((("--like", state), tensors), ((), own)):
        passes(convert(model, folder / "back.npz", "--overwrite", *arguments))
        back, expected = load_npz(folder / "back.npz"), with_counters(expected, 0)
        assert list(back) == list(expected), back.keys()
        same(back, expected)
        assert all((values.dtype, values.shape) == (numpy.int64, ()) for name, values in back.items() if name.endswith("tracked")), back
    passes(convert(state, folder / "mapped.h5", "--map", "classifier.2=norm", "--skip", "features.1"))
    assert {name.split(".")[0] for name in read(folder / "mapped.h5")} == {"conv1", "linear1", "norm", "linear2", "batchnorm2"}
    passes(convert(folder / "mapped.h5", folder / "mapped.npz", "--like", state, "--skip", "features.1", "--map", "norm=bn"))
    assert "bn.num_batches_tracked" in load_npz(folder / "mapped.npz")
    refused_states(tensors)
    refused_models(model, own, tensors)
    assert not (folder / "x.h5").exists() and not (folder / "x.npz").exists()


def refused_states(tensors):
    ones = numpy.ones(4, numpy.float32)
    changes = {"features.1.bias": None, "classifier.5.weight": None, "classifier.5.running_mean": ones, "half.running_mean": ones,
               "image.running_mean": numpy.ones((4, 1)), "image.running_var": numpy.ones((4, 1)), "classifier.2.running_var": numpy.float32(1)}
    numpy.savez(folder / "odd.npz", **{name: values for name, values in (tensors | changes).items() if values is not None})
    refused(convert(folder / "odd.npz", folder / "x.h5"),
            "features.1.weight: stands without a bias; a batch norm has both or, with affine=False, neither",
            "classifier.5.bias: stands without a weight", "classifier.5.bias: has shape (3,), its running_mean (4,)",
            "half.running_mean: stands without a running_var; a batch norm has both",
            "image.running_var: has 2 dimensions; a batch norm's tensors have 1",
            "classifier.2.running_var: has 0 dimensions")
    for name, value in (("running_var", -1), ("running_var", numpy.inf), ("running_mean", numpy.nan)):
        wrong = numpy.array([1, value, 1], numpy.float32)
        numpy.savez(folder / "value.npz", **tensors | {f"classifier.5.{name}": wrong})
        refused(convert(folder / "value.npz", folder / "x.h5"), f"classifier.5.{name}: has values that are not finite")
    norm = {"norm.weight": ones, "norm.bias": ones, "features.0.num_batches_tracked": numpy.int64(1), "classifier.2.running_mean": numpy.ones(7, int),
            "running_mean": ones, "volume.weight": numpy.ones((2, 1, 1)), "lone.bias": ones}
    numpy.savez(folder / "norm.npz", **tensors | norm)
    refused(convert(folder / "norm.npz", folder / "x.h5"), "norm.weight: has 1 dimension, but no running statistics stand beside it", "LayerNorm",
            "features.0.num_batches_tracked: belongs to no linear layer", "classifier.2.running_mean: holds int64",
            "running_mean: has no layer's name before it", "volume.weight: has 3 dimensions", "lone.bias: belongs to no linear layer")


def refused_models(model, own, tensors):
    def like(reference):
        numpy.savez(folder / "like.npz", **reference)
        return convert(model, folder / "x.npz", "--like", folder / "like.npz")
    swapped = {**tensors, "features.1.weight": numpy.ones((4, 4)), "classifier.2.weight": numpy.ones(7), "classifier.2.bias": numpy.ones(7)}
    del swapped["features.1.running_mean"], swapped["features.1.running_var"]
    swapped |= {f"classifier.5.{name}": numpy.ones(5) for name in shapes["batchnorm3"]}
    refused(like(swapped), "--like: features.1 is a linear layer, batchnorm1 a batch norm", "--like: classifier.2 has a bias, batchnorm2 no bias",
            "--like: classifier.5 has shape (5,), batchnorm3 (3,)")
    refused(like({name: values for name, values in tensors.items() if name != "classifier.5.bias"}),
            "--like: classifier.5.weight: stands without a bias")
    refused(like({name: values for name, values in tensors.items() if not name.startswith("classifier.2")}), "--like: has 5 layers, the model 6")
    odd = write(folder / "odd.h5", {name: values for name, values in own.items() if name not in ("batchnorm1.bias", "batchnorm2.running_mean")})
    refused(convert(odd, folder / "x.npz"), "batchnorm1.weight: stands without a bias", "batchnorm2.running_var: stands without a running_mean")


def loss_in(result):
    return float(re.search(r"name=test_loss value=(\S+)", result.stdout)[1])


def outputs(model, lines, targets, *grid):
    """What a model file answers to the test set."""
    result = passes(run(infer, 2, f"--load-model={model}", f"--output={folder}/answers.h5", "--overwrite", *grid, lines=lines, targets=targets))
    with h5py.File(folder / "answers.h5") as file:
        return file["inference/output"][:], loss_in(result)


def with_torch():
    """A net of PyTorch's answers as it does in eval(), and takes back what was trained from it, with strict=True."""
    try:
        import torch
    except ImportError:
        print("skipped: torch is not installed for", sys.executable)
        sys.exit(77)
    nn = torch.nn
    net = nn.Sequential(nn.Conv2d(2, 4, 3, bias=False), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(48, 7, bias=False),
                        nn.BatchNorm1d(7, affine=False), nn.Tanh(), nn.Linear(7, 3), nn.BatchNorm1d(3, eps=0.01)).double()
    for name, tensor in net.state_dict().items():
        if not name.endswith("tracked"):
            tensor.uniform_(0.5 if name.endswith("running_var") else -0.5, 1.5)
    torch.save(net.state_dict(), folder / "net.pt")
    model = folder / "net.h5"
    passes(convert(folder / "net.pt", model))
    # The test set, as a layer answers that passes it on.
    passed_on = write(folder / "identity.h5", {"linear1.weight": numpy.eye(pixels)})
    samples, _ = outputs(passed_on, ["flatten", f"linear {pixels} bias=false"], pixels)
    with torch.no_grad():
        expected = net.eval()(torch.from_numpy(samples.reshape(-1, 2, 5, 6))).numpy()
    assert expected.shape == (11, 3) and numpy.ptp(expected) > 0.1, expected
    # The longest sum has 48 terms; its error passes through one sum more and three divisions by deviations that are above 0.7.
    bound = 4 * 48 * numpy.finfo(float).eps * max(1, numpy.abs(expected).max())
    for grid in ("--grid.data=2", "--grid.tensor=2", "--grid.pipeline=2"):
        answers, _ = outputs(model, layers, 3, grid)
        assert numpy.abs(answers - expected).max() <= bound, (grid, numpy.abs(answers - expected).max(), bound)

    result = passes(run(train, 2, "--train.steps=2", f"--load-model={model}", f"--save-model={folder}/trained.h5"))
    passes(convert(folder / "trained.h5", folder / "trained.pt", "--like", folder / "net.pt"))
    state = torch.load(folder / "trained.pt", weights_only=True)
    assert list(state) == list(net.state_dict())
    before = {name: values.numpy().copy() for name, values in net.state_dict().items()}
    net.load_state_dict(state, strict=True)
    for name, values in net.state_dict().items():  # a bias in front of a batch norm has no gradient
        assert name.endswith(("bias", "tracked")) or not numpy.array_equal(before[name], values.numpy()), name
    with torch.no_grad():
        expected = net(torch.from_numpy(samples.reshape(-1, 2, 5, 6))).numpy()
    answers, loss = outputs(folder / "trained.h5", layers, 3, "--grid.tensor=2")
    assert numpy.abs(answers - expected).max() <= bound, (numpy.abs(answers - expected).max(), bound)
    evaluated = loss_in(result)
    assert abs(evaluated - loss) <= bound * loss, (evaluated, loss)


{"files": files, "npz": npz, "torch": with_torch}[part]()
print("ok")
