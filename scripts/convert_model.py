#!/usr/bin/env python3
"""Converts between a PyTorch state_dict and a model file of Partita, whichever way the names' endings say.

A state_dict is a .pt or .pth file (needs torch) or an .npz file of the same names (`numpy.savez(path, **{name: tensor.numpy()})`);
a model file is .h5 (needs h5py) with /parameters/LAYER/{weight,bias} in PyTorch's shapes, as docs/models.md says. A layer may have no bias.

Layers are matched in order: the state's convolutions become conv1, conv2, ..., its linear layers linear1, linear2, ...; the other way
layers keep their names, or take those of --like in order. --map names a layer otherwise.
"""
import argparse
import os
import pathlib
import re
import sys
import tempfile

try:
    import h5py
    import numpy
except ImportError as missing:
    print(f"convert_model.py: needs h5py and numpy: {missing}", file=sys.stderr)
    sys.exit(2)

LAYER_NAME = "[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}"  # as in a configuration
KINDS = {2: "linear", 4: "conv"}  # by the dimensions of a weight


class Refused(Exception):
    """What the user gave cannot be converted; holds a line for each thing that is wrong."""


def tensors_of(state, path):
    """The tensors of what torch.save wrote: a state_dict, or a checkpoint that holds one."""
    import torch
    for key in ("state_dict", "model_state_dict", "model"):
        if isinstance(state, dict) and isinstance(state.get(key), dict):
            state = state[key]
    if not isinstance(state, dict) or not all(isinstance(value, torch.Tensor) for value in state.values()):
        raise Refused(f"{path}: holds no state_dict; save model.state_dict()")
    return {name: (value.float() if value.dtype is torch.bfloat16 else value).detach().numpy() for name, value in state.items()}


def reads(what):
    """For functions that read a path: whatever a damaged or foreign file makes the libraries throw refuses the file."""
    def wrap(read):
        def read_or_refuse(path):
            try:
                return read(path)
            except (Refused, ImportError):
                raise
            except Exception as wrong:
                raise Refused(f"{path}: cannot be read as {what}: {type(wrong).__name__}: {wrong}") from wrong
        return read_or_refuse
    return wrap


@reads("a state_dict")
def read_state(path):
    if path.suffix == ".npz":
        with numpy.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    import torch
    return tensors_of(torch.load(path, map_location="cpu", weights_only=True), path)


def write_state(path, tensors):
    if path.suffix == ".npz":
        numpy.savez(path, **tensors)
    else:
        import torch
        torch.save({name: torch.from_numpy(values) for name, values in tensors.items()}, path)


@reads("a model file")
def read_model(path):
    """Tensors by "LAYER.weight" and "LAYER.bias", in the order of the layers where the file keeps it."""
    with h5py.File(path) as file:
        if "parameters" not in file:
            raise Refused(f"{path}: has no group /parameters, so it is no model file")
        layers = []
        group = file["parameters"].id
        tracked = group.get_create_plist().get_link_creation_order() & h5py.h5p.CRT_ORDER_TRACKED
        group.links.iterate(layers.append, idx_type=h5py.h5.INDEX_CRT_ORDER if tracked else h5py.h5.INDEX_NAME)
        layers = [layer.decode() for layer in layers]
        odd = [layer for layer in layers if not isinstance(file["parameters"][layer], h5py.Group)]
        if odd:
            raise Refused("\n".join(f"{path}: /parameters/{layer} is no group of a layer's tensors" for layer in odd))
        return {f"{layer}.{name}": file["parameters"][layer][name][()] for layer in layers for name in ("weight", "bias")
                if name in file["parameters"][layer]}


def write_model(path, tensors):
    with h5py.File(path, "w", track_order=True) as file:
        parameters = file.create_group("parameters", track_order=True)
        for name, values in tensors.items():
            layer, which = name.rsplit(".", 1)
            parameters.require_group(layer)[which] = values


