"""Secure sums as a user meets them: bytes and memory by their closed forms, foreseen, predicted and recorded; lost steps; accuracy as with plain
sums; refusals.

Usage: secure_test.py MPIEXEC PARTITA_TRAIN PARTITA_SIMULATE PARTITA_PLAN SOURCE_FOLDER
"""
import os
import pathlib
import sys
import tempfile

import h5py

sys.path.append(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import jobs

mpiexec, train, simulate, plan, source = sys.argv[1:6]
run_file = f"--config={source}/inputs/runs/digits_mlp_secure.ini"
common = (run_file, "--train.epochs=1", "--train.batch=60", "--data.train-samples=1500", "--data.test-samples=500", "--sync.algorithm=ring")
everything, ranks = 101770, 3  # parameters of 784-128-10, in one bucket


def run(*arguments, ranks=ranks):
    return jobs.run([mpiexec, "-n", ranks, train, *arguments])


def sum_of(file, activity, purpose, column="wire_bytes", operation="all_reduce"):
    traffic = file["traffic"]
    words = [traffic[name].asstr()[:] for name in ("activity", "purpose", "operation")]
    return sum(int(traffic[column][i]) for i, row in enumerate(zip(*words)) if row == (activity, purpose, operation))


with tempfile.TemporaryDirectory() as folder:
    folder = pathlib.Path(folder)

    def figures_of(name):
        with h5py.File(folder / name) as file:
            return dict(zip(file["figures/name"].asstr()[:], file["figures/value"][:]))

    # Every step in the open and in secret: the same accuracy but for a sample of 500 that rounding may decide.
    for name, keys in (("plain", ("--sync.secure=false",)), ("secure", ())):
        result = run(*common, *keys, "--timeline.first=1", "--timeline.steps=1", f"--output={folder}/{name}.h5")
        assert result.returncode == 0, result
    plain, secure = figures_of("plain.h5"), figures_of("secure.h5")
    assert abs(plain["test_accuracy"] - secure["test_accuracy"]) <= 0.002 and plain["test_accuracy"] > 0.5, (plain, secure)
    assert abs(plain["train_loss"] - secure["train_loss"]) < 1e-4, (plain, secure)
    assert secure["lost_steps"] == 0 and secure["encode_time"] > 0 and secure["decode_time"] > 0 and "lost_steps" not in plain, secure
    assert secure["coded_bytes"] == secure["dense_bytes"], secure

    # Bytes of all ranks: gradients as in the open, 40 bytes of losses in place of 16, a public key to all others; predicted alike.
    result = jobs.run([simulate, *common, f"--ranks={ranks}", f"--output={folder}/predicted.h5"])
    assert result.returncode == 0, result
    with h5py.File(folder / "plain.h5") as open_sums, h5py.File(folder / "secure.h5") as file, h5py.File(folder / "predicted.h5") as predicted:
        steps = len(file["steps/step"])
        ring = 2 * (ranks - 1) * 4 * everything * steps
        assert sum_of(file, "train", "gradient") == sum_of(predicted, "train", "gradient") == sum_of(open_sums, "train", "gradient") == ring
        assert sum_of(file, "train", "metric") == sum_of(predicted, "train", "metric") == 2 * (ranks - 1) * 40 * steps
        assert sum_of(file, "setup", "gradient", operation="all_gather") == ranks * (ranks - 1) * 32
        assert sum_of(open_sums, "setup", "gradient", operation="all_gather") == 0
        for column in file["memory"]:
            assert (file["memory"][column][:] == predicted["memory"][column][:]).all(), column
        assert (file["memory/gradients"][:] == 4 * everything).all() and "codec_state" not in file["memory"]
        assert file.attrs["algorithm"].decode() == "secure", file.attrs["algorithm"]
        kinds = list(file["timeline/kind"].asstr()[:])
        assert kinds.count("encode") == kinds.count("decode") == 2 * ranks, kinds  # of gradients and of losses

    # What a user is told before; delayed messages are kept from step to step.
    text = run(*common, "--sync.delay=1", "--dry-run", "--print-program=0").stdout
    assert f"codec state {2 * 4 * everything}" in text and "secure sums: 64 bytes of public keys sent at the start" in text, text
    assert "at most 42.6667 over data" in text and "sum of int32 by ring" in text and "sum of int64 by ring" in text, text

    # In each step an element is too large: nothing is trained, and said so.
    result = run(*common, "--sync.secure-bits=29", "--train.steps=8", "--evaluate.every=0", "--train.learning-rate=1000", f"--output={folder}/lost.h5")
    assert result.returncode == 0, result
    lost = figures_of("lost.h5")["lost_steps"]
    assert 1 <= lost <= 8, lost

    # Refusals, all at once, with what is nearest.
    result = run(run_file, "--sync.secure-bits=30", "--sync.secure=yes", ranks=2)
    assert result.returncode == 2, result
    for line in ("sync.secure-bits = 30: must be a whole number from 0 to 29; the nearest is 29", "sync.secure = yes: must be true or false"):
        assert line in result.stderr, (line, result)
    result = run(run_file, "--sync.compress=int8", "--sync.local.period=4", "--train.deterministic=true", "--train.grains=2", ranks=2)
    assert result.returncode == 2, result
    for line in ("sync.secure = true: needs groups of at least 3 data ranks, here they have 2", "sync.secure = true: excludes sync.compress=int8",
                 "sync.secure = true: excludes train.deterministic=true", "sync.secure = true: excludes sync.local.period"):
        assert line in result.stderr, (line, result)
    result = run(run_file, "--train.batch=50", "--data.train-samples=101", "--auto.replan=true", "--dry-run")
    assert result.returncode == 2, result
    for line in ("train.batch = 50: leaves a step of 1 sample, of which 1 data rank has any: sync.secure hides gradients among those of at least 3; the nearest is 51, "
                 "or data.train-samples=100", "auto.replan = true: excludes sync.secure: another split may have fewer than 3 data ranks"):
        assert line in result.stderr, (line, result)
    result = run(run_file, "--sync.secure-bits=29", ranks=4)
    assert result.returncode == 2 and "sync.secure-bits = 29: leaves no room" in result.stderr and "the nearest is 28" in result.stderr, result
    result = run(f"--config={source}/inputs/runs/digits_cnn_batchnorm.ini", "--sync.secure=true")
    assert result.returncode == 2 and "sync.secure = true: excludes batchnorm1, whose statistics data ranks add up in the open" in result.stderr, result
    for command, what in (([mpiexec, "-n", ranks, train, run_file, "--strategy=auto"], "strategy=auto"), ([plan, run_file, "--ranks=4"], "partita-plan")):
        result = jobs.run(command)
        assert result.returncode == 2 and f"sync.secure = true: excludes {what}, which also tries fewer than 3 data ranks" in result.stderr, result
