"""partita-train and partita-infer with CUDA kernels as a user runs them: the model, the result file, checkpoints and errors.

On a device, or with programs whose kernels are executed on the host. Ends with 77 (skipped) where there is no device.

Usage: cuda_test.py MPIEXEC PARTITA_TRAIN PARTITA_INFER SOURCE_FOLDER
"""
import os
import pathlib
import shutil
import sys
import tempfile

import h5py
import numpy

sys.path.append(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import jobs

mpiexec, train, infer, source = sys.argv[1:5]
runs = pathlib.Path(source) / "inputs" / "runs"
small = ("--data.train-samples=96", "--data.test-samples=40", "--train.batch=24", "--train.steps=6", "--train.epochs=2",
         "--evaluate.every=1")


def run(program, ranks, config, *arguments, backend="cuda", expect=0):
    command = [mpiexec, "-n", str(ranks), program, f"--config={runs / config}.ini", f"--compute.backend={backend}", *arguments]
    result = jobs.run(command)
    if "no CUDA device" in result.stderr:
        print(f"skipped: {result.stderr.strip()}")
        sys.exit(77)
    assert result.returncode == expect, (command, result)
    return result


def tensors(path):
    with h5py.File(path) as file:
        found = {}
        file["parameters"].visititems(lambda name, item: found.update({name: item[:]}) if isinstance(item, h5py.Dataset) else None)
    return found


def close(path, other, tolerance):
    a, b = tensors(path), tensors(other)
    assert a.keys() == b.keys() and a
    for name in a:
        assert numpy.allclose(a[name], b[name], rtol=0, atol=tolerance), (name, numpy.abs(a[name] - b[name]).max())


def check_result(path, ranks, way):
    with h5py.File(path) as file:
        assert file.attrs["status"] == b"complete"
        environment = file["environment"]
        entries = dict(environment.attrs)
        assert entries["backend"] == b"cuda" and entries["gemm"] == b"auto" and entries["mpi_reaches_device_memory"] == b"no", entries
        device = set(environment["device"][:])
        assert len(device) == 1 and b"(" in device.pop()
        steps = file["steps"]
        spanned = sum(steps["phase"][name][:].sum() for name in steps["phase"])
        assert 0.99 <= spanned / steps["rank_seconds"][:].sum() <= 1.01, spanned
        for name in ("load", "forward", "backward", "update"):
            assert (steps["phase"][name][:] > 0).all(), name
        traffic = file["traffic"]
        trained = traffic["activity"][:] == b"train"
        staged, sent, read = (traffic[name][:][trained].sum() for name in ("staged_bytes", "wire_bytes", "window_bytes_read"))
        assert entries.get("device_messages", b"") == (way.encode() if ranks > 1 else b""), entries
        assert (staged > 0) == (ranks > 1 and way == "staged"), staged
        assert ranks == 1 or way == "staged" or (sent == 0 and read > 0), (sent, read)
        return steps["loss"][:]


with tempfile.TemporaryDirectory() as name:
    folder = pathlib.Path(name)
    for config, grids in (("digits_mlp", ((), ("--grid.data=2",), ("--grid.tensor=2",))), ("digits_cnn", (("--grid.pipeline=2",),))):
        run(train, 1, config, *small, f"--output={folder}/cpu.h5", f"--save-model={folder}/cpu_model.h5", "--overwrite", backend="cpu")
        with h5py.File(folder / "cpu.h5") as file:
            losses, accuracy = file["steps/loss"][:], file["epochs/test_accuracy"][:]
        for grid in grids:
            ranks = 2 if grid else 1
            for way in ("ipc", "staged") if grid else ("ipc",):
                messages = ("--sync.device-messages=staged",) if way == "staged" else ()  # ipc is what auto finds
                run(train, ranks, config, *small, *grid, *messages, f"--output={folder}/gpu.h5",
                    f"--save-model={folder}/gpu_model.h5", "--overwrite")
                assert numpy.allclose(check_result(folder / "gpu.h5", ranks, way), losses, rtol=1e-4), grid
                close(folder / "gpu_model.h5", folder / "cpu_model.h5", 1e-4)
                with h5py.File(folder / "gpu.h5") as file:
                    assert numpy.abs(file["epochs/test_accuracy"][:] - accuracy).max() <= 1 / 40 + 1e-9
    # What the host reduces is staged, and the result says so.
    run(train, 2, "digits_mlp", *small, "--grid.data=2", "--train.deterministic=true", f"--output={folder}/same_bits.h5")
    with h5py.File(folder / "same_bits.h5") as file:
        assert file["environment"].attrs["device_messages"] == b"ipc, all-reduces staged"
        assert file["traffic"]["staged_bytes"][:].sum() > 0
    # The timeline has every instruction of the step.
    run(train, 2, "digits_mlp", *small, "--grid.data=2", "--timeline.first=2", "--timeline.steps=1", f"--output={folder}/timed.h5")
    with h5py.File(folder / "timed.h5") as file:
        timeline = file["timeline"]
        begin, end = timeline["start_seconds"][:], timeline["end_seconds"][:]
        for rank in (0, 1):
            mine = (timeline["rank"][:] == rank) & (timeline["queue"][:] == b"compute")
            assert mine.sum() == 14 and (begin[mine][1:] >= end[mine][:-1] - 1e-9).all() and (end[mine] >= begin[mine]).all()
    # A run that is cut off after its third step goes on to the same bits.
    checkpointed = (*small, "--grid.data=2", "--checkpoint.every=3", f"--output={folder}/run.h5", "--resume")
    run(train, 2, "digits_mlp", *checkpointed, f"--save-model={folder}/whole.h5")
    (folder / "run.h5").unlink()
    shutil.rmtree(folder / "run.checkpoints" / "step-6")
    again = run(train, 2, "digits_mlp", *checkpointed, f"--save-model={folder}/resumed.h5")
    assert "step 3" in again.stderr or "step-3" in again.stderr, again
    whole, resumed = tensors(folder / "whole.h5"), tensors(folder / "resumed.h5")
    assert all((whole[name] == resumed[name]).all() for name in whole)
    # Inference: what the CPU infers.
    for backend in ("cpu", "cuda"):
        run(infer, 2, "digits_mlp", "--grid.tensor=2", "--data.test-samples=40", "--infer.repetitions=1",
            f"--load-model={folder}/whole.h5", f"--output={folder}/{backend}_inferred.h5", backend=backend)
    with h5py.File(folder / "cpu_inferred.h5") as a, h5py.File(folder / "cuda_inferred.h5") as b:
        names = [n for n in a["inference"] if n.startswith("predict")]
        assert names and all((a["inference"][n][:] == b["inference"][n][:]).all() for n in names), names
    # What cannot be is named.
    wrong = run(train, 1, "digits_mlp", "--compute.gemm=fastest", "--train.precision=fp64", expect=2)
    assert "compute.gemm = fastest: is no kernel of the family for train.precision=fp64; it has auto" in wrong.stderr, wrong
    assert "train.precision = fp64: the cuda kernels compute in fp32, tf32 or bf16" in wrong.stderr, wrong
    if train.endswith("-on-host"):
        wrong = run(train, 1, "digits_mlp", "--compute.gemm=cublas", expect=2)
        assert "compute.gemm = cublas: cannot be used: built without cuBLASLt" in wrong.stderr, wrong
    shared = (*small, "--grid.data=2", "--sync.device-messages=ipc")
    wrong = run(train, 2, "digits_mlp", *shared, "--sync.algorithm=mpi", expect=2)
    assert "sync.device-messages = ipc: excludes sync.algorithm=mpi" in wrong.stderr, wrong
    wrong = run(train, 2, "digits_mlp", *shared, "--sync.ranks-per-node=1", expect=2)
    assert "sync.device-messages = ipc: needs the ranks of an axis on one node, but data spans several" in wrong.stderr, wrong
    wrong = run(train, 1, "digits_mlp", "--sync.device-messages=direct", expect=2)
    assert "sync.device-messages = direct: needs an MPI library that reaches the memory of devices" in wrong.stderr, wrong
    lost = run(train, 1, "digits_mlp", *small, "--train.learning-rate=1e30", f"--output={folder}/lost.h5", expect=1)
    assert "STATUS: FAIL" in lost.stdout and "is the first that is not finite" in lost.stdout + lost.stderr, lost
print("ok")