def layers_of(tensors):
    """The names that have a weight, in order."""
    return [name.removesuffix(".weight") for name in tensors if name.endswith(".weight")]


def numbered(tensors, renamed):
    """Layers as Partita names them by default: kind and number within the kind."""
    names, count = {}, {}
    for layer in layers_of(tensors):
        kind = KINDS.get(tensors[layer + ".weight"].ndim)
        count[kind] = count.get(kind, 0) + 1
        names[layer] = renamed.get(layer, f"{kind}{count[kind]}")
    return names


def like(tensors, reference, renamed):
    """Layers as another state_dict names them, in order and with the same shapes."""
    layers, others = layers_of(tensors), layers_of(reference)
    if len(layers) != len(others):
        raise Refused(f"--like: has {len(others)} layers, the model {len(layers)}")
    wrong = [f"--like: {other} has shape {reference[other + '.weight'].shape}, {layer} {tensors[layer + '.weight'].shape}"
             for layer, other in zip(layers, others) if reference[other + ".weight"].shape != tensors[layer + ".weight"].shape]
    one = {True: "a bias", False: "no bias"}
    wrong += [f"--like: {other} has {one[other + '.bias' in reference]}, {layer} {one[layer + '.bias' in tensors]}"
              for layer, other in zip(layers, others) if (other + ".bias" in reference) != (layer + ".bias" in tensors)]
    if wrong:
        raise Refused("\n".join(wrong))
    return {layer: renamed.get(layer, other) for layer, other in zip(layers, others)}


def without(tensors, skipped):
    """Leaves out the tensors of these names, and those of the layers of these names."""
    return {name: values for name, values in tensors.items() if not any(name == skip or name.startswith(skip + ".") for skip in skipped)}


def wrong_names(renamed, tensors, path, to_model):
    """What is wrong with --map; a model file's layers are named as in a configuration."""
    layers = layers_of(tensors)
    for name, new in renamed.items():
        if name not in layers:
            yield f"--map {name}: is no layer of {path}; it has {', '.join(layers)}"
        if to_model and not re.fullmatch(LAYER_NAME, new):
            yield f"--map {name}={new}: a layer's name in a model file has letters, digits, '_', '-' and '.', at most 64, none of the last two first"
        elif not new or "/" in new:
            yield f"--map {name}={new}: a name in a state_dict is not empty and has no '/'"


def wrong_biases(tensors):
    """A bias has a number for each row of its layer's weight."""
    for layer in layers_of(tensors):
        weight, bias = tensors[layer + ".weight"], tensors.get(layer + ".bias")
        if bias is not None and bias.shape != weight.shape[:1]:
            yield f"{layer}.bias: has shape {bias.shape}, its weight {weight.shape}"


def check_for_partita(tensors):
    """What Partita has no layer for."""
    layers = set(layers_of(tensors))
    wrong = [] if layers else ["the state has no layer"]
    for name, values in tensors.items():
        layer, _, which = name.rpartition(".")
        if not layer and which in ("weight", "bias"):
            wrong.append(f"{name}: has no layer's name before it; save the state_dict of torch.nn.Sequential(layer)")
        elif layer not in layers or which not in ("weight", "bias"):
            wrong.append(f"{name}: belongs to no linear or convolutional layer; leave it out with --skip")
        elif which == "weight" and values.ndim not in KINDS:
            wrong.append(f"{name}: has {values.ndim} dimensions; a linear layer's weight has 2, a convolution's 4; leave it out with --skip")
        elif values.dtype.kind != "f":
            wrong.append(f"{name}: holds {values.dtype}, not floating-point numbers")
    if wrong:
        raise Refused("\n".join(wrong))


def check_for_torch(tensors, path):
    """What is no layer of a state_dict."""
    layers = layers_of(tensors)
    wrong = [f"{path}: {name} stands without a weight" for name in tensors if name.endswith(".bias") and name.removesuffix(".bias") not in layers]
    if not tensors:
        wrong.append(f"{path}: has no layer")
    if wrong:
        raise Refused("\n".join(wrong))


