"""Paths that cannot be read or written as a user means them: locks of other processes, read-only folders, links that lead nowhere,
folders, pipes, devices, a folder that goes away during the run. Programs say so, end with the right code, and leave old files.

usage: awkward_paths.py PARTITA_TRAIN PARTITA_COMPARE WRITE_SAMPLE SOURCE_FOLDER; exit 77 without h5py.
"""
import fcntl
import os
import pathlib
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

train, compare, write_sample, source = map(os.path.abspath, sys.argv[1:5])
TRAIN = [train, "--config", f"{source}/inputs/runs/digits_mlp.ini", "--data.train-samples=200", "--data.test-samples=50",
         "--train.epochs=1"]


def run(command, code, *words, preexec_fn=None, **environment):
    done = jobs.run(command, env=dict(os.environ, **environment), preexec_fn=preexec_fn)
    said = f"{command[0]} {command[-1]}: exit {done.returncode}\n{done.stdout}{done.stderr}"
    assert done.returncode == code, said
    for word in words:
        assert word in done.stderr, f"{word!r} is missing: {said}"


def unchanged(path, before):
    assert path.read_bytes() == before, path
    assert not list(path.parent.glob(".*.partial")), "a temporary file is left"


def locks(one, two):
    before = one.read_bytes()
    with open(one, "rb") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        run([compare, one, two], 2, str(one), "HDF5_USE_FILE_LOCKING")
        run([*TRAIN, "--overwrite", f"--output={one}"], 2, "output", "HDF5_USE_FILE_LOCKING")
        run([*TRAIN, "--overwrite", f"--save-model={one}"], 2, "save-model", "HDF5_USE_FILE_LOCKING")
        run([*TRAIN, f"--load-model={one}"], 2, str(one), "HDF5_USE_FILE_LOCKING")
        unchanged(one, before)
        run([compare, one, two, "--no-gate"], 0, HDF5_USE_FILE_LOCKING="FALSE")
    with h5py.File(one, "r"):  # another reader is no obstacle, to reading or to replacing
        run([compare, one, two, "--no-gate"], 0)
        run([*TRAIN, "--overwrite", f"--output={one}"], 0)
        one.write_bytes(before)
    with h5py.File(one, "r+", libver=("v110", "v110")):
        run([compare, one, two], 2, str(one), "HDF5_USE_FILE_LOCKING")
        run([compare, one, two], 2, str(one), "h5clear", HDF5_USE_FILE_LOCKING="FALSE")
    run([compare, one, two, "--no-gate"], 0)
    with h5py.File(one, "r+") as file:  # a note of a user's own is no damage
        file.attrs["note"] = "the one with the new switch"
    run([compare, one, two, "--no-gate"], 0)
    with h5py.File(one, "r+") as file:
        file["steps/seconds"][3] *= 0.5
    run([compare, one, two], 2, "/steps/seconds does not hold the values that were written")
    one.write_bytes(before)


def special_files(folder, one):
    os.mkfifo(folder / "pipe")
    (folder / "folder").mkdir()
    (folder / "nowhere").symlink_to(folder / "absent.h5")
    for path in ("pipe", "folder", "/dev/null", "/dev/full", "nowhere", "absent/r.h5"):
        path = folder / path
        reason = "absent" if "nowhere" in str(path) else "does not exist" if "absent" in str(path) else "regular file"
        for key in ("output", "save-model"):
            run([*TRAIN, "--overwrite", f"--{key}={path}"], 2, key, str(path), reason)
        run([compare, one, path], 2, str(path))
    assert os.readlink(folder / "nowhere") == str(folder / "absent.h5") and not (folder / "absent.h5").exists()
    run([*TRAIN, "--config=/dev/zero"], 2, "is given twice")
    run([train, "--config=/dev/zero"], 2, "/dev/zero", "1 MiB")
    run([*TRAIN, "--sync.table=/dev/zero"], 2, "/dev/zero")
    run([*TRAIN, f"--load-model={folder}/pipe"], 2, "pipe")


def links(folder, one):
    before = one.read_bytes()
    (folder / "latest.h5").symlink_to(one)
    run([*TRAIN, f"--output={folder}/latest.h5"], 2, "--overwrite")
    unchanged(one, before)
    run([*TRAIN, "--overwrite", f"--output={folder}/latest.h5"], 0)
    assert (folder / "latest.h5").is_symlink() and one.read_bytes() != before, "the target is replaced, not the link"
    one.write_bytes(before)


def read_only_folder(folder, one, two):
    closed = folder / "closed"
    closed.mkdir()
    shutil.copy(one, closed / "r.h5")
    before = (closed / "r.h5").read_bytes()
    closed.chmod(0o555)
    folder.chmod(0o755)
    nobody = None
    if os.geteuid() == 0:  # whom no permission stops
        nobody = lambda: (os.setgroups([]), os.setgid(65534), os.setuid(65534))
        try:
            runs = subprocess.run([train, "--version"], preexec_fn=nobody, capture_output=True).returncode == 0
        except PermissionError:  # a checkout below a folder that is root's alone
            runs = False
        if not runs:
            print("not shown: read-only folders (another user cannot run the programs here)")
            return
    for name in ("r.h5", "new.h5"):
        run([*TRAIN, "--overwrite", f"--output={closed}/{name}"], 2, "output", "Permission denied", preexec_fn=nobody)
    unchanged(closed / "r.h5", before)
    run([compare, closed / "r.h5", two, "--no-gate"], 0, preexec_fn=nobody)
    assert [path.name for path in closed.iterdir()] == ["r.h5"]


def folder_that_vanishes(folder, two):
    going = folder / "going"
    going.mkdir()
    errors = open(folder / "errors", "w+")
    running = subprocess.Popen([*TRAIN[:-1], "--train.epochs=100000", f"--output={going}/r.h5"],
                               stdout=subprocess.DEVNULL, stderr=errors)
    try:
        jobs.wait_for("first snapshot", (going / "r.h5").exists, running)
        os.rename(going, folder / "gone")
        code = jobs.wait_for_end(running)
    finally:
        jobs.end(running)
    errors.seek(0)
    said = errors.read()
    assert code == 1 and "No such file or directory" in said and str(going) in said, (code, said)
    run([compare, folder / "gone/r.h5", two, "--force", "--no-gate"], 0, "status running")


with tempfile.TemporaryDirectory() as scratch:
    folder = pathlib.Path(scratch)
    one, two = folder / "one.h5", folder / "two.h5"
    for path in (one, two):
        subprocess.run([write_sample, path, "steps=45"], check=True)
    locks(one, two)
    special_files(folder, one)
    links(folder, one)
    read_only_folder(folder, one, two)
    folder_that_vanishes(folder, two)
print("all hold")
