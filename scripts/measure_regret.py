"""What it costs to believe partita-plan: every plan of two ranks is run, and the predicted best is held against the measured best.

Usage: python3 scripts/measure_regret.py MACHINE [--ranks 2] [--rounds 5] [--batches 32,256] [--only WORD] [--output TABLE.csv]
Wants h5py, and MNIST under PARTITA_DATA_DIR. Each training is started twice with strategy=auto and all its plans as candidates, which
runs them in turn within one job. The first job says which plan is best, of all or of a few; the second says what it takes, so that luck
is not taken for speed. The regret of a choice is what it takes more than the best: @1 the first by prediction, @3 the fastest of the
first three, as strategy=auto does. Beside it data parallelism alone, the tensor axis alone, and a plan drawn by chance.
"""
import argparse
import contextlib
import csv
import itertools
import pathlib
import random
import statistics
import subprocess
import sys
import tempfile
import time

import h5py

root = pathlib.Path(__file__).resolve().parents[1]
binaries = root / "build/release/bin"
run_files = {"mlp-mnist": "mnist_mlp", "mlp-wide": "mnist_mlp_wide", "mlp-deep": "mnist_mlp_deep", "cnn-mnist": "mnist_cnn",
             "lenet5": "mnist_lenet5", "vgg-small": "random_vgg_small"}
limits = {"@1": (0.05, 0.15), "@3": (0.015, None)}  # of the mean, of the largest


def run(command):
    ended = subprocess.run([str(word) for word in command], capture_output=True, text=True)
    if ended.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))} ended with {ended.returncode}:\n{ended.stderr}")


def measure(model, batch, options, folder):
    """Seconds of each plan, and what was predicted, of one job."""
    result = folder / "auto.h5"
    run(["mpiexec", "-n", options.ranks, binaries / "partita-train", "--config", root / f"inputs/runs/{run_files[model]}.ini",
         f"--train.batch={batch}", "--compute.threads=1", "--train.steps=1", "--evaluate.every=0", f"--machine={options.machine}",
         "--strategy=auto", "--auto.candidates=1000", f"--auto.measure={options.rounds}", "--output", result, "--overwrite"])
    with h5py.File(result) as file:
        names = [name.decode() for name in file["plans/plan"][()]]
        return dict(zip(names, file["plans/measured_seconds"][()])), dict(zip(names, file["plans/predicted_seconds"][()]))


def search_seconds(model, batch, options):
    begin = time.monotonic()
    run([binaries / "partita-plan", "--config", root / f"inputs/runs/{run_files[model]}.ini", f"--train.batch={batch}", "--compute.threads=1",
         f"--machine={options.machine}", f"--ranks={options.ranks}"])
    return time.monotonic() - begin


def regrets(chooses, judges, predicted, ranks):
    """By name of the choice: what it takes beside the best, less one."""
    ranked = sorted(predicted, key=predicted.get)
    best = judges[min(chooses, key=chooses.get)]
    taken = {"@1": judges[ranked[0]], "@3": judges[min(ranked[:3], key=chooses.get)], "any": statistics.mean(judges.values())}
    for axis in ("data", "tensor"):
        for name, seconds in judges.items():
            if ", placement " not in name and extents(name) == {"data": 1, "pipeline": 1, "tensor": 1, axis: ranks}:
                taken[axis] = seconds
    return {word: seconds / best - 1 for word, seconds in taken.items()}


def extents(plan):
    """Of the grid of "data=2 pipeline=1 tensor=1, ..."."""
    return {axis: int(extent) for axis, extent in (part.split("=") for part in plan.split(",")[0].split())}


def interval(values):
    """Of the mean, 95 %, by the bootstrap."""
    draw = random.Random(1)
    means = sorted(statistics.mean(draw.choices(values, k=len(values))) for _ in range(10_000))
    return means[250], means[9750]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("machine", type=pathlib.Path)
    parser.add_argument("--ranks", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--batches", default="32,256")
    parser.add_argument("--only", default="")
    parser.add_argument("--output", type=pathlib.Path)
    options = parser.parse_args()
    rows, columns = [], ("@1", "@3", "data", "tensor", "any")
    print(f"{'model':<12}{'batch':>6}{'plans':>7}{'best ms':>10}  {'best plan':<62}" + "".join(f"{c:>8}" for c in columns) + f"{'search s':>10}")
    with tempfile.TemporaryDirectory() as name, contextlib.suppress(KeyboardInterrupt):  # what is there by then counts
        for model, batch in itertools.product((model for model in run_files if options.only in model), map(int, options.batches.split(","))):
            first, predicted = measure(model, batch, options, pathlib.Path(name))
            second, _ = measure(model, batch, options, pathlib.Path(name))
            both = (regrets(first, second, predicted, options.ranks), regrets(second, first, predicted, options.ranks))
            regret = {column: statistics.mean(half[column] for half in both) for column in columns if column in both[0]}
            best = min(first, key=first.get)
            rows.append({"model": model, "batch": batch, "plans": len(first), "best": best, "best_seconds": second[best],
                         "search_seconds": search_seconds(model, batch, options), **regret})
            print(f"{model:<12}{batch:>6}{len(first):>7}{second[best] * 1e3:10.3f}  {best:<62}"
                  + "".join(f"{regret[c]:8.1%}" if c in regret else f"{'-':>8}" for c in columns) + f"{rows[-1]['search_seconds']:10.2f}", flush=True)
    if not rows:
        return 1
    kept = len(rows) == len([model for model in run_files if options.only in model]) * len(options.batches.split(","))
    if not kept:
        print("Not all were measured.")
    for column in columns:
        values = [row[column] for row in rows if column in row]
        low, high = interval(values)
        text = f"{column:>8}: mean {statistics.mean(values):.1%} (95 %: {low:.1%} to {high:.1%}), largest {max(values):.1%}"
        if column in limits:
            of_mean, of_largest = limits[column]
            fits = statistics.mean(values) <= of_mean and (of_largest is None or max(values) <= of_largest)
            kept = kept and fits
            text += f"; limit {of_mean:.1%}" + (f" and {of_largest:.0%}" if of_largest else "") + (": kept" if fits else ": EXCEEDED")
        print(text)
    if options.output:
        with options.output.open("w", newline="") as file:
            table = csv.DictWriter(file, ["model", "batch", "plans", "best", "best_seconds", *columns, "search_seconds"])
            table.writeheader()
            table.writerows(rows)
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
