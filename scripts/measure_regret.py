"""What it costs to believe partita-plan: every plan of a training is run, and the predicted best is held against the measured best.

Usage: python3 scripts/measure_regret.py MACHINE [--ranks 2] [--rounds 5] [--batches 32,256] [--seconds 0.3] [--limit 300] [--plans N]
           [--screen FACTOR] [--only WORD] [--output TABLE.csv]
Wants h5py, and MNIST under PARTITA_DATA_DIR. Each plan is run from its run file (partita-plan --write-all), once a round, all plans of a
training in turn. A run measures for about --seconds, but two steps at least; the first round counts steps by prediction, the others by what
the first one took. A run that fails, or takes longer than --limit seconds, ends its plan, which is counted as failed. --plans: of each
training the best N/2 by prediction and as many others drawn by chance, where all would take too long. --screen: plans that take more than
twice FACTOR times the fastest in the first round, or more than FACTOR times in both of the first two, are not run again, and are no best; those
that a choice can fall on always are. What all will take is said before; where plans are screened it takes less.
The regret of a choice is what it takes more than the best, which is chosen on one half of the rounds and judged on the other, so that luck
is not taken for speed: @1 the first by prediction, @3 the fastest of the three that strategy=auto tries; beside them data
parallelism alone, the tensor axis within a node and data parallelism between, and a plan drawn by chance. `ties`: plans that the rounds
do not tell apart from the best; `order`: Kendall's tau of predictions. More ranks than cores share them: then plans are ranked only.
At last what strategy=auto takes of one epoch. Exits with 1 where a limit is exceeded or not all was measured.
"""
import contextlib
import csv
import itertools
import math
import os
import pathlib
import statistics
import sys
import tempfile
import time

import h5py

from partita.regret import CHOICES, Plan, chosen_of, interval, near, regrets, tied
from partita.trainings import BINARIES, RUN_FILES, WARM_UP, failure_of, kendall, parser, run, run_file, step_seconds, steps_within, write_table

limits = {"@1": (0.05, 0.15), "@3": (0.015, None)}  # of the mean, of the largest
planned = ("mlp-mnist", "cnn-mnist")  # with strategy=auto, which may take no more of their epoch than
planning_limit = 0.05


class Training:
    """A model with a batch, and its plans."""

    def __init__(self, model, batch, options, folder):
        self.model, self.batch, self.folder = model, batch, folder / f"{model}-{batch}"
        keys = ["--config", run_file(model), f"--train.batch={batch}", "--compute.threads=1", f"--machine={options.machine}",
                f"--ranks={options.ranks}", *([f"--data.train-samples={batch}"] if model == "vgg-small" and batch > 1024 else [])]
        begin = time.monotonic()
        run([BINARIES / "partita-plan", *keys])
        self.search_seconds = time.monotonic() - begin
        run([BINARIES / "partita-plan", *keys, "--top=1000", f"--write-all={self.folder}"])
        with (self.folder / "plans.csv").open(newline="") as table:
            plans = [Plan(row["plan"], float(row["step_seconds"]), row["known_as"], self.folder / row["file"]) for row in csv.DictReader(table)]
        self.all, self.plans = len(plans), chosen_of(plans, options.plans)
        self.steps = {}  # of a run after the first round, by plan

    def steps_of(self, plan, seconds):
        return self.steps.get(plan) or steps_within(seconds, plan.predicted, least=2)

    def estimate(self, options, start_seconds):
        """Seconds of all its runs, each of which starts for so long, as far as predictions tell."""
        slower = max(1, options.ranks / len(os.sched_getaffinity(0)))
        steps = sum((warm_up(n) + n) * plan.predicted * slower for plan in self.plans for n in [self.steps_of(plan, options.seconds)])
        return options.rounds * (steps + len(self.plans) * start_seconds)

    def measure(self, plan, options):
        n = self.steps_of(plan, options.seconds)
        result = self.folder / "measured.h5"
        plan.failure = failure_of(["mpiexec", "-n", options.ranks, BINARIES / "partita-train", "--config", plan.file, "--evaluate.every=0",
                                   f"--train.steps={warm_up(n) + n}", "--output", result, "--overwrite"], limit=options.limit)
        if plan.failure:
            return print(f"{self.model}, {self.batch}, {plan.name}: {plan.failure}", file=sys.stderr, flush=True)
        plan.measured.append(step_seconds(result, warm_up(n)))
        self.steps[plan] = steps_within(options.seconds, plan.measured[0], least=2)

    def measure_all(self, options):
        running = self.plans
        for number in range(options.rounds):
            for plan in running:
                if not plan.failure:
                    self.measure(plan, options)
            if number < 2:
                running = near(running, options.screen * (2 - number))


