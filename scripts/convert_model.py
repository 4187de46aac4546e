#!/usr/bin/env python3
"""Converts between a PyTorch state_dict and a model file of Partita, whichever way the names' endings say.

A state_dict is a .pt or .pth file (needs torch) or an .npz file of the same names (`numpy.savez(path, **{name: tensor.numpy()})`);
a model file is .h5 (needs h5py) with /parameters/LAYER/{weight,bias,running_mean,running_var} in PyTorch's shapes, as docs/models.md says.
A layer may have no bias, a batch norm neither weight nor bias.

Layers are matched in order: the state's convolutions become conv1, conv2, ..., its linear layers linear1, linear2, ..., its batch norms
batchnorm1, batchnorm2, ...; the other way layers keep their names, or take those of --like in order. --map names a layer otherwise.
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
LEARNED, RUNNING = ("weight", "bias"), ("running_mean", "running_var")
TENSORS = LEARNED + RUNNING
COUNTER = "num_batches_tracked"  # batches that a PyTorch batch norm has seen: used where its momentum is None, which Partita's never is


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
    """Tensors by "LAYER.weight", "LAYER.bias", ..., in the order of the layers where the file keeps it."""
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
        return {f"{layer}.{name}": file["parameters"][layer][name][()] for layer in layers for name in TENSORS
                if name in file["parameters"][layer]}


def write_model(path, tensors):
    with h5py.File(path, "w", track_order=True) as file:
        parameters = file.create_group("parameters", track_order=True)
        for name, values in tensors.items():
            layer, which = name.rsplit(".", 1)
            parameters.require_group(layer)[which] = values


def layers_of(tensors):
    """What has a weight or running statistics, in order: {LAYER: {"weight": ..., "bias": ...}}."""
    parts = [(*name.rpartition(".")[::2], values) for name, values in tensors.items()]
    layers = {layer: {} for layer, which, _ in parts if layer and which in ("weight", *RUNNING)}
    for layer, which, values in parts:
        if layer in layers and which in TENSORS:
            layers[layer][which] = values
    return layers


def kind_of(layer):
    """The kind of a layer with these tensors; None where Partita has none."""
    return "batchnorm" if any(name in layer for name in RUNNING) else KINDS.get(layer["weight"].ndim)


def shape_of(layer):
    """Of the weight, or, in a batch norm without one, what has the same."""
    return next(layer[name].shape for name in TENSORS if name in layer)


def numbered(layers, renamed):
    """Layers as Partita names them by default: kind and number within the kind."""
    names, count = {}, {}
    for layer, its in layers.items():
        kind = kind_of(its)
        count[kind] = count.get(kind, 0) + 1
        names[layer] = renamed.get(layer, f"{kind}{count[kind]}")
    return names


def like(layers, others, renamed):
    """Layers as another state_dict names its own, in order, which are of the same kinds and shapes."""
    if len(layers) != len(others):
        raise Refused(f"--like: has {len(others)} layers, the model {len(layers)}")
    what = {"linear": "a linear layer", "conv": "a convolution", "batchnorm": "a batch norm", None: "no layer of Partita"}
    one = {True: "a bias", False: "no bias"}
    wrong = [f"--like: {line}" for line in wrong_tensors(others)]
    for (layer, its), (other, theirs) in zip(layers.items(), others.items()):
        if kind_of(its) != kind_of(theirs):
            wrong.append(f"--like: {other} is {what[kind_of(theirs)]}, {layer} {what[kind_of(its)]}")
        elif shape_of(its) != shape_of(theirs):
            wrong.append(f"--like: {other} has shape {shape_of(theirs)}, {layer} {shape_of(its)}")
        if ("bias" in its) != ("bias" in theirs):
            wrong.append(f"--like: {other} has {one['bias' in theirs]}, {layer} {one['bias' in its]}")
    if wrong:
        raise Refused("\n".join(wrong))
    return {layer: renamed.get(layer, other) for layer, other in zip(layers, others)}


def without(tensors, skipped):
    """Leaves out the tensors of these names, and those of the layers of these names."""
    return {name: values for name, values in tensors.items() if not any(name == skip or name.startswith(skip + ".") for skip in skipped)}


def wrong_names(renamed, layers, path, to_model):
    """What is wrong with --map; a model file's layers are named as in a configuration."""
    for name, new in renamed.items():
        if name not in layers:
            yield f"--map {name}: is no layer of {path}; it has {', '.join(layers)}"
        if to_model and not re.fullmatch(LAYER_NAME, new):
            yield f"--map {name}={new}: a layer's name in a model file has letters, digits, '_', '-' and '.', at most 64, none of the last two first"
        elif not new or "/" in new:
            yield f"--map {name}={new}: a name in a state_dict is not empty and has no '/'"


def wrong_tensors(layers):
    """Tensors of a layer that do not belong together."""
    for layer, its in layers.items():
        if kind_of(its) == "batchnorm":
            yield from wrong_batch_norm(layer, its)
        elif "bias" in its and its["bias"].shape != its["weight"].shape[:1]:  # a number for each row of the weight
            yield f"{layer}.bias: has shape {its['bias'].shape}, its weight {its['weight'].shape}"


