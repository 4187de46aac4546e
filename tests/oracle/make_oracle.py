"""Makes the outside oracle: PyTorch's parameters in float64 after 20 steps of the runs in this folder.

Usage: make_oracle.py PARTITA_TRAIN PARTITA_DATA [CASE ...]    (needs torch, h5py, numpy; run again only for a case that changes)
Starts from the parameters that Partita initialises (--train.steps=0) and reads the same samples, in order.
"""
import pathlib
import subprocess
import sys
import tempfile

import h5py
import torch

import cases


def module(layer, shape):
    words = layer.split()
    options = dict(word.split("=") for word in words if "=" in word)
    bias = options.get("bias") != "false"

    def extents(text):
        """HEIGHTxWIDTH, or one number for both."""
        return tuple(map(int, text.split("x"))) if "x" in text else int(text)

    if words[0] == "linear":
        return torch.nn.Linear(shape[0], int(words[1]), bias)
    if words[0] == "conv":
        padding = options.get("padding", "0")
        return torch.nn.Conv2d(shape[0], int(words[1]), extents(options["kernel"]), extents(options.get("stride", "1")),
                               padding if padding == "same" else extents(padding), bias=bias)
    if words[0] == "batchnorm":
        norm = torch.nn.BatchNorm2d if len(shape) == 3 else torch.nn.BatchNorm1d
        return norm(shape[0], eps=float(options.get("eps", "1e-5")), momentum=float(options.get("momentum", "0.1")),
                    affine=options.get("affine") != "false")
    if words[0] == "avgpool" and words[1] == "global":
        return torch.nn.AdaptiveAvgPool2d(1)
    if words[0] in ("maxpool", "avgpool"):
        pool = torch.nn.MaxPool2d if words[0] == "maxpool" else torch.nn.AvgPool2d
        return pool(extents(words[1]), extents(options["stride"]) if "stride" in options else None)
    return {"relu": torch.nn.ReLU, "tanh": torch.nn.Tanh, "flatten": torch.nn.Flatten}[words[0]]()


def network(case):
    modules, sample = [], torch.zeros(1, *case["input"], dtype=torch.float64)
    for layer in case["layers"]:
        modules.append(module(layer, sample.shape[1:]).double())
        sample = modules[-1].eval()(sample)
        modules[-1].train()
    return torch.nn.Sequential(*modules)


def trained(modules):
    return [m for m in modules if isinstance(m, (torch.nn.Linear, torch.nn.Conv2d, torch.nn.BatchNorm1d, torch.nn.BatchNorm2d))]


class ByTensor(torch.optim.Optimizer):
    """LARS and LAMB, tensor by tensor, as their papers have them; PyTorch has neither."""

    def __init__(self, parameters, name, keys, lr, weight_decay):
        super().__init__(parameters, {})
        self.name, self.keys, self.rate, self.decay, self.updates = name, keys, lr, weight_decay, 0

    @torch.no_grad()
    def step(self):
        self.updates += 1
        for w in self.param_groups[0]["params"]:
            getattr(self, self.name)(w, w.grad, self.state[w])

    def lars(self, w, gradient, state):
        ratio = 1.0
        if w.dim() > 1:
            ratio = self.keys["trust"] * w.norm() / (gradient.norm() + self.decay * w.norm() + 1e-8)
        state["v"] = self.keys["momentum"] * state.get("v", 0) + ratio * (gradient + self.decay * w)
        w -= self.rate * state["v"]

    def lamb(self, w, gradient, state):
        beta1, beta2 = self.keys["beta1"], self.keys["beta2"]
        state["m"] = beta1 * state.get("m", 0) + (1 - beta1) * gradient
        state["s"] = beta2 * state.get("s", 0) + (1 - beta2) * gradient**2
        first, second = state["m"] / (1 - beta1**self.updates), state["s"] / (1 - beta2**self.updates)
        direction = first / (second.sqrt() + self.keys["epsilon"]) + self.decay * w
        ratio = w.norm() / direction.norm() if w.norm() > 0 and direction.norm() > 0 else 1.0
        w -= self.rate * ratio * direction


def optimizer(case, parameters):
    keys = cases.optimizer(case)
    name = keys.get("optimizer", "sgd")
    options = dict(lr=case["rate"], weight_decay=case["decay"])
    if name in ("sgd", "nesterov"):
        return torch.optim.SGD(parameters, momentum=keys["momentum"], nesterov=name == "nesterov", **options)
    if name in ("lars", "lamb"):
        return ByTensor(parameters, name, keys, **options)
    if "beta1" in keys:
        options |= dict(betas=(keys["beta1"], keys["beta2"]), eps=keys["epsilon"])
    return {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[name](parameters, **options)


def main():
    train, data = sys.argv[1:3]
    for name in sys.argv[3:] or cases.CASES:
        case = cases.CASES[name]
        with tempfile.TemporaryDirectory() as folder:
            images, targets = cases.samples(data, case, folder)
            start = pathlib.Path(folder) / "start.h5"
            subprocess.run([train, *cases.arguments(case, folder), "--train.steps=0", "--evaluate.every=0", f"--save-model={start}"], check=True,
                           stdout=subprocess.DEVNULL)
            net = network(case)
            with h5py.File(start) as file:
                for (layer, keys), m in zip(cases.parameters(case).items(), trained(net)):
                    for key in keys:
                        getattr(m, key).data.copy_(torch.from_numpy(file[f"parameters/{layer}/{key}"][...]))
        rule = optimizer(case, net.parameters())
        loss = torch.nn.MSELoss() if case["loss"] == "mse" else torch.nn.CrossEntropyLoss()
        x, y = torch.from_numpy(images), torch.from_numpy(targets)
        for step in range(cases.STEPS):
            batch = cases.batch(step, len(x), case["batch"])
            rule.zero_grad()
            loss(net(x[batch]), y[batch]).backward()
            if "clip-norm" in cases.optimizer(case):
                torch.nn.utils.clip_grad_norm_(net.parameters(), cases.optimizer(case)["clip-norm"])
            rule.step()
        with h5py.File(pathlib.Path(__file__).parent / f"{name}.h5", "w") as file:
            file.attrs["made_by"] = "PyTorch " + torch.__version__
            for (layer, keys), m in zip(cases.parameters(case).items(), trained(net)):
                for key in keys:
                    file[f"parameters/{layer}/{key}"] = getattr(m, key).detach().numpy()


main()