def warm_up(steps):
    """Steps that are left out before so many; one where a step is long."""
    return WARM_UP if steps > WARM_UP else 1


def seconds_to_start(training, options):
    """Of a run of one step."""
    begin = time.monotonic()
    run(["mpiexec", "-n", options.ranks, BINARIES / "partita-train", "--config", training.plans[0].file, "--evaluate.every=0", "--train.steps=1"])
    return time.monotonic() - begin


def prepare(models, batches, options, folder):
    """All trainings; says what they will take."""
    trainings, total = [], 0
    for model, batch in itertools.product(models, batches):
        trainings.append(Training(model, batch, options, folder))
        estimate = trainings[-1].estimate(options, seconds_to_start(trainings[-1], options))
        total += estimate
        print(f"{model}, {batch}: {len(trainings[-1].plans)} of {trainings[-1].all} plans, about {estimate / 60:.1f} minutes", file=sys.stderr)
    print(f"all: about {total / 60:.0f} minutes", file=sys.stderr, flush=True)
    return trainings


def percent(value):
    return f"{'failed':>8}" if math.isinf(value) else f"{value:8.1%}"


def print_training(training, of_choice):
    best, ties = tied(training.plans)
    whole = [plan for plan in training.plans if not plan.failure]
    ranked = [plan for plan in whole if len(plan.measured) > 1]
    print(f"{training.model:<12}{training.batch:>6}{len(training.plans):>7}{len(training.plans) - len(whole):>8}{best.median() * 1e3:10.3f}"
          f"  {best.name:<62}" + "".join(percent(statistics.mean(of_choice[c])) if c in of_choice else f"{'-':>8}" for c in CHOICES)
          + f"{len(ties):>6}{kendall(ranked):7.2f}{training.search_seconds:10.2f}", flush=True)


def print_choice(choice, trainings):
    """The mean over trainings, and whether its limit is kept."""
    means = [statistics.mean(ways) for ways in trainings]
    failed = sum(map(math.isinf, means))
    if failed:
        print(f"{choice:>8}: fails for {failed} of {len(means)} trainings")
        return choice not in limits
    low, high = interval(trainings)
    text = f"{choice:>8}: mean {statistics.mean(means):.1%} (95 %: {low:.1%} to {high:.1%}), largest {max(means):.1%}"
    if choice not in limits:
        print(text)
        return True
    of_mean, of_largest = limits[choice]
    kept = statistics.mean(means) <= of_mean and (of_largest is None or max(means) <= of_largest)
    print(text + f"; limit {of_mean:.1%}" + (f" and {of_largest:.0%}" if of_largest else "") + (": kept" if kept else ": EXCEEDED"))
    return kept


def judged(measured, rounds):
    """Prints what was measured of trainings in so many rounds, each with its regrets; whether limits are kept."""
    kept = [print_choice(choice, [of_choice[choice] for _, of_choice in measured if choice in of_choice])
            for choice in CHOICES if any(choice in of_choice for _, of_choice in measured)]
    first = 0
    for training, _ in measured:
        best, ties = tied(training.plans)
        first += min(training.plans, key=lambda plan: plan.predicted) in (best, *ties)
    plans = [plan for training, _ in measured for plan in training.plans]
    print(f"The first by prediction is the best, or tied with it, in {first} of {len(measured)} trainings; "
          f"{sum(bool(plan.failure) for plan in plans)} of {len(plans)} plans failed, "
          f"{sum(0 < len(plan.measured) < rounds and not plan.failure for plan in plans)} were screened.")
    return all(kept)