def wrong_batch_norm(layer, its):
    """A batch norm has a number for each channel in all of its tensors."""
    for pair, hint in ((LEARNED, "both or, with affine=False, neither"), (RUNNING, "both")):
        for name, other in (pair, pair[::-1]):
            if name in its and other not in its:
                yield f"{layer}.{name}: stands without a {other}; a batch norm has {hint}"
    first = next(name for name in RUNNING if name in its)
    for name, values in its.items():
        if values.ndim != 1:
            yield f"{layer}.{name}: has {values.ndim} dimensions; a batch norm's tensors have 1, its channels"
        elif values.shape != its[first].shape:
            yield f"{layer}.{name}: has shape {values.shape}, its {first} {its[first].shape}"
    for name in RUNNING:
        if name in its and not (numpy.isfinite(its[name]).all() and (name == "running_mean" or (its[name] >= 0).all())):
            yield f"{layer}.{name}: has values that are not finite{'' if name == 'running_mean' else ' or less than 0'}"


def check_for_partita(tensors, layers):
    """What Partita has no layer for."""
    wrong = [] if layers else ["the state has no layer"]
    for name, values in tensors.items():
        layer, which = name.rpartition(".")[::2]
        kind = kind_of(layers[layer]) if layer in layers else None
        if kind == "batchnorm" and which == COUNTER:
            continue
        if not layer and which in TENSORS:
            wrong.append(f"{name}: has no layer's name before it; save the state_dict of torch.nn.Sequential(layer)")
        elif layer not in layers or which not in TENSORS:
            wrong.append(f"{name}: belongs to no linear layer, convolution or batch norm; leave it out with --skip")
        elif which == "weight" and kind is None and values.ndim == 1:
            wrong.append(f"{name}: has 1 dimension, but no running statistics stand beside it: Partita has no LayerNorm, no GroupNorm"
                         " and no BatchNorm with track_running_stats=False; leave it out with --skip")
        elif which == "weight" and kind is None:
            wrong.append(f"{name}: has {values.ndim} dimensions; a linear layer's weight has 2, a convolution's 4, a batch norm's 1;"
                         " leave it out with --skip")
        elif values.dtype.kind != "f":
            wrong.append(f"{name}: holds {values.dtype}, not floating-point numbers")
    if wrong:
        raise Refused("\n".join(wrong))


def check_for_torch(tensors, layers, path):
    """What is no layer of a state_dict."""
    wrong = [f"{path}: {name} stands without a weight" for name in tensors if name.rpartition(".")[0] not in layers]
    if not tensors:
        wrong.append(f"{path}: has no layer")
    if wrong:
        raise Refused("\n".join(wrong))


def say_what_lines_need(layers, names):
    """Which layers' lines must say what the layers lack."""
    for layer, its in layers.items():
        if "bias" not in its:
            lacks, option = ("weight and no bias", "affine=false") if kind_of(its) == "batchnorm" else ("bias", "bias=false")
            print(f"{layer}: has no {lacks}; the line of {names[layer]} needs {option}", file=sys.stderr)


def convert(layers, names, to_model):
    """Tensors by their new names; in a state_dict batch norms have seen no batch, or load_state_dict(strict=True) would miss the number."""
    taken = list(names.values())
    twice = sorted({name for name in taken if taken.count(name) > 1})
    if twice:
        raise Refused(f"two layers would be called {', '.join(twice)}; name one with --map")
    tensors = {}
    for layer, its in layers.items():
        counter = {COUNTER: numpy.zeros((), numpy.int64)} if kind_of(its) == "batchnorm" and not to_model else {}
        tensors |= {f"{names[layer]}.{which}": values for which, values in {**its, **counter}.items()}
    return tensors


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
    layers = layers_of(tensors)
    mapped = [entry.partition("=")[::2] for entry in arguments.map]
    renamed = dict(mapped)
    wrong = [f"--skip {name}: is not in {arguments.input}" for name in unknown]
    wrong += [f"--map {name}: is given more than once" for name in renamed if sum(name == other for other, _ in mapped) > 1]
    wrong += [*wrong_names(renamed, layers, arguments.input, to_model), *wrong_tensors(layers)]
    if wrong:
        raise Refused("\n".join(wrong))
    if to_model:
        check_for_partita(tensors, layers)
        names = numbered(layers, renamed)
        say_what_lines_need(layers, names)
    else:
        check_for_torch(tensors, layers, arguments.input)
        names = like(layers, layers_of(without(reference, arguments.skip)), renamed) if arguments.like else \
            {layer: renamed.get(layer, layer) for layer in layers}
    replace(arguments.output, write_model if to_model else write_state, convert(layers, names, to_model))
    for old, its in layers.items():
        print(f"{old} -> {names[old]}  {'x'.join(map(str, shape_of(its)))}")


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
