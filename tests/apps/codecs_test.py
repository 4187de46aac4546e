"""Gradients by codecs as a user meets them: bytes by their closed forms, memory as foreseen, predicted and recorded, figures that follow from
each other, refusals.

Usage: codecs_test.py MPIEXEC PARTITA_TRAIN PARTITA_SIMULATE PARTITA_COMPARE SOURCE_FOLDER
"""
import math
import os
import pathlib
import re
import shutil
import sys
import tempfile

import h5py

sys.path.append(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import jobs

mpiexec, train, simulate, compare, source = sys.argv[1:6]
steps = 8
common = (f"--config={source}/inputs/runs/digits_mlp.ini", "--data.train-samples=100", "--data.test-samples=20", "--train.batch=20", f"--train.steps={steps}",
          "--sync.algorithm=ring", "--sync.topk-ratio=0.02", "--sync.powersgd-rank=3", "--compute.threads=1")
# Weights and biases of 784-128-10, which make one bucket; matrices as rows and columns.
tensors, matrices = (128 * 784, 128, 10 * 128, 10), ((128, 784), (128, 1), (10, 128), (10, 1))
everything = sum(tensors)


def run(*arguments, ranks=1):
    launcher = [mpiexec, "-n", ranks] if ranks > 1 else []
    return jobs.run([*launcher, train, *common, *arguments])


def share(n, ranks, rank):
    return n * (rank + 1) // ranks - n * rank // ranks


def of_values(codec, n):
    return {"bf16": 2 * n, "fp16": 2 * n, "int8": n + 4, "sign": math.ceil(n / 8) + 4}[codec]


def ring(n, ranks):
    """Of float32, sent by all ranks together."""
    return 4 * 2 * (ranks - 1) * n


def sent(codec, ranks):
    """By all ranks in a step."""
    if codec == "none":
        return ring(everything, ranks)
    if codec == "topk":
        return ranks * (ranks - 1) * 8 * sum(math.ceil(0.02 * n) for n in tensors)
    if codec == "powersgd":
        small = [2 * 3 * (rows + columns) < rows * columns for rows, columns in matrices]
        left = sum(3 * rows if pays else rows * columns for pays, (rows, columns) in zip(small, matrices))
        return ring(left, ranks) + ring(sum(3 * columns for pays, (_, columns) in zip(small, matrices) if pays), ranks)
    if ranks == 2:
        return 2 * of_values(codec, everything)
    return 2 * (ranks - 1) * sum(of_values(codec, share(everything, ranks, rank)) for rank in range(ranks))


def kept(codec):
    """Of a rank, from step to step."""
    residual = 0 if codec in ("none", "bf16", "fp16") else 4 * everything
    return residual + {"fp16": 16, "powersgd": 4 * 3 * (784 + 128)}.get(codec, 0)


def gradient_bytes(file):
    traffic = file["traffic"]
    words = [traffic[name].asstr()[:] for name in ("activity", "purpose")]
    rows = [i for i, row in enumerate(zip(*words)) if row == ("train", "gradient")]
    assert not any(traffic["window_bytes_read"][i] for i in rows)
    return sum(int(traffic["wire_bytes"][i]) for i in rows)


with tempfile.TemporaryDirectory() as folder:
    folder = pathlib.Path(folder)
    for ranks in (2, 3):
        for codec in ("none", "bf16", "fp16", "int8", "sign", "topk", "powersgd"):
            name, keys = f"{codec}-{ranks}", (f"--sync.compress={codec}",)
            foreseen = re.search(r"codec state (\d+)", run(*keys, "--dry-run", ranks=ranks).stdout)
            assert (int(foreseen[1]) if foreseen else 0) == kept(codec), (name, foreseen)
            result = run(*keys, f"--output={folder}/{name}.h5", ranks=ranks)
            assert result.returncode == 0, result
            result = jobs.run([simulate, *common, *keys, f"--ranks={ranks}", f"--output={folder}/{name}-predicted.h5"])
            assert result.returncode == 0, result
            with h5py.File(folder / f"{name}.h5") as measured, h5py.File(folder / f"{name}-predicted.h5") as predicted:
                assert gradient_bytes(measured) == gradient_bytes(predicted) == steps * sent(codec, ranks), (name, gradient_bytes(measured), sent(codec, ranks))
                assert ("codec_state" in measured["memory"]) == (kept(codec) > 0), name
                for column in measured["memory"]:
                    assert (measured["memory"][column][:] == predicted["memory"][column][:]).all(), (name, column)
                if kept(codec):
                    assert (measured["memory/codec_state"][:] == kept(codec)).all(), name
                figures = dict(zip(measured["figures/name"].asstr()[:], measured["figures/value"][:]))
                assert ("break_even_bandwidth" in figures) == (codec != "none"), (name, figures)
                if codec != "none":
                    assert figures["break_even_bandwidth"] == (figures["dense_bytes"] - figures["coded_bytes"]) / (figures["encode_time"] + figures["decode_time"])
                    assert figures["encode_time"] > 0 and figures["coded_bytes"] < figures["dense_bytes"], (name, figures)
                    assert measured.attrs["algorithm"].decode() == codec, measured.attrs["algorithm"]

    # With error feedback and without; a codec of shares.
    for keys, expected in ((("--sync.compress=int8", "--sync.error-feedback=off"), 0), (("--sync.compress=bf16", "--sync.error-feedback=on"), 4 * everything),
                           (("--sync.compress=sign", "--sync.split=gradient"), 4 * everything)):
        foreseen = re.search(r"codec state (\d+)", run(*keys, "--dry-run", ranks=2).stdout)
        assert (int(foreseen[1]) if foreseen else 0) == expected, (keys, foreseen)
    assert "codec state" not in run("--sync.compress=int8", "--dry-run").stdout  # alone a rank sends nothing
    assert run("--sync.compress=topk", "--sync.split=state", "--dry-run").returncode == 0

    # Residuals of a checkpoint are a part of gradients: who keeps none would lose them.
    kept = folder / "kept"
    assert run("--sync.compress=topk", f"--checkpoint.dir={kept}", "--checkpoint.every=4", ranks=2).returncode == 0
    shutil.rmtree(max(kept.iterdir(), key=lambda path: int(re.sub(r"\D", "", path.name) or 0)))
    again = (f"--checkpoint.dir={kept}", "--resume")
    for keys, ranks in ((("--sync.compress=none",), 2), (("--sync.compress=bf16",), 2), (("--sync.compress=topk",), 1),
                        (("--sync.compress=topk", "--grid.data=1", "--grid.pipeline=2"), 2), (("--sync.compress=int8", "--sync.error-feedback=off"), 2)):
        result = run(*keys, *again, ranks=ranks)
        assert result.returncode == 2 and "those of sync.compress=topk in" in result.stderr and "would be lost" in result.stderr, (keys, result)
    assert run("--sync.compress=powersgd", *again, ranks=2).returncode == 0

    result = jobs.run([compare, folder / "none-2.h5", folder / "int8-2.h5", "--no-gate"])
    assert result.returncode == 0 and "sync.compress" in result.stdout + result.stderr, result

    # Refusals, all at once, with what is nearest.
    result = jobs.run([mpiexec, "-n", 2, train, common[0], "--sync.compress=int4", "--sync.topk-ratio=0", "--sync.powersgd-rank=0", "--sync.error-feedback=yes"])
    assert result.returncode == 2, result
    for line in ("sync.compress = int4: must be one of none | bf16 | fp16 | int8 | sign | topk | powersgd", "sync.topk-ratio = 0: must be a number above 0 to 1",
                 "sync.powersgd-rank = 0: must be a whole number from 1", "sync.error-feedback = yes: must be one of auto | on | off"):
        assert line in result.stderr, (line, result)
    for keys, refused in ((("--sync.compress=topk", "--sync.split=state"), "sync.compress = topk: excludes sync.split, of whose shares it has no codes; the nearest are int8 and sign"),
                          (("--sync.compress=int8", "--sync.split=state", "--grid.tensor=2", "--grid.data=2"), "sync.compress = int8: excludes sync.split with grid.tensor above 1"),
                          (("--sync.compress=sign", "--train.deterministic=true"), "sync.compress = sign: excludes train.deterministic=true"),
                          (("--sync.compress=powersgd", "--sync.powersgd-rank=56"), "sync.powersgd-rank = 56: makes no tensor of this model smaller; the nearest is 55")):
        result = jobs.run([mpiexec, "-n", 4 if "--grid.tensor=2" in keys else 2, train, common[0], *keys])
        assert result.returncode == 2 and refused in result.stderr, result
