"""How well partita-simulate predicts what partita-train takes: trainings that the machine's file knows nothing of.

Usage: python3 scripts/validate_predictions.py MACHINE [--rounds 5] [--seconds 1] [--ranks 1,2] [--only WORD] [--output TABLE.csv]
Wants h5py, and MNIST under PARTITA_DATA_DIR. MACHINE is a file of partita-calibrate, which leaves out every layer of these models. Each
point is run once a round, points in turn, so that what disturbs the machine disturbs all of them; a run takes about --seconds. The
measured step is the median over the rounds of each run's median step, the first five steps left out. Where ranks x threads are no more
than the cores, the predicted seconds are judged; beyond, only the order of plans of one model. Exits with 1 where a limit is exceeded.
"""
import argparse
import csv
import itertools
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile

import h5py

root = pathlib.Path(__file__).resolve().parents[1]
binaries = root / "build/release/bin"
warm_up = 5  # steps

workloads = {  # name: run file, batches; the second is not the run's own
    "mlp-mnist": ("mnist_mlp", (100, 512)),
    "mlp-wide": ("mnist_mlp_wide", (256, 64)),
    "mlp-deep": ("mnist_mlp_deep", (2048, 256)),
    "cnn-mnist": ("mnist_cnn", (64, 256)),
    "lenet5": ("mnist_lenet5", (64, 256)),
    "vgg-small": ("random_vgg_small", (128, 32)),
}
grids = {
    1: [{}],
    2: [{"data": 2}, {"pipeline": 2}, {"tensor": 2}],
    4: [{"data": 4}, {"data": 2, "pipeline": 2}, {"data": 2, "tensor": 2}, {"pipeline": 4}, {"tensor": 4}],
    8: [{"data": 8}, {"data": 4, "pipeline": 2}, {"data": 4, "tensor": 2}, {"data": 2, "pipeline": 4}, {"pipeline": 2, "tensor": 4}],
}
# Mean of the errors' magnitudes, 95th percentile of them, magnitude of the mean error, and least order kept within a model.
limits = {"MAPE": 0.08, "95th percentile": 0.20, "bias": 0.03}
least_order = 0.8


class Point:
    def __init__(self, model, batch, grid, machine):
        run_file, _ = workloads[model]
        self.model, self.batch, self.grid = model, batch, grid
        self.ranks = 1
        for extent in grid.values():
            self.ranks *= extent
        self.name = " ".join(f"{axis} {n}" for axis, n in grid.items()) or "one rank"
        self.keys = ["--config", root / f"inputs/runs/{run_file}.ini", f"--train.batch={batch}", f"--machine={machine}", "--compute.threads=1", "--evaluate.every=0",
                     *(f"--grid.{axis}={n}" for axis, n in grid.items())]
        if "pipeline" in grid:
            self.keys += ["--pipeline.schedule=1f1b", "--pipeline.microbatches=4"]
        self.measured = []  # seconds, a round each

    def median(self):
        return statistics.median(self.measured)

    def error(self):
        return self.predicted / self.median() - 1

    def scatter(self):
        """Mean deviation of the rounds from their median: what no prediction can be better than."""
        return statistics.mean(abs(seconds / self.median() - 1) for seconds in self.measured)


def run(command):
    ended = subprocess.run([str(word) for word in command], capture_output=True, text=True)
    if ended.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))} ended with {ended.returncode}:\n{ended.stderr}")


def steps_of(result, skip):
    with h5py.File(result) as file:
        return file["steps/seconds"][skip:]


def predict(point, folder):
    result = folder / "predicted.h5"
    run([binaries / "partita-simulate", *point.keys, "--train.steps=4", "--output", result, "--overwrite"])
    return statistics.median(steps_of(result, 0))


def measure(point, seconds, folder):
    steps = warm_up + max(5, min(300, round(seconds / point.predicted)))
    result = folder / "measured.h5"
    run(["mpiexec", "-n", point.ranks, binaries / "partita-train", *point.keys, f"--train.steps={steps}", "--output", result, "--overwrite"])
    return statistics.median(steps_of(result, warm_up))


