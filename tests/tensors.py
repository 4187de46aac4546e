"""What a saved model, or the manifest of a checkpoint, holds."""
import h5py


def parameters(file):
    """Values by name: "linear1/weight"."""
    found = {}
    with h5py.File(file) as opened:
        opened["parameters"].visititems(lambda name, item: found.__setitem__(name, item[()]) if isinstance(item, h5py.Dataset) else None)
    return found
