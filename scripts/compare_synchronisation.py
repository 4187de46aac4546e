"""What each way to synchronise sends, holds and takes, and how well the model is trained: a table in Markdown.

Trains a run file on so many ranks, and the servers of a way besides (build/release/bin), once in every way and round, interleaved; all have the same seed.
Secure sums want at least three data ranks, and have them: their row says so. Bytes are all that
crosses between ranks in a step of the whole job, by messages and through windows; memory is the largest of a rank, without the data set.
Steps and ratios to the first way are medians over the rounds, of medians over a run of the mean of eight steps in a row, which is one period of
local steps. Break-even: over a network that carries fewer bytes a second from each rank, a codec makes steps shorter. Accuracies are those after
each epoch.
Usage: python3 scripts/compare_synchronisation.py [--config RUN.ini] [--ranks N] [--rounds N] [--epochs N] [-- KEYS…]
KEYS go to every run, such as --train.optimizer=adam. Wants h5py and numpy.
"""
import argparse
import pathlib
import statistics
import subprocess
import sys
import tempfile

import h5py
import numpy as np

root = pathlib.Path(__file__).resolve().parents[1]
train = root / "build/release/bin/partita-train"

ways = {"all-reduce": [], "shares of states": ["--sync.split=state"], "shares of states, gradients": ["--sync.split=gradient"],
        "shares of states, gradients, parameters": ["--sync.split=parameter"],
        "the same, gathered once a step": ["--sync.split=parameter", "--sync.gather=step"],
        **{f"`{codec}`": [f"--sync.compress={codec}"] for codec in ("bf16", "fp16", "int8", "sign", "topk", "powersgd")},
        "`sign` without error feedback": ["--sync.compress=sign", "--sync.error-feedback=off"],
        "`topk` without error feedback": ["--sync.compress=topk", "--sync.error-feedback=off"],
        "delayed by one step": ["--sync.delay=1"],
        "8 local steps, states kept": ["--sync.local.period=8"],
        "8 local steps, states averaged": ["--sync.local.period=8", "--sync.local.states=average"],
        "the same with an outer step": ["--sync.local.period=8", "--sync.local.states=average", "--sync.local.outer-rate=0.7", "--sync.local.outer-momentum=0.9"],
        "a server for all ranks": ["--server.count=1"],
        "the same, asynchronous": ["--server.count=1", "--server.bound=none"],
        "the same, at most 2 steps apart": ["--server.count=1", "--server.bound=2"],
        "a server, `int8`": ["--server.count=1", "--sync.compress=int8"],
        "the same, asynchronous, `int8`": ["--server.count=1", "--server.bound=none", "--sync.compress=int8"],
        "secure sums": ["--sync.secure=true"]}
period = 8  # steps
bytes_columns = ("wire_bytes", "window_bytes_read", "window_bytes_written")
kept_columns = ("parameters", "gradients", "optimizer_state", "codec_state")
memory_columns = (*kept_columns, "activations", "communication_buffers")


def ranks_of(options, keys):
    """Those that take samples."""
    return max(options.ranks, 3) if "--sync.secure=true" in keys else options.ranks


def result_of(options, keys, folder):
    output = f"{folder}/r.h5"
    servers = sum(int(key.split("=")[1]) for key in keys if key.startswith("--server.count="))
    command = ["mpiexec", "-n", str(ranks_of(options, keys) + servers), str(train), f"--config={options.config}", f"--train.epochs={options.epochs}",
               f"--output={output}", "--overwrite", *options.keys, *keys]
    done = subprocess.run(command, capture_output=True, text=True, cwd=root)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)}\n{done.stderr}")
    with h5py.File(output) as file:
        trained = file["traffic/activity"][:] == b"train"
        figures = dict(zip(file["figures/name"].asstr()[:], file["figures/value"][:]))
        memory = {column: file["memory"][column][:] for column in memory_columns if column in file["memory"]}
        of_ranks = file["steps/rank_seconds"][:]
        whole = of_ranks[:len(of_ranks) // period * period].reshape(-1, period, of_ranks.shape[1])  # no rank waits for others at each step
        return {"seconds": float(np.median(whole.mean(axis=1).max(axis=1))),
                "bytes": sum(int(file["traffic"][column][:][trained].sum()) for column in bytes_columns) // len(file["steps/step"]),
                "memory": int(max(sum(memory.values()))),
                "kept": int(max(sum(memory[column] for column in kept_columns if column in memory))),
                "break_even": figures.get("break_even_bandwidth"),
                "accuracy": [float(a) for a in file["epochs/test_accuracy"][:]]}


parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--config", default="inputs/runs/digits_mlp.ini")
parser.add_argument("--ranks", type=int, default=2)
parser.add_argument("--rounds", type=int, default=5)
parser.add_argument("--epochs", type=int, default=1)
parser.add_argument("keys", nargs="*", metavar="KEYS")
options = parser.parse_args()

seen = {way: [] for way in ways}
with tempfile.TemporaryDirectory() as folder:
    for _ in range(options.rounds):
        for way, keys in ways.items():
            seen[way].append(result_of(options, keys, folder))
print("| way | sent in a step, bytes | memory of a rank, MiB | of it from step to step | step, ms | ratio | break-even, MB/s | test accuracy, % |\n"
      "|---|---|---|---|---|---|---|---|")
first = seen[next(iter(ways))]
for way, results in seen.items():
    one = results[0]
    ratio = statistics.median(mine["seconds"] / theirs["seconds"] for mine, theirs in zip(results, first))
    bandwidths = [r["break_even"] for r in results if r["break_even"]]
    break_even = f"{statistics.median(bandwidths) / 1e6:,.0f}" if bandwidths else ""
    accuracy = ", ".join(f"{100 * a:.2f}" for a in one["accuracy"])
    ranks = ranks_of(options, ways[way])
    if ranks != options.ranks: way += f" ({ranks} data ranks)"
    print(f"| {way} | {one['bytes']:,} | {one['memory'] / 2**20:.2f} | {one['kept'] / 2**20:.2f} | "
          f"{1e3 * statistics.median(r['seconds'] for r in results):.3f} | {ratio:.2f} | {break_even} | {accuracy} |")
