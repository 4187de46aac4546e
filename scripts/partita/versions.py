"""What partita-report is and what it runs on."""
import argparse
import importlib.metadata
import platform

import h5py


def dependencies():
    """Versions by name."""
    versions = {"python": platform.python_version(), "h5py": h5py.version.version, "hdf5": h5py.version.hdf5_version}
    for name in ("matplotlib", "numpy", "pandas", "xarray"):
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            versions[name] = "not installed"
    return versions


class ShowVersion(argparse.Action):
    """--version: the program with its version, then a line for each dependency. argparse's own would fill one paragraph."""

    def __init__(self, option_strings, dest, version):
        super().__init__(option_strings, argparse.SUPPRESS, nargs=0, help="show the version and those of all dependencies")
        self.version = version

    def __call__(self, parser, namespace, values, option_string=None):
        print(parser.prog, self.version)
        for name, version in sorted(dependencies().items()):
            print(f"  {name}: {version}")
        parser.exit()
