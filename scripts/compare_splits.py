"""What each way of splitting a training sends, beside its formula; and how fast each is, beside one rank.

Runs partita-train (build/release/bin) on the embedded digits and on real or random data, and prints two tables in Markdown.
Usage: python3 scripts/compare_splits.py [--bytes] [--speed [--rounds N]]
Wants h5py. The bytes are all that crosses between ranks in one step of the whole job, gradients reduced by a ring; the script fails
where ledger and formula differ. Speeds are medians of interleaved rounds, without evaluation.
"""
import argparse
import pathlib
import re
import statistics
import subprocess
import sys
import tempfile

import h5py

root = pathlib.Path(__file__).resolve().parents[1]
train = root / "build/release/bin/partita-train"
n, element = 64, 4  # samples of the batch, bytes of float32

mlp = ["flatten", "linear 128", "relu", "linear 10"]
mlp_parameters = 784 * 128 + 128 + 128 * 10 + 10
cnn_convolutions = 10 * 25 + 10 + 20 * 10 * 25 + 20
cnn_linears = 50 * 320 + 50 + 10 * 50 + 10
cnn_parameters = cnn_convolutions + cnn_linears


def ring(ranks, elements):
    return 2 * (ranks - 1) * elements


def metric(ranks, groups=1):
    return groups * ring(ranks, 2) * 8  # loss and correct, float64


def layers(lines, placements):
    return [f"--model.layer={line} placement={place}" for line, place in zip(lines, placements)]


def splits():
    """(name, ranks, arguments, formula in words, elements or bytes in a step of the whole job)"""
    row = layers(mlp, ("replicated", "column", "column", "row"))
    spatial_halo = 2 * (2 + 2) * 12 * 10 * n  # two rows of 10 channels each way, forward and backward
    return [
        ("MLP, data=2", 2, ["digits_mlp", f"--train.batch={n}", "--grid.data=2"],
         "2(d−1)·parameters", ring(2, mlp_parameters) * element + metric(2)),
        ("MLP, pipeline=2", 2, ["digits_mlp", f"--train.batch={n}", "--grid.pipeline=2", "--pipeline.microbatches=4"],
         "2(p−1)·batch·width at the cut (128)", 2 * n * 128 * element + metric(2)),
        ("MLP, tensor=2: column, row", 2, ["digits_mlp", f"--train.batch={n}", "--grid.tensor=2", *row],
         "2(t−1)·batch·outputs of the row layer (10)", ring(2, n * 10) * element),
        ("CNN, data=2", 2, ["digits_cnn", "--grid.data=2"], "2(d−1)·parameters", ring(2, cnn_parameters) * element + metric(2)),
        ("CNN, tensor=2: one weird trick", 2,
         ["digits_cnn", "--grid.tensor=2", *layers(
             ["conv 10 kernel=5", "maxpool 2", "relu", "conv 20 kernel=5", "maxpool 2", "relu", "flatten", "linear 50", "relu", "linear 10"],
             ["batch"] * 7 + ["column", "column", "row"])],
         "2(t−1)·(convolution parameters + batch·features (320) + batch·outputs (10))",
         (ring(2, cnn_convolutions) + 2 * n * 320 + ring(2, n * 10)) * element),
        ("CNN, tensor=2: rows of images", 2, ["digits_cnn", "--model.file=inputs/models/cnn-mnist-spatial.ini", "--grid.tensor=2"],
         "halos + (t−1)·batch·features (320) + 2(t−1)·convolution parameters",
         (spatial_halo + n * 320 + ring(2, cnn_convolutions)) * element),
        ("MLP, data=2 × pipeline=2 × tensor=2", 8,
         ["digits_mlp", f"--train.batch={n}", "--grid.data=2", "--grid.pipeline=2", "--grid.tensor=2", "--pipeline.microbatches=2",
          *[line + stage for line, stage in zip(
              layers(["flatten", "linear 128", "relu", "linear 64", "linear 128", "relu", "linear 10"],
                     ("replicated", "column", "column", "row", "column", "column", "row")),
              [" stage=0"] * 4 + [" stage=1"] * 3)]],
         "sum of the three, each on its own share",
         (2 * ring(2, (784 * 128 + 128) // 2 + 64 * 64 + 64) + 2 * ring(2, (64 * 128 + 128) // 2 + 10 * 64 + 10)  # data
          + 2 * 2 * n * 64                                            # pipeline: both tensor ranks, both ways
          + ring(2, n * 64) + ring(2, n * 64) + ring(2, n * 10)) * element  # tensor: forward, backward, forward
         + metric(4, groups=2)),
    ]


def run(ranks, arguments, output=None):
    config, *rest = arguments
    command = ["mpiexec", "-n", str(ranks), str(train), f"--config={root}/inputs/runs/{config}.ini", *rest, "--evaluate.every=0"]
    if output:
        command += [f"--output={output}", "--overwrite"]
    result = subprocess.run(command, capture_output=True, text=True, cwd=root, timeout=300)
    if result.returncode != 0:
        sys.exit(f"{' '.join(command)}\n{result.stderr}")
    return result.stdout


def print_bytes():
    print("| split | what crosses in a step | formula, bytes | measured, bytes |\n|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for name, ranks, arguments, words, expected in splits():
            run(ranks, [*arguments, "--train.steps=5", "--sync.algorithm=ring"], f"{folder}/r.h5")
            with h5py.File(f"{folder}/r.h5") as file:
                traffic = file["traffic"]
                sent = traffic["wire_bytes"][:][traffic["activity"][:] == b"train"].sum() // 5
            print(f"| {name} | {words} | {expected:,} | {sent:,} |")
            if sent != expected:
                sys.exit(f"{name}: the ledger says {sent}, the formula {expected}")


def print_speed(rounds):
    grids = {"one rank": (1, ["--grid.data=1"]), "data=2": (2, ["--grid.data=2"]), "pipeline=2": (2, ["--grid.pipeline=2", "--pipeline.microbatches=8"]),
             "tensor=2": (2, ["--grid.tensor=2"])}
    runs = {"cnn-mnist, batch 64": ["mnist_cnn", "--train.steps=400"], "mlp-mnist, batch 100": ["mnist_mlp", "--train.steps=600"],
            "mlp-wide, batch 256": ["mnist_mlp_wide", "--train.steps=40"], "mlp-deep, batch 2048": ["mnist_mlp_deep", "--train.steps=20"],
            "vgg-small, batch 128": ["random_vgg_small", "--train.steps=8", "--compute.threads=1"]}
    print("| run, samples/s | " + " | ".join(grids) + " |\n|---|" + "---|" * len(grids))
    for name, arguments in runs.items():
        seen = {grid: [] for grid in grids}
        for _ in range(rounds):
            for grid, (ranks, extra) in grids.items():
                output = run(ranks, [*arguments, *extra])
                seen[grid].append(float(re.search(r"name=throughput value=(\S+)", output).group(1)))
        median = {grid: statistics.median(values) for grid, values in seen.items()}
        one = median["one rank"]
        print(f"| {name} | " + " | ".join(f"{value:,.0f}" + ("" if grid == "one rank" else f" ({value / one:.2f}×)")
                                          for grid, value in median.items()) + " |", flush=True)


parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--bytes", action="store_true")
parser.add_argument("--speed", action="store_true")
parser.add_argument("--rounds", type=int, default=3)
options = parser.parse_args()
if options.bytes or not options.speed:
    print_bytes()
if options.speed:
    print_speed(options.rounds)
