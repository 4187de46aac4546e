"""The runs that are compared with PyTorch: nets, batches, and the samples that both sides read."""
import gzip
import pathlib
import subprocess

import numpy

STEPS = 20
SAMPLES = 70  # a last batch of 70 - 2 * 32 = 6
CASES = {
    "cnn": dict(input=(1, 28, 28), batch=32, rate=0.02, decay=0.0, loss="cross-entropy",
                layers=["conv 3 kernel=5 stride=2", "relu", "maxpool 2", "conv 4 kernel=3 padding=1", "tanh", "avgpool 2", "flatten", "linear 10"]),
    "mlp": dict(input=(1, 28, 28), batch=32, rate=0.05, decay=0.0, loss="cross-entropy", layers=["flatten", "linear 4", "relu", "linear 10"]),
    "windows": dict(input=(1, 28, 28), batch=32, rate=0.05, decay=0.0, loss="cross-entropy",
                    layers=["conv 3 kernel=5x3 stride=2x1 padding=2x0 bias=false", "tanh", "maxpool 2x3 stride=2", "conv 4 kernel=3x5 padding=same", "relu",
                            "avgpool 3x2 stride=1x2", "conv 5 kernel=1 bias=false", "tanh", "avgpool global", "flatten", "linear 10 bias=false"]),
    "batchnorm": dict(input=(1, 28, 28), batch=32, rate=0.02, decay=1e-3, loss="cross-entropy",
                      layers=["conv 3 kernel=5 stride=2 bias=false", "batchnorm", "relu", "maxpool 2", "conv 4 kernel=3 padding=same bias=false",
                              "batchnorm affine=false momentum=0.3", "tanh", "flatten", "linear 6 bias=false", "batchnorm eps=0.01", "relu", "linear 10"]),
    "decay": dict(input=(1, 28, 28), batch=10, rate=0.05, decay=0.01, loss="cross-entropy",
                  layers=["avgpool 4", "flatten", "linear 9", "tanh", "linear 10"]),
}
# The other optimizers, with weight decay on a small net: keys of [train] beside the others; adam with what both sides take by default.
SMALL = dict(CASES["decay"], layers=["avgpool 7", "flatten", "linear 6", "tanh", "linear 10"])
CASES |= {
    "nesterov": dict(SMALL, optimizer=dict(optimizer="nesterov", momentum=0.9)),
    "adam": dict(SMALL, rate=0.01, optimizer=dict(optimizer="adam")),
    "adamw": dict(SMALL, rate=0.01, decay=0.1, optimizer=dict(optimizer="adamw", beta1=0.8, beta2=0.99, epsilon=1e-6)),
    "clipped": dict(SMALL, optimizer={"momentum": 0.9, "clip-norm": 0.3}),
    "lars": dict(SMALL, rate=0.5, optimizer=dict(optimizer="lars", momentum=0.9, trust=0.02)),
    "lamb": dict(SMALL, rate=0.01, optimizer={"optimizer": "lamb", "beta1": 0.8, "beta2": 0.99, "epsilon": 1e-6, "clip-norm": 0.3}),
}


def parameters(case):
    """The names of the tensors of each layer that has some, by layers, which are numbered by kind: conv1, conv2, linear1."""
    count, layers = {}, {}
    for layer in case["layers"]:
        kind = layer.split()[0]
        count[kind] = count.get(kind, 0) + 1
        if kind in ("linear", "conv", "batchnorm"):
            learned = () if "affine=false" in layer else ("weight",) if "bias=false" in layer else ("weight", "bias")
            layers[f"{kind}{count[kind]}"] = learned + (("running_mean", "running_var") if kind == "batchnorm" else ())
    return layers


def batch(step, samples, size):
    per_epoch = -(-samples // size)
    begin = step % per_epoch * size
    return slice(begin, min(begin + size, samples))


def samples(partita_data, case, folder):
    """Digits as an IDX set in `folder`; returns the same samples as numpy arrays, normalised."""
    subprocess.run([partita_data, "generate", "--output", str(pathlib.Path(folder) / "oracle"), "--train-samples", str(SAMPLES),
                    "--test-samples", "10"], check=True, stdout=subprocess.DEVNULL)

    def idx(name, header):
        return numpy.frombuffer(gzip.open(pathlib.Path(folder) / "oracle" / name).read(), numpy.uint8, offset=header)

    images = idx("train-images-idx3-ubyte.gz", 16).reshape(-1, 1, 28, 28) / 255.0
    return (images - 0.25) / 0.5, idx("train-labels-idx1-ubyte.gz", 8).astype(numpy.int64)


def optimizer(case):
    return case.get("optimizer", dict(momentum=0.9))


def arguments(case, folder):
    return ["--model.input=" + "x".join(map(str, case["input"])), *(f"--model.layer={layer}" for layer in case["layers"]),
            f"--model.loss={case['loss']}", "--data.name=oracle", f"--data.dir={folder}", "--data.mean=0.25", "--data.std=0.5",
            f"--train.batch={case['batch']}", f"--train.learning-rate={case['rate']}", *(f"--train.{key}={value}" for key, value in optimizer(case).items()),
            f"--train.weight-decay={case['decay']}", "--train.shuffle=false", "--train.precision=fp64", "--compute.backend=reference"]
