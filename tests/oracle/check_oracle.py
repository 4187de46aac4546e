"""One rank and three ranks of Partita equal PyTorch's float64 parameters after 20 steps to 1e-9 of the displacement.

Usage: check_oracle.py PARTITA_TRAIN PARTITA_DATA MPIEXEC
"""
import pathlib
import subprocess
import sys
import tempfile

try:
    import h5py
    import numpy
except ImportError as error:
    print(f"SKIPPED: {error}")
    sys.exit(77)

import cases

train, data, mpiexec = sys.argv[1:4]
worst = 0.0
for name, case in cases.CASES.items():
    with tempfile.TemporaryDirectory() as folder:
        cases.samples(data, case, folder)
        models = {}
        for ranks, steps in ((1, 0), (1, cases.STEPS), (3, cases.STEPS)):
            path = pathlib.Path(folder) / f"{ranks}-{steps}.h5"
            subprocess.run([mpiexec, "-n", str(ranks), train, *cases.arguments(case, folder), f"--train.steps={steps}",
                            "--evaluate.every=0", f"--save-model={path}"], check=True, stdout=subprocess.DEVNULL,
                           stderr=subprocess.DEVNULL)
            models[ranks, steps] = h5py.File(path)
        oracle = h5py.File(pathlib.Path(__file__).parent / f"{name}.h5")
        for layer, keys in cases.parameters(case).items():
            assert set(keys) == set(models[1, 0][f"parameters/{layer}"]), f"{name} {layer}"
            for key in keys:
                tensor = f"parameters/{layer}/{key}"
                start, goal = models[1, 0][tensor][...], oracle[tensor][...]
                moved = numpy.linalg.norm(goal - start)
                assert moved > 1e-4 * numpy.linalg.norm(start), f"{name} {tensor} did not move"
                for ranks in (1, 3):
                    drift = numpy.linalg.norm(models[ranks, cases.STEPS][tensor][...] - goal) / moved
                    worst = max(worst, drift)
                    assert drift <= 1e-9, f"{name} {tensor} on {ranks} ranks: {drift:.1e} of the displacement"
print(f"largest difference from PyTorch: {worst:.1e} of the displacement")
