"""Model files as h5py writes and reads them, without any attribute; tensors by "LAYER.NAME", as in a state_dict."""
import h5py
import numpy


def write(path, tensors):
    with h5py.File(path, "w") as file:
        for tensor, values in tensors.items():
            layer, which = tensor.rsplit(".", 1)
            file[f"parameters/{layer}/{which}"] = values
    return path


def read(path):
    with h5py.File(path) as file:
        return {f"{layer}.{which}": file[f"parameters/{layer}/{which}"][()]
                for layer in file["parameters"] for which in file[f"parameters/{layer}"]}


def same(tensors, others):
    """Whether both have the same names and values, whatever the type."""
    assert tensors.keys() == others.keys(), (tensors.keys(), others.keys())
    for name, values in tensors.items():
        assert numpy.array_equal(values.astype(numpy.float64), others[name].astype(numpy.float64)), name
