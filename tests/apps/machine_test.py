"""A machine file has a say: another machine, another split; what is wrong with one is refused; results name it by its content.

usage: machine_test.py MPIEXEC PARTITA_TRAIN SOURCE_FOLDER
"""
import os
import pathlib
import re
import sys
import tempfile

import h5py

sys.path.append(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import jobs

mpiexec, train, source = sys.argv[1:4]
NET = ["--model.input=64", "--model.layer=linear 64", "--model.layer=tanh", "--model.layer=tanh", "--model.layer=tanh",
       "--model.layer=tanh", "--data.name=random", "--data.task=classification", "--data.features=64", "--data.classes=64",
       "--train.batch=1024", "--train.steps=1"]


def run(*words, ranks=2, code=0):
    done = jobs.run([mpiexec, "-n", ranks, train, *NET, *words])
    assert done.returncode == code, (words, done.returncode, done.stdout, done.stderr)
    return done.stdout + done.stderr


def layers_of(text):
    """Of each role: names and placements of its layers."""
    return [re.findall(r"^  (\w+\d\S*) .* (\w+)$", role, re.M) for role in text.split("\nstage ")[1:]]


with tempfile.TemporaryDirectory() as scratch:
    folder = pathlib.Path(scratch)
    shipped = pathlib.Path(source) / "inputs" / "machines" / "default.machine"

    def machine(name, text):
        (folder / name).write_text(text)
        return f"--machine={folder / name}"

    copy = machine("copy", shipped.read_text() + "# the same\n")
    slow = machine("slow", "compute flops_per_second=1e6\nmemory level=main bytes_per_second=1e9\n"
                           "link latency_seconds=1e-6 bytes_per_second=1e9\n")
    far = machine("far", "compute flops_per_second=1e12\nmemory level=main bytes_per_second=1e12\n"
                         "link latency_seconds=1 bytes_per_second=1e3\n")
    caches = machine("caches", shipped.read_text() + "memory level=cache bytes_per_second=1e6\n")

    # Where computing is dear layers are cut, where talking is they are not.
    tensor = ["--grid.tensor=2", "--dry-run"]
    assert layers_of(run(*tensor)) == layers_of(run(*tensor, copy))
    assert all(placement not in ("replicated", "lazy") for role in layers_of(run(*tensor, slow)) for _, placement in role)
    assert all(placement == "replicated" for role in layers_of(run(*tensor, far)) for _, placement in role)
    # By FLOPs alone the linear layer is a stage; where caches are slow an element-wise one takes nearly as long.
    stages = ["--grid.pipeline=2", "--dry-run"]
    whole, weighed = layers_of(run(*stages)), layers_of(run(*stages, caches))
    assert len(whole) == len(weighed) == 2 and whole != weighed, (whole, weighed)

    # Everything that is wrong, before anything runs.
    wrong = machine("wrong", "compute flops_per_second=-1\nmemory level=moon bytes_per_second=1\n")
    text = run(wrong, "--train.momentum=2", code=2)
    for part in ("wrong, line 1 = ", "above 0, such as 10e9", "wrong, line 2 = ", "link latency_seconds=SECONDS bytes_per_second=RATE: is missing",
                 "train.momentum"):
        assert part in text, (part, text)
    small = machine("small", shipped.read_text() + "\nlevel name=node ranks=1\nmessage level=node min_bytes=0 latency_seconds=0 byte_seconds=0\n")
    assert "its level node has 1" in run(small, code=2)
    assert "cannot be read: No such file" in run(f"--machine={folder}/none", code=2)

    # A result names the machine by its content.
    hashes = []
    for name, words in (("one", ()), ("two", (copy,)), ("three", (far,))):
        run(f"--output={folder}/{name}.h5", "--grid.tensor=2", *words)
        with h5py.File(folder / f"{name}.h5") as file:
            hashes.append((file.attrs["config_hash"], file["environment"].attrs["machine_hash"]))
    assert hashes[0] == hashes[1], hashes
    assert hashes[0][0] != hashes[2][0] and hashes[0][1] != hashes[2][1], hashes
print("all hold")
