"""partita-infer as a user runs it: on every kind of grid it infers what one rank does, and refuses bad input.

Usage: infer_test.py grids|regression|bad_input MPIEXEC PARTITA_TRAIN PARTITA_INFER SOURCE_FOLDER
"""
import os
import math
import pathlib
import re
import sys
import tempfile

import h5py
import numpy

sys.path.append(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import jobs

part, mpiexec, train, infer, source = sys.argv[1:6]
runs = pathlib.Path(source) / "inputs" / "runs"
samples = 203
small = ("--data.train-samples=640", f"--data.test-samples={samples}")


def run(program, ranks, config, *arguments):
    command = [mpiexec, "-n", str(ranks), program, f"--config={runs / config}.ini", *arguments]
    return jobs.run(command)


def figures(result):
    assert result.returncode == 0 and result.stdout.endswith("STATUS: PASS\n"), result
    return {name: float(value) for name, value in re.findall(r"FOM name=(\S+) value=(\S+)", result.stdout)}


def check_file(path, batch, repetitions):
    """What holds on every grid: rows of traffic, memory, environment; one latency a batch."""
    with h5py.File(path) as file:
        assert file.attrs["status"] == b"complete" and file.attrs["batch"] == batch, dict(file.attrs)
        traffic = file["traffic"]
        assert traffic["wire_bytes"][:].sum() == traffic["wire_bytes_received"][:].sum()
        assert b"train" not in set(traffic["activity"][:])
        assert not file["memory/gradients"][:].any() and not file["memory/optimizer_state"][:].any()
        assert (file["memory/activations"][:] > 0).all() and "steps" not in file
        latency = file["inference/latency_seconds"]
        assert latency.shape == (repetitions * math.ceil(samples / batch),) and (latency[:] > 0).all()
        assert latency.attrs["units"] == b"s" and len(latency.dims[0]) == 1


def check_latencies(found, path):
    """Nearest-rank percentiles of the stored latencies, as printed (six digits)."""
    with h5py.File(path) as file:
        latency = sorted(file["inference/latency_seconds"][:])
    for percent, name in ((50, "p50"), (90, "p90"), (95, "p95"), (99, "p99"), (100, "max")):
        expected = latency[math.ceil(percent * len(latency) / 100) - 1]
        assert abs(found[f"latency_{name}"] - expected) <= 1e-5 * expected, (name, found, expected)
    assert found["throughput"] > 0


def check_messages(path, grid, batches_run):
    """Pipeline: every sample's activations cross every boundary once a pass; without an axis nothing crosses it."""
    with h5py.File(path) as file:
        layers, traffic = file["model"], file["traffic"]
        rows = (traffic["activity"][:] == b"evaluate") & (traffic["axis"][:] == b"pipeline") & (traffic["operation"][:] == b"send")
        stages = layers["stage"][:]
        boundary = [math.prod(map(int, layers["output"][i].decode().split("x"))) for i in range(len(stages) - 1) if stages[i] != stages[i + 1]]
        assert len(boundary) == grid.get("pipeline", 1) - 1, (grid, stages)
        if grid.get("tensor", 1) == 1:
            expected = batches_run * samples * 4 * sum(boundary)
            assert traffic["wire_bytes"][:][rows].sum() == traffic["payload_bytes"][:][rows].sum() == expected, (grid, expected)
        else:
            assert rows.any() == bool(boundary)


grids = [
    ({"data": 2}, 64, ()),
    ({"data": 3}, 101, ()),  # 101, 101 and 1 sample: two ranks have nothing of the last
    ({"pipeline": 2}, 64, ("--pipeline.microbatches=3",)),
    ({"pipeline": 2}, 50, ("--pipeline.microbatches=5", "--pipeline.schedule=interleaved", "--pipeline.chunks=2")),
    ({"tensor": 2}, 60, ()),
    ({"tensor": 3}, 203, ("--model.layer=conv 10 kernel=5", "--model.layer=maxpool 2", "--model.layer=relu",
                          "--model.layer=conv 20 kernel=5 placement=row", "--model.layer=maxpool 2", "--model.layer=relu",
                          "--model.layer=flatten", "--model.layer=linear 50 placement=column", "--model.layer=relu",
                          "--model.layer=linear 10 placement=column")),  # the last would like a class-sharded loss
    ({"data": 2, "pipeline": 2, "tensor": 2}, 90, ("--pipeline.microbatches=3",)),
]


def check_grids():
    with tempfile.TemporaryDirectory() as folder:
        model, one = f"{folder}/m.h5", f"{folder}/one.h5"
        trained = figures(run(train, 1, "digits_cnn", *small, "--train.epochs=6", f"--save-model={model}"))
        arguments = (*small, f"--load-model={model}", "--infer.repetitions=2")
        first = figures(run(infer, 1, "digits_cnn", *arguments, "--infer.batch=64", f"--output={one}"))
        assert first["test_accuracy"] == trained["test_accuracy"] > 0.5, (first, trained)
        assert abs(first["test_loss"] - trained["test_loss"]) < 1e-5 * trained["test_loss"]
        check_file(one, 64, 2)
        check_latencies(first, one)
        with h5py.File(one) as file:
            expected = file["inference/prediction"][:]
        assert expected.shape == (samples,) and expected.dtype == "int64" and len(set(expected)) == 10
        for grid, batch, more in grids:
            path = f"{folder}/r.h5"
            axes = [f"--grid.{axis}={extent}" for axis, extent in grid.items()]
            found = figures(run(infer, math.prod(grid.values()), "digits_cnn", *arguments, *axes, f"--infer.batch={batch}", *more,
                                f"--output={path}", "--overwrite"))
            with h5py.File(path) as file:
                assert (file["inference/prediction"][:] == expected).all(), grid
            assert found["test_accuracy"] == first["test_accuracy"], (grid, found)
            assert abs(found["test_loss"] - first["test_loss"]) < 1e-5 * first["test_loss"], (grid, found)
            check_file(path, batch, 2)
            check_latencies(found, path)
            if "chunks" not in str(more):
                check_messages(path, grid, 2 * 2)  # twice batch by batch, twice back to back
        limited = figures(run(infer, 2, "digits_cnn", *small, f"--load-model={model}", "--infer.samples=1", f"--output={path}", "--overwrite"))
        with h5py.File(path) as file:
            assert list(file["inference/prediction"][:]) == list(expected[:1])
            assert len(file["inference/latency_seconds"]) == 1 and file.attrs["batch"] == 512
        assert limited["test_accuracy"] in (0, 1)


def regression():
    """Whole outputs instead of classes; uneven widths on the tensor axis, and again nothing differs but rounding."""
    with tempfile.TemporaryDirectory() as folder:
        model, path = f"{folder}/m.h5", f"{folder}/r.h5"
        data = (f"--data.test-samples={samples}", "--compute.backend=reference", "--train.precision=fp64")
        trained = figures(run(train, 1, "random_mlp_tiny", *data, "--train.epochs=1", f"--save-model={model}"))
        expected = None
        for grid, batch in (({}, 64), ({"data": 3}, 50), ({"tensor": 3}, 64), ({"data": 2, "pipeline": 2, "tensor": 2}, 77)):
            axes = [f"--grid.{axis}={extent}" for axis, extent in grid.items()]
            found = figures(run(infer, math.prod(grid.values()), "random_mlp_tiny", *data, *axes, f"--load-model={model}",
                                f"--infer.batch={batch}", f"--output={path}", "--overwrite"))
            assert "test_accuracy" not in found
            assert abs(found["test_loss"] - trained["test_loss"]) < 1e-5 * trained["test_loss"], (grid, found, trained)
            check_file(path, batch, 1)
            with h5py.File(path) as file:
                assert "prediction" not in file["inference"]
                output = file["inference/output"][:]
            assert output.shape == (samples, 10)
            expected = output if expected is None else expected
            assert numpy.abs(output - expected).max() <= 1e-13 * numpy.abs(expected).max(), grid
        assert numpy.abs(expected).min(axis=0).max() > 0


def bad_input():
    """Exit 2 on all ranks, every violation once in one message, nothing written; a run without them says what it would do."""
    with tempfile.TemporaryDirectory() as folder:
        model = f"{folder}/m.h5"
        figures(run(train, 1, "digits_mlp", *small, "--train.steps=2", f"--save-model={model}"))
        existing = pathlib.Path(folder) / "existing.h5"
        existing.write_text("precious")
        result = run(infer, 2, "digits_mlp", *small, f"--output={existing}", "--infer.batch=0", "--infer.sampels=3", "--grid.data=3")
        assert result.returncode == 2, result
        for text in ("load-model", "--overwrite", "infer.batch = 0", "did you mean infer.samples", "nearest valid grid is data=2"):
            assert result.stderr.count(text) == 1, (text, result.stderr)
        result = run(infer, 2, "digits_mlp", *small, f"--load-model={model}", "--infer.samples=204", "--infer.batch=8",
                     "--pipeline.microbatches=5", "--model.layer=flatten", "--model.layer=linear 16", "--model.layer=relu",
                     "--model.layer=linear 12", "--model.layer=relu", "--model.layer=linear 10")
        assert result.returncode == 2, result
        for text in ("the nearest is 203", "the nearest is 4", "linear1 weight has shape", "linear2 weight has shape",
                     "has no weight of this model's layer linear3", "has no bias of this model's layer linear3"):
            assert result.stderr.count(text) == 1, (text, result.stderr)
        for wrong, why in ((existing, "is not an HDF5 file"), (f"{folder}/none.h5", "cannot be read: No such file or directory"),
                           (folder, "is a directory")):
            result = run(infer, 2, "digits_mlp", *small, f"--load-model={wrong}", f"--sync.table={folder}/none.table")
            assert result.returncode == 2 and f"load-model = {wrong}: {why}\n" in result.stderr, result
            assert f"sync.table = {folder}/none.table: cannot be read: No such file or directory\n" in result.stderr, result
        for switch in ("--help", "--version", "--print-config"):
            assert run(infer, 1, "digits_mlp", switch).returncode == 0, switch
        result = run(infer, 4, "digits_mlp", *small, f"--load-model={model}", "--grid.pipeline=2", "--grid.tensor=2", "--dry-run",
                     "--print-program=0", f"--output={folder}/never.h5")
        assert result.returncode == 0 and "stage 1, tensor rank 1" in result.stdout, result
        assert "event model of a step" in result.stdout, result.stdout
        assert "gradients 0, optimizer state 0" in result.stdout and "backward" not in result.stdout, result.stdout
        assert existing.read_text() == "precious"
        assert sorted(p.name for p in pathlib.Path(folder).iterdir()) == ["existing.h5", "m.h5"]


{"grids": check_grids, "regression": regression, "bad_input": bad_input}[part]()
print("ok")