def say_what_has_no_bias(tensors, names):
    """Which layers' lines must say so."""
    for layer in layers_of(tensors):
        if layer + ".bias" not in tensors:
            print(f"{layer}: has no bias; the line of {names[layer]} needs bias=false", file=sys.stderr)


def convert(tensors, names):
    taken = list(names.values())
    twice = sorted({name for name in taken if taken.count(name) > 1})
    if twice:
        raise Refused(f"two layers would be called {', '.join(twice)}; name one with --map")
    return {f"{names[name.rpartition('.')[0]]}.{name.rpartition('.')[2]}": values for name, values in tensors.items()}


def replace(path, write, tensors):
    """A whole file or none."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    try:
        write(folder / path.name, tensors)
        os.replace(folder / path.name, path)
    finally:
        for left in folder.iterdir():
            left.unlink()
        folder.rmdir()


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("input", type=pathlib.Path)
    parser.add_argument("output", type=pathlib.Path)
    parser.add_argument("--map", action="append", default=[], metavar="NAME=NEW", help="a layer's name in the output; may be repeated")
    parser.add_argument("--like", type=pathlib.Path, metavar="STATE", help="from a model file: take the names of this state_dict, in order")
    parser.add_argument("--skip", action="append", default=[], metavar="NAME", help="leave out a tensor, or all of a layer, of the input and of --like; may be repeated")
    parser.add_argument("--overwrite", action="store_true", help="replace an existing output")
    return parser.parse_args()


def run(arguments):
    states, to_model = (".pt", ".pth", ".npz"), arguments.output.suffix == ".h5"
    state, model = (arguments.input, arguments.output) if to_model else (arguments.output, arguments.input)
    if state.suffix not in states or model.suffix != ".h5":
        raise Refused("one of the files is a state_dict (.pt, .pth, .npz), the other a model file (.h5)")
    if arguments.like and to_model:
        raise Refused("--like: belongs to a conversion from a model file")
    if arguments.output.exists() and not arguments.overwrite:
        raise Refused(f"{arguments.output}: exists; --overwrite replaces it")
    tensors = read_state(arguments.input) if to_model else read_model(arguments.input)
    reference = read_state(arguments.like) if arguments.like else {}
    unknown = [name for name in arguments.skip if len(without(tensors | reference, [name])) == len(tensors | reference)]
    tensors = without(tensors, arguments.skip)
    mapped = [entry.partition("=")[::2] for entry in arguments.map]
    renamed = dict(mapped)
    wrong = [f"--skip {name}: is not in {arguments.input}" for name in unknown]
    wrong += [f"--map {name}: is given more than once" for name in renamed if sum(name == other for other, _ in mapped) > 1]
    wrong += [*wrong_names(renamed, tensors, arguments.input, to_model), *wrong_biases(tensors)]
    if wrong:
        raise Refused("\n".join(wrong))
    if to_model:
        check_for_partita(tensors)
        names = numbered(tensors, renamed)
        say_what_has_no_bias(tensors, names)
    else:
        check_for_torch(tensors, arguments.input)
        names = like(tensors, without(reference, arguments.skip), renamed) if arguments.like else \
            {layer: renamed.get(layer, layer) for layer in layers_of(tensors)}
    replace(arguments.output, write_model if to_model else write_state, convert(tensors, names))
    for old, new in names.items():
        print(f"{old} -> {new}  {'x'.join(map(str, tensors[old + '.weight'].shape))}")


def main():
    try:
        run(parse_arguments())
    except (Refused, ImportError, OSError, KeyError, ValueError) as wrong:
        text = str(wrong) if isinstance(wrong, Refused) else f"{type(wrong).__name__}: {wrong}"
        for line in text.split("\n"):
            print(f"convert_model.py: {line}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