def judged_planning(models, options, folder):
    """Prints what strategy=auto takes of an epoch; whether its limit is kept."""
    kept = True
    for model in models:
        result, shares = folder / "auto.h5", []
        for _ in range(options.rounds):
            begin = time.monotonic()
            run(["mpiexec", "-n", options.ranks, BINARIES / "partita-train", "--config", run_file(model), "--compute.threads=1", "--train.epochs=1",
                 f"--machine={options.machine}", "--strategy=auto", "--output", result, "--overwrite"])
            whole = time.monotonic() - begin
            with h5py.File(result) as file:
                figures = dict(zip(file["figures/name"][()], file["figures/value"][()]))
                of_steps = figures[b"planning_overhead"]
                shares.append((of_steps * file["steps/seconds"][()].sum() / whole, of_steps, whole))
        share, of_steps, whole = map(statistics.median, zip(*shares))
        kept = kept and share <= planning_limit
        print(f"strategy=auto takes {share * whole * 1e3:.0f} ms of one epoch of {model}: {share:.1%} of the run, {of_steps:.1%} of its steps; "
              f"limit {planning_limit:.0%} of the run: {'kept' if share <= planning_limit else 'EXCEEDED'}")
    return kept


def main():
    arguments = parser(__doc__)
    arguments.add_argument("--ranks", type=int, default=2)
    arguments.add_argument("--batches", default="32,256")
    arguments.add_argument("--seconds", type=float, default=0.3)
    arguments.add_argument("--limit", type=float, default=300)
    arguments.add_argument("--plans", type=int, default=1000)
    arguments.add_argument("--screen", type=float, default=math.inf)
    arguments.add_argument("--only", default="")
    arguments.add_argument("--output", type=pathlib.Path)
    options = arguments.parse_args()
    if options.rounds < 2:
        arguments.error("--rounds: at least 2, since one half chooses and the other judges")
    if options.screen < 1:
        arguments.error("--screen: at least 1, below which the fastest would be screened")
    models = [model for model in RUN_FILES if options.only in model]
    measured = []
    with tempfile.TemporaryDirectory() as name:
        trainings = prepare(models, map(int, options.batches.split(",")), options, pathlib.Path(name))
        print(f"{'model':<12}{'batch':>6}{'plans':>7}{'failed':>8}{'best ms':>10}  {'best plan':<62}" + "".join(f"{c:>8}" for c in CHOICES)
              + f"{'ties':>6}{'order':>7}{'search s':>10}", flush=True)
        with contextlib.suppress(KeyboardInterrupt):  # what is there by then counts
            for training in trainings:
                training.measure_all(options)
                if all(plan.failure for plan in training.plans):
                    print(f"{training.model:<12}{training.batch:>6}{len(training.plans):>7}  all failed", flush=True)
                    continue
                measured.append((training, regrets(training.plans, options.rounds)))
                print_training(*measured[-1])
        if options.output:
            write_table(options.output, ["model", "batch", "plan", "known_as", "predicted_seconds", *(f"measured_seconds_{i}" for i in range(options.rounds))],
                        [[training.model, training.batch, plan.name, plan.known_as, plan.predicted,
                          *plan.measured, *[""] * (options.rounds - len(plan.measured))] for training, _ in measured for plan in training.plans])
        kept = len(measured) == len(trainings)
        if not kept:
            print("Not all were measured.")
        if measured:
            kept = judged(measured, options.rounds) and kept
        return 0 if judged_planning([model for model in planned if model in models], options, pathlib.Path(name)) and kept else 1


if __name__ == "__main__":
    sys.exit(main())
