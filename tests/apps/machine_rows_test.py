"""Rows that benchmarks write for machine files: appended to one they are what a prediction goes by; what the file has already is
refused. And what else a machine file lets partita-simulate say: intervals, noise, checkpoints. No figure is judged.

Usage: machine_rows_test.py MPIEXEC PARTITA_BENCH_KERNELS PARTITA_BENCH_COMM PARTITA_SIMULATE SOURCE_FOLDER
"""
import os
import pathlib
import re
import sys
import tempfile

sys.path.append(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import jobs

mpiexec, bench_kernels, bench_comm, simulate, source = sys.argv[1:6]
described = pathlib.Path(source, "inputs/machines/default.machine").read_text()

RUN = """[model]
name = rows
input = 1x28x28
layer = flatten
layer = linear 128 bias=false
layer = tanh
layer = linear 10 bias=false
loss = cross-entropy
[train]
batch = 100
[data]
name = digits
train-samples = 1000
test-samples = 100
"""


def words(text, name):
    return [line.split() for line in text.splitlines() if line.startswith(name + " ")]


with tempfile.TemporaryDirectory() as folder:
    folder = pathlib.Path(folder)
    (folder / "run.ini").write_text(RUN)

    def predict(text, *arguments):
        (folder / "my.machine").write_text(text)
        return jobs.run([simulate, f"--config={folder}/run.ini", f"--machine={folder}/my.machine", *arguments])

    def measured_share(result):
        assert result.returncode == 0, result
        line = next(line for line in result.stdout.splitlines() if line.startswith("computing time is"))
        found = re.search(r"([\d.e-]+) % measured", line)
        return float(found[1]) if found else 0

    # Kernels: five of the model's instructions are those of the benchmark.
    kernels = folder / "kernels.rows"
    result = jobs.run([bench_kernels, "--benchmark_filter=^linear_.*mlp-mnist", f"--machine-rows={kernels}"])
    assert result.returncode == 0, result
    rows = kernels.read_text()
    assert len(words(rows, "kernel")) == 5 and "--machine-rows=" in rows and "load average" in rows, rows
    assert all("kernel=linear+plain" in row and "runs=15" in row for row in words(rows, "kernel")), rows
    assert measured_share(predict(described)) == 0
    assert measured_share(predict(described + rows)) > 0
    refused = predict(described + rows, "--no-extrapolation")
    assert refused.returncode == 2 and "linear" not in refused.stderr and "tanh" in refused.stderr, refused
    twice = predict(described + rows + rows)
    assert twice.returncode == 2 and twice.stderr.count("stands a second time, after line ") == 5, twice
    before = kernels.read_bytes()
    wrong = jobs.run([bench_kernels, f"--machine-rows={kernels}"])
    assert wrong.returncode == 2 and "machine-rows" in wrong.stderr and kernels.read_bytes() == before, wrong
    wrong = jobs.run([bench_kernels, "--table", f"--machine-rows={folder}/none"])
    assert wrong.returncode == 2 and "needs --backend=cpu, without --table" in wrong.stderr, wrong

    # Messages and windows: a machine that only had a link has levels then.
    network = folder / "network.rows"
    result = jobs.run([mpiexec, "-n", 2, bench_comm, "--bytes=4", "--samples=1", f"--machine-rows={network}"])
    assert result.returncode == 0, result
    rows = network.read_text()
    assert words(rows, "level") == [["level", "name=node"]] and ["progress", "mode=polled"] in words(rows, "progress"), rows
    assert all(words(rows, word) for word in ("message", "window", "flag", "overhead")), rows
    result = predict(described + rows, "--ranks=2", "--what-if=network.node.latency=2x")
    assert result.returncode == 0, result
    twice = predict(described + rows + rows)
    assert twice.returncode == 2 and twice.stderr.count("stands a second time, after line ") == len(re.findall("^[a-z]", rows, re.M)), twice

    # Scatter: an interval in every prediction, and noise without a value.
    assert "percentile" not in predict(described).stdout
    refused = predict(described, "--noise")
    assert refused.returncode == 2 and "the machine file has no variance" in refused.stderr, refused
    assert "scatter by 0.05: median" in predict(described, "--noise=0.05").stdout
    scattered = predict(described + "variance within_run=0.05 between_runs=0.02 between_ranks=0.01\n", "--noise")
    assert re.search(r"^step +[\d.]+ \wm?s \(median [\d.]+ \w+, 95th percentile [\d.]+ \w+\)$", scattered.stdout, re.M), scattered
    assert "of 200 steps whose kernels scatter by 0.05, those of a rank by 0.01 and 40 runs by 0.02: median " in scattered.stdout, scattered

    # Checkpoints: 784 x 128 + 128 x 10 numbers and their velocities.
    wishes = "--failures=mtbf=86400"
    refused = predict(described, wishes)
    assert refused.returncode == 2 and "the machine file has no checkpoint rate" in refused.stderr, refused
    rated = described + "checkpoint bytes_per_second=406528 seconds=1\n"
    result = predict(rated, wishes)
    assert "a checkpoint has 813056 bytes and takes 3 s" in result.stdout, result
    given = predict(described, wishes + " checkpoint=3 restart=3")
    useful = [line for line in given.stdout.splitlines() if "is useful" in line]
    assert len(useful) == 2 and useful == [line for line in result.stdout.splitlines() if "is useful" in line], (given, result)
    assert "a checkpoint has" not in predict(rated, wishes + " checkpoint=3 restart=3").stdout
    assert predict(described, "--failures=MTBF=86400 Checkpoint=3 RESTART=3").stdout == given.stdout, "names in any case"
    twice = predict(described, "--failures=mtbf=86400 MTBF=86400")
    assert twice.returncode == 2 and "must be mtbf=SECONDS" in twice.stderr, twice
    wrong = predict(rated, "--failures=mtbf=0 checkpoints=3", "--noise=3")
    assert wrong.returncode == 2 and "must be mtbf=SECONDS" in wrong.stderr and "from 0 to 2" in wrong.stderr, wrong
    assert wrong.stderr.count("noise") == 1, "one mistake is told once"
    free = predict(rated, "--failures=mtbf=100 checkpoint=0 restart=0")
    assert free.returncode == 2 and "the first two above 0" in free.stderr, free
    table = predict(rated, "--scaling=1..2", "--noise=0.1", wishes)
    assert table.returncode == 2 and table.stderr.count("without --scaling") == 2, table
    beyond = predict(rated + "level name=node ranks=4\nmessage level=node min_bytes=0 latency_seconds=1e-6 byte_seconds=1e-9\n", "--scaling=1..8")
    assert beyond.returncode == 2 and "level node has 4" in beyond.stderr, beyond
print("ok")