def percentile(values, share):
    ordered = sorted(values)
    at = share * (len(ordered) - 1)
    low = int(at)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (at - low) * (ordered[high] - ordered[low])


def kendall(points):
    """Kendall's tau of predicted and measured steps of one training; pairs that the rounds do not tell apart do not count."""
    agree = disagree = 0
    for a, b in itertools.combinations(points, 2):
        if abs(a.median() - b.median()) > a.scatter() * a.median() + b.scatter() * b.median():
            alike = (a.median() - b.median()) * (a.predicted - b.predicted) > 0
            agree, disagree = agree + alike, disagree + (not alike)
    return (agree - disagree) / (agree + disagree) if agree + disagree else 1.0


def judged(points):
    """Prints errors beside their limits; whether all are kept."""
    errors = [point.error() for point in points]
    magnitudes = [abs(error) for error in errors]
    floor = statistics.mean(point.scatter() for point in points)
    found = {"MAPE": statistics.mean(magnitudes), "95th percentile": percentile(magnitudes, 0.95), "bias": abs(statistics.mean(errors))}
    print(f"\n{len(points)} points, run-to-run scatter {floor:.1%}")
    if floor > limits["MAPE"]:
        print("The machine was disturbed: nothing is judged.")
        return False
    kept = True
    for name, value in found.items():
        limit = max(limits[name], 3 * floor)
        scaled = "" if limit == limits[name] else f" (three times the scatter; {limits[name]:.0%} on a quiet machine)"
        kept = kept and value <= limit
        print(f"{name:>16} {value:7.1%}, limit {limit:.1%}{scaled}: {'kept' if value <= limit else 'EXCEEDED'}")
    return kept


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("machine", type=pathlib.Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--ranks", default="1,2")
    parser.add_argument("--only", default="")
    parser.add_argument("--output", type=pathlib.Path)
    options = parser.parse_args()
    counts = [int(word) for word in options.ranks.split(",")]
    points = [Point(model, batch, grid, options.machine) for model, (_, batches) in workloads.items() if options.only in model
              for batch in batches for ranks in counts for grid in grids[ranks]]
    cores = len(os.sched_getaffinity(0))
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        for point in points:
            point.predicted = predict(point, folder)
        for number in range(options.rounds):
            for point in points:
                point.measured.append(measure(point, options.seconds, folder))
            print(f"round {number + 1} of {options.rounds}", file=sys.stderr, flush=True)
    print(f"{'model':<12}{'batch':>6}  {'grid':<22}{'measured ms':>12}{'predicted ms':>14}{'error':>9}{'scatter':>9}")
    for point in points:
        print(f"{point.model:<12}{point.batch:>6}  {point.name:<22}{point.median() * 1e3:12.3f}{point.predicted * 1e3:14.3f}"
              f"{point.error():+9.1%}{point.scatter():9.1%}{'' if point.ranks <= cores else '  ranked only'}")
    absolute = [point for point in points if point.ranks <= cores]
    kept = judged(absolute) if absolute else True
    orders = {}
    for model, batch in dict.fromkeys((point.model, point.batch) for point in points):
        for ranks in sorted({1 if point.ranks <= cores else point.ranks for point in points}):
            same = [p for p in points if (p.model, p.batch) == (model, batch) and (p.ranks <= cores if ranks == 1 else p.ranks == ranks)]
            if len(same) > 1:
                orders.setdefault((model, ranks), []).append(kendall(same))
    for (model, ranks), of_batches in orders.items():
        order = statistics.mean(of_batches)
        kept = kept and order >= least_order
        where = f"up to {cores} ranks" if ranks == 1 else f"{ranks} ranks"
        print(f"{model:>16}, {where}: order kept (Kendall, mean of the batches) {order:.2f}, limit {least_order}: "
              f"{'kept' if order >= least_order else 'EXCEEDED'}")
    if options.output:
        with options.output.open("w", newline="") as file:
            table = csv.writer(file)
            table.writerow(["model", "batch", "grid", "ranks", "predicted_seconds", *(f"measured_seconds_{i}" for i in range(options.rounds))])
            for point in points:
                table.writerow([point.model, point.batch, point.name, point.ranks, point.predicted, *point.measured])
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
