"""Trainings whose ranks run on machines' clocks, each on one of its own: a rank may be slower than the machine file says, and what is
measured is the same in every run."""
import os
import pathlib
import shutil
import sys
import tempfile

import h5py
import numpy

sys.path.append(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import jobs


def columns(group):
    return {name: column[()] for name, column in group.items() if isinstance(column, h5py.Dataset)}


class Trainings:
    """Of one model, described by keys of a run, in a folder of their own."""

    def __init__(self, mpiexec, train, layers, keys, bytes_per_second):
        self.mpiexec, self.train, self.layers, self.folder = mpiexec, train, layers, pathlib.Path(tempfile.mkdtemp())
        self.bytes_per_second = bytes_per_second
        self.as_said, self.slow = self.machine("as-said", 1), self.machine("slow", 4)
        self.keys = [*keys, f"--machine={self.as_said}"]

    def machine(self, name, slower):
        path = self.folder / f"{name}.machine"
        path.write_text(f"compute flops_per_second={1e9 / slower!r}\nmemory level=main bytes_per_second={1e10 / slower!r}\n"
                        f"link latency_seconds=1e-6 bytes_per_second={self.bytes_per_second!r}\n")
        return path

    def launch(self, *words, clocks, layers=None, code=0, preloaded=None):
        """What a job says whose ranks run on these clocks, each a machine file; none: on the time of this host, two ranks. A library may be
        loaded before all others."""
        command, model = [self.mpiexec], [f"--model.layer={layer}" for layer in layers or self.layers]
        for clock in clocks or (None, None):
            command += ([":"] if len(command) > 1 else []) + ["-n", 1, self.train, *self.keys, *model, *words]
            command += [f"--virtual-clock={clock}"] if clock else []
        done = jobs.run(command, env=os.environ | ({"LD_PRELOAD": str(preloaded)} if preloaded else {}))
        assert done.returncode == code, (words, done.returncode, done.stdout, done.stderr)
        return done.stdout + done.stderr

    def result(self, name, *words, clocks, layers=None, preloaded=None):
        """The result, and what was said on the way."""
        text = self.launch(f"--output={self.folder}/{name}.h5", f"--save-model={self.folder}/{name}.model", *words, clocks=clocks, layers=layers,
                           preloaded=preloaded)
        return h5py.File(self.folder / f"{name}.h5"), text

    def parameters(self, name):
        found = {}
        with h5py.File(self.folder / f"{name}.model") as file:
            file.visititems(lambda path, node: found.update({path: node[()]}) if isinstance(node, h5py.Dataset) else None)
        assert found
        return found

    def remove(self):
        shutil.rmtree(self.folder)


def check_close(here, there, relative):
    """Arrays by name, whose difference is small beside their size."""
    assert here.keys() == there.keys(), (here.keys(), there.keys())
    for name in here:
        error, size = numpy.abs(here[name] - there[name]).max(), numpy.abs(there[name]).max()
        assert error <= relative * size, (name, error, size)
