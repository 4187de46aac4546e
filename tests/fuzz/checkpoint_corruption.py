"""Damaged checkpoints: each damage of a file is detected or harmless when it is read, and a training that goes on says which
checkpoint is damaged, takes the previous one, and ends with the parameters of a run that was never stopped.

usage: checkpoint_corruption.py PARTITA_TRAIN CORRUPTION SOURCE_FOLDER READS RUNS; exit 77 without h5py.
"""
import os
import pathlib
import random
import shutil
import subprocess
import sys
import tempfile

sys.path.append(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import jobs

try:
    import h5py
except ImportError:
    print("SKIP: no h5py here")
    sys.exit(77)

train, corruption, source = map(os.path.abspath, sys.argv[1:4])
reads, runs = map(int, sys.argv[4:6])


def run(folder, *arguments, code=0):
    command = [train, "--config", f"{source}/inputs/runs/digits_mlp.ini", "--data.train-samples=400", "--data.test-samples=50",
               "--train.momentum=0.9", "--evaluate.every=0", f"--checkpoint.dir={folder}/checkpoints", *arguments]
    done = jobs.run(command)
    assert done.returncode == code, f"{command}: exit {done.returncode}\n{done.stdout}{done.stderr}"
    return done.stderr


def parameters(path):
    values = {}
    with h5py.File(path) as file:
        file["parameters"].visititems(lambda name, item: values.update({name: item[...].tobytes()}) if hasattr(item, "shape") else None)
    assert values
    return values


def damage(path, draw):
    content = bytearray(path.read_bytes())
    way = draw.choice(["bit", "bits", "cut", "zeros", "empty", "removed"])
    if way in ("bit", "bits"):
        for _ in range(1 if way == "bit" else 40):
            content[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
    elif way == "zeros":
        at = draw.randrange(len(content))
        content[at : at + 4096] = bytes(len(content[at : at + 4096]))
    elif way != "removed":
        content = content[: draw.randrange(len(content)) if way == "cut" else 0]
    path.unlink()
    if way != "removed":
        path.write_bytes(content)
    return way


with tempfile.TemporaryDirectory() as scratch:
    root = pathlib.Path(scratch)
    whole, again = root / "whole", root / "again"
    whole.mkdir()
    run(whole, "--train.steps=16", f"--save-model={whole}/model.h5")
    expected = parameters(whole / "model.h5")
    run(whole, "--train.steps=12", "--checkpoint.every=4", "--checkpoint.keep=3")
    steps = sorted(path.name for path in (whole / "checkpoints").iterdir())
    assert "step-12" in steps and "step-8" in steps, steps
    subprocess.run([corruption, str(reads), "11", "", whole / "checkpoints/step-12"], check=True)

    draw = random.Random(5)
    files = sorted(path.name for path in (whole / "checkpoints/step-12").iterdir())
    went_on_from = {}
    for i in range(runs):
        shutil.copytree(whole, again)
        name = files[i % len(files)]
        way = damage(again / "checkpoints/step-12" / name, draw)
        said = run(again, "--resume", "--train.steps=16", f"--save-model={again}/resumed.h5")
        step = next(n for n in (12, 8, 4) if f"going on from step {n} " in said)
        case = f"{name} {way}: {said}"
        # Without its manifest a checkpoint was never committed; any other damage is told.
        assert step == 12 or name == "manifest.h5" and way == "removed" or "the checkpoint of step 12 is damaged: " in said, case
        assert step != 12 or way not in ("cut", "empty", "removed"), case
        assert parameters(again / "resumed.h5") == expected, case
        went_on_from[step] = went_on_from.get(step, 0) + 1
        shutil.rmtree(again)
    assert went_on_from.get(8), went_on_from

    shutil.copytree(whole, again)
    for folder in (again / "checkpoints").iterdir():
        (folder / "manifest.h5").write_bytes(b"no HDF5")
    said = run(again, "--resume", "--train.steps=16", code=1)
    assert "holds no checkpoint that is whole" in said, said
print(f"{runs} trainings went on with the parameters of a run that was not stopped, from step: {went_on_from}")
