"""How well partita-simulate predicts what partita-train takes: trainings that the machine's file knows nothing of.

Usage: python3 scripts/validate_predictions.py MACHINE [--rounds 5] [--seconds 1] [--ranks 1,2] [--only WORD] [--output TABLE.csv]
Wants h5py, and MNIST under PARTITA_DATA_DIR. MACHINE is a file of partita-calibrate, which leaves out every layer of these models. Each
point is run once a round, points in turn, so that what disturbs the machine disturbs all of them; a run takes about --seconds. The
measured step is the median over the rounds of each run's median step, the first five steps left out. Where ranks x threads are no more
than the cores, the predicted seconds are judged; beyond, only the order of plans of one model. Exits with 1 where a limit is exceeded.
"""
import math
import os
import pathlib
import statistics
import sys
import tempfile

from partita.trainings import (BINARIES, RUN_FILES, WARM_UP, Timed, kendall, parser, percentile, run, run_file, step_seconds, steps_within,
                               write_table)

batches = {"mlp-mnist": (100, 512), "mlp-wide": (256, 64), "mlp-deep": (2048, 256), "cnn-mnist": (64, 256), "lenet5": (64, 256),
           "vgg-small": (128, 32)}  # the second is not the run's own
grids = {
    1: [{}],
    2: [{"data": 2}, {"pipeline": 2}, {"tensor": 2}],
    4: [{"data": 4}, {"data": 2, "pipeline": 2}, {"data": 2, "tensor": 2}, {"pipeline": 4}, {"tensor": 4}],
    8: [{"data": 8}, {"data": 4, "pipeline": 2}, {"data": 4, "tensor": 2}, {"data": 2, "pipeline": 4}, {"pipeline": 2, "tensor": 4}],
}
# Mean of the errors' magnitudes, 95th percentile of them, magnitude of the mean error, and least order kept within a model.
limits = {"MAPE": 0.08, "95th percentile": 0.20, "bias": 0.03}
least_order = 0.8


class Point(Timed):
    def __init__(self, model, batch, grid, machine):
        super().__init__()
        self.model, self.batch, self.grid = model, batch, grid
        self.ranks = math.prod(grid.values())
        self.name = " ".join(f"{axis} {n}" for axis, n in grid.items()) or "one rank"
        self.keys = ["--config", run_file(model), f"--train.batch={batch}", f"--machine={machine}", "--compute.threads=1", "--evaluate.every=0",
                     *(f"--grid.{axis}={n}" for axis, n in grid.items())]
        if "pipeline" in grid:
            self.keys += ["--pipeline.schedule=1f1b", "--pipeline.microbatches=4"]

    def error(self):
        return self.predicted / self.median() - 1


def predict(point, folder):
    result = folder / "predicted.h5"
    run([BINARIES / "partita-simulate", *point.keys, "--train.steps=4", "--output", result, "--overwrite"])
    return step_seconds(result, 0)


def measure(point, seconds, folder):
    steps = WARM_UP + steps_within(seconds, point.predicted)
    result = folder / "measured.h5"
    run(["mpiexec", "-n", point.ranks, BINARIES / "partita-train", *point.keys, f"--train.steps={steps}", "--output", result, "--overwrite"])
    return step_seconds(result, WARM_UP)


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


def judged_orders(points, cores):
    """The same of the order of each model's plans."""
    orders = {}
    for model, batch in dict.fromkeys((point.model, point.batch) for point in points):
        for ranks in sorted({1 if point.ranks <= cores else point.ranks for point in points}):
            same = [p for p in points if (p.model, p.batch) == (model, batch) and (p.ranks <= cores if ranks == 1 else p.ranks == ranks)]
            if len(same) > 1:
                orders.setdefault((model, ranks), []).append(kendall(same))
    kept = True
    for (model, ranks), of_batches in orders.items():
        order = statistics.mean(of_batches)
        kept = kept and order >= least_order
        where = f"up to {cores} ranks" if ranks == 1 else f"{ranks} ranks"
        print(f"{model:>16}, {where}: order kept (Kendall, mean of the batches) {order:.2f}, limit {least_order}: "
              f"{'kept' if order >= least_order else 'EXCEEDED'}")
    return kept


def main():
    arguments = parser(__doc__)
    arguments.add_argument("--seconds", type=float, default=1.0)
    arguments.add_argument("--ranks", default="1,2")
    arguments.add_argument("--only", default="")
    arguments.add_argument("--output", type=pathlib.Path)
    options = arguments.parse_args()
    counts = [int(word) for word in options.ranks.split(",")]
    points = [Point(model, batch, grid, options.machine) for model in RUN_FILES if options.only in model
              for batch in batches[model] for ranks in counts for grid in grids[ranks]]
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
    kept = judged_orders(points, cores) and kept
    if options.output:
        write_table(options.output, ["model", "batch", "grid", "ranks", "predicted_seconds", *(f"measured_seconds_{i}" for i in range(options.rounds))],
                    [[point.model, point.batch, point.name, point.ranks, point.predicted, *point.measured] for point in points])
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
