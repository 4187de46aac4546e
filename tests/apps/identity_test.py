"""Repetitions are told apart by contents, not by where these lie: the same data set, model and table in another folder make the same
run; another content under the same path makes another.

usage: identity_test.py MPIEXEC PARTITA_TRAIN PARTITA_DATA PARTITA_COMPARE SOURCE_FOLDER
"""
import os
import json
import pathlib
import shutil
import sys
import tempfile

sys.path.append(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import jobs

mpiexec, train_program, data, compare, source = sys.argv[1:6]


def run(*command, code=0):
    done = jobs.run(command)
    assert done.returncode == code, (command, done.returncode, done.stdout, done.stderr)
    return done.stdout + done.stderr


def train(output, home, *words, ranks=1):
    run(*([mpiexec, "-n", ranks] if ranks > 1 else []), train_program, "--config", f"{source}/inputs/runs/digits_mlp.ini",
        "--data.name=set", f"--data.dir={home}", "--train.steps=8", "--train.batch=20", f"--output={output}", *words)
    return output


with tempfile.TemporaryDirectory() as scratch:
    folder = pathlib.Path(scratch)
    here, there = folder / "here", folder / "there"
    here.mkdir()
    run(data, "generate", "--output", here / "set", "--train-samples", "200", "--test-samples", "50")
    shutil.copy(f"{source}/inputs/machines/all_reduce.table", here / "my.table")
    train(folder / "before.h5", here, f"--save-model={here}/model.h5")
    shutil.copytree(here, there)
    one, two, three = (train(folder / f"{home.name}{ranks}.h5", home, f"--load-model={home}/model.h5", f"--sync.table={home}/my.table",
                             *more, ranks=ranks)
                       for home, ranks, more in ((here, 1, ()), (there, 1, ("--log.mlperf=true", "--infer.batch=7")), (there, 2, ())))

    table = run(compare, f"group={one},{two}", three, "--no-gate")
    assert "speed-up" in table and "load-model" not in table and "data.dir" not in table, table
    # Whether a checkpoint is due is asked at every step, which is traffic, though none ever be.
    due = train(folder / "due.h5", there, f"--load-model={there}/model.h5", f"--sync.table={there}/my.table",
                "--checkpoint.seconds=1000", ranks=2)
    shown = run(compare, three, due, "--metric=payload_bytes")
    assert "checkpoint.seconds" in shown and "incomparable" in shown, shown
    assert "checkpoint.seconds" in run(compare, f"group={three},{due}", one, code=2)
    # What a run does not use tells no repetition apart: passes beside a number of steps, what belongs to another schedule of the
    # learning rate or another mode, how stages and ranks work together on the only one.
    idle = train(folder / "idle.h5", there, f"--load-model={there}/model.h5", "--train.epochs=7", "--train.gamma=0.5", "--train.grains=4",
                 "--pipeline.schedule=gpipe", "--sync.algorithm=ring")
    assert "configured" not in run(compare, f"group={one},{idle}", two, "--no-gate")
    # Under the same path, another model; a key that changes times besides the grid.
    train(folder / "after.h5", here, f"--save-model={here}/model.h5", "--overwrite", "--train.learning-rate=0.02")
    other = train(folder / "other.h5", here, f"--load-model={here}/model.h5", f"--sync.table={here}/my.table")
    message = run(compare, f"group={one},{other}", three, code=2)
    assert "load_model_hash" in message and "load-model:" not in message, message
    small = train(folder / "small.h5", here, "--sync.bucket-bytes=4096", ranks=2)
    table = run(compare, folder / "before.h5", small, "--no-gate")
    assert "no table of scaling: besides the grid, these differ: sync.bucket-bytes\n" in table, table
    document = json.loads(run(compare, folder / "before.h5", small, "--no-gate", "--format=json"))
    assert document["scaling"] == [] and document["scaling_obstacles"] == ["sync.bucket-bytes"], document
print("all hold")
