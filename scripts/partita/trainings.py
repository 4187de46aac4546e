"""Trainings that scripts start to hold predictions against: the reference models, programs that run or fail, what steps took, and whether
two trainings can be told apart by it."""
import argparse
import csv
import itertools
import pathlib
import statistics
import subprocess
import sys

import h5py

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARIES = ROOT / "build/release/bin"
WARM_UP = 5  # steps
RUN_FILES = {"mlp-mnist": "mnist_mlp", "mlp-wide": "mnist_mlp_wide", "mlp-deep": "mnist_mlp_deep", "cnn-mnist": "mnist_cnn",
             "lenet5": "mnist_lenet5", "vgg-small": "random_vgg_small"}


def run_file(model):
    return ROOT / f"inputs/runs/{RUN_FILES[model]}.ini"


def parser(description, rounds=5):
    """Of a script that takes a machine file, and measures everything once a round."""
    options = argparse.ArgumentParser(description=description.split("\n\n")[0])
    options.add_argument("machine", type=pathlib.Path)
    options.add_argument("--rounds", type=int, default=rounds)
    return options


def failure_of(command, limit=None, **settings):
    """What a command says that fails, or that it was ended after `limit` seconds; empty where all is well."""
    words = [str(word) for word in command]
    with subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, **settings) as process:
        try:
            errors = process.communicate(timeout=limit)[1]
        except subprocess.TimeoutExpired:
            process.terminate()  # which a training obeys after its step
            try:
                process.communicate(timeout=limit)
            except subprocess.TimeoutExpired:
                process.kill()
            return f"{' '.join(words)} takes longer than {limit:g} s"
    return f"{' '.join(words)} ended with {process.returncode}:\n{errors}" if process.returncode != 0 else ""


def run(command, **settings):
    if failure := failure_of(command, **settings):
        sys.exit(failure)


def step_seconds(result, skip):
    """The median of a result's steps, the first ones left out."""
    with h5py.File(result) as file:
        return statistics.median(file["steps/seconds"][skip:])


def steps_within(seconds, of_one, least=5, most=300):
    """How many steps of `of_one` seconds are measured in about `seconds`."""
    return max(least, min(most, round(seconds / of_one)))


def percentile(values, share):
    ordered = sorted(values)
    at = share * (len(ordered) - 1)
    low = int(at)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (at - low) * (ordered[high] - ordered[low])


class Timed:
    """What is predicted, and measured once a round: seconds of a step."""

    def __init__(self, predicted=None):
        self.predicted, self.measured = predicted, []

    def median(self, rounds=None):
        """Of all rounds, or of those with these numbers."""
        return statistics.median(self.measured if rounds is None else [self.measured[number] for number in rounds])

    def scatter(self):
        """Mean deviation of the rounds from their median: what no prediction can be better than."""
        return statistics.mean(abs(seconds / self.median() - 1) for seconds in self.measured)


def are_told_apart(a, b):
    """Whether the rounds scatter by less than two medians differ."""
    return abs(a.median() - b.median()) > a.scatter() * a.median() + b.scatter() * b.median()


def kendall(timed):
    """Kendall's tau of predicted and measured steps of one training; pairs that the rounds do not tell apart do not count."""
    agree = disagree = 0
    for a, b in itertools.combinations(timed, 2):
        if are_told_apart(a, b):
            alike = (a.median() - b.median()) * (a.predicted - b.predicted) > 0
            agree, disagree = agree + alike, disagree + (not alike)
    return (agree - disagree) / (agree + disagree) if agree + disagree else 1.0


def write_table(path, columns, rows):
    """A CSV file, of rows that are as long as `columns`."""
    with path.open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(columns)
        table.writerows(rows)
