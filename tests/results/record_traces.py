"""Records step times of real runs for the proof of the statistics: tests/results/traces/<name>.txt.

usage: record_traces.py PARTITA_TRAIN RUNS_FOLDER TRACES_FOLDER    (Python with h5py)

One line a run: seed, final training loss, test loss, test accuracy, then the time of each step in units of 100 ns, without
the first five. The workloads take turns, so that a drift of the machine meets all of them.
"""
import os
import pathlib
import subprocess
import sys
import tempfile

import h5py

train, runs, traces = sys.argv[1:4]
workloads = {"digits_cnn_1_rank": ("digits_cnn", 1), "digits_mlp_1_rank": ("digits_mlp", 1), "digits_mlp_2_ranks": ("digits_mlp", 2)}
lines = {name: [] for name in workloads}
with tempfile.TemporaryDirectory() as folder:
    result = os.path.join(folder, "run.h5")
    for seed in range(1, 13):
        for name, (run, ranks) in workloads.items():
            subprocess.run(["mpiexec", "-n", str(ranks), train, "--config", f"{runs}/{run}.ini", "--train.steps=605",
                            f"--train.seed={seed}", f"--output={result}", "--overwrite"], check=True, capture_output=True)
            with h5py.File(result) as file:
                epochs = file["epochs"]
                quality = [epochs[column][-1] for column in ("train_loss", "test_loss", "test_accuracy")]
                steps = [round(seconds * 1e7) for seconds in file["steps/seconds"][5:]]
            lines[name].append(f"{seed} {' '.join(f'{value:.6g}' for value in quality)} {' '.join(map(str, steps))}\n")
for name, recorded in lines.items():
    pathlib.Path(traces, name + ".txt").write_text("".join(recorded))
