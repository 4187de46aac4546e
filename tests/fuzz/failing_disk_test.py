"""A disk that is full at any 64 KiB of what is written, or that fails in open, write, fsync, close or rename: programs end with
code 1 and name the file and the cause, what was there before stays whole, and no temporary file is left.

usage: failing_disk_test.py SHIM WRITE_SAMPLE PARTITA_TRAIN CORRUPTION SOURCE_FOLDER fast|full
"""
import errno
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

sys.path.append(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import jobs

shim, write_sample, train, corruption, source = map(os.path.abspath, sys.argv[1:6])
full = sys.argv[6] == "full"
step = 64 << 10
counts, checkpoint_counts = {}, {}


def failing(folder, command, call, code, at, report=""):
    environment = dict(os.environ, LD_PRELOAD=shim, FAILING_FOLDER=str(folder), FAILING_CALL=call, FAILING_ERRNO=str(code),
                       FAILING_AT=str(at), FAILING_REPORT=report)
    return jobs.run(command, env=environment)


def content(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def is_whole(path):
    kind = "model" if "model" in path.name else "result"
    return subprocess.run([corruption, "--read", kind, path], capture_output=True, text=True).stdout.endswith(": is read\n")


def check(name, folder, command, call, code, at):
    """Runs with the fault; the files of before must be there, unchanged or replaced by whole ones."""
    before = content(folder)
    done = failing(folder, command, call, code, at)
    said = f"{name}, {call} {errno.errorcode[code]} at {at}: exit {done.returncode}\n{done.stderr}"
    assert done.returncode == 1, said
    assert os.strerror(code) in done.stderr and str(folder) in done.stderr, said
    after = content(folder)
    assert after.keys() == before.keys(), f"{said}\nleft over or lost: {after.keys() ^ before.keys()}"
    changed = [path for path in after if after[path] != before[path]]
    assert all(is_whole(folder / path) for path in changed), f"{said}\ntorn: {changed}"
    if name != "train" and call != "fsync-folder":  # a run leaves its earlier snapshots
        assert not changed, f"{said}\nchanged: {changed}"
    for path in changed:
        (folder / path).write_bytes(before[path])
    counts[name, call] = counts.get((name, call), 0) + 1


def check_checkpoints(scratch, call, code, at):
    """Where only the checkpoints' disk fails, the training goes on and says which were not written."""
    folder = pathlib.Path(scratch, "checkpoints")
    command = [train, "--config", f"{source}/inputs/runs/digits_mlp.ini", "--data.train-samples=400", "--data.test-samples=50",
               "--train.momentum=0.9", "--evaluate.every=0", "--train.steps=12", "--checkpoint.every=4", "--checkpoint.keep=9",
               f"--checkpoint.dir={folder}"]
    report = os.path.join(scratch, "written-checkpoint")
    done = failing(folder, command, call, code, at, report)
    said = f"checkpoint, {call} {errno.errorcode.get(code)} at {at}: exit {done.returncode}\n{done.stderr}"
    assert done.returncode == 0, said
    acknowledged = [line.split()[3].rstrip(":") for line in done.stderr.splitlines() if " bytes in " in line]
    failed = [line for line in done.stderr.splitlines() if " FAILED: " in line]
    assert len(acknowledged) + len(failed) == 3, said
    assert all(os.strerror(code) in line for line in failed) and (failed or call == "none"), said
    left = [str(path) for path in folder.rglob("*.partial")]
    assert not left, f"{said}\nleft over: {left}"
    for step in folder.glob("step-*") if folder.exists() else []:
        whole = subprocess.run([corruption, "--read", "checkpoint", step], capture_output=True, text=True).stdout
        assert whole.endswith(": is read\n") or not (step / "manifest.h5").exists(), f"{said}\n{whole}"
    for step in acknowledged:
        assert (folder / f"step-{step}/manifest.h5").exists(), said
    if call != "none":
        checkpoint_counts[call] = checkpoint_counts.get(call, 0) + 1
    shutil.rmtree(folder, ignore_errors=True)
    return max(int(line) for line in open(report))


def check_all_checkpoints(scratch):
    total = check_checkpoints(scratch, "none", 0, 0)
    offsets = list(range(0, total, step))
    for at in offsets if full else offsets[5 :: len(offsets) // 2]:
        check_checkpoints(scratch, "write", errno.ENOSPC, at)
    if full:
        for at in (0, 1, 2, 5):
            for call, code in (("open", errno.EROFS), ("fsync", errno.EIO), ("close", errno.ENOSPC), ("rename", errno.ENOSPC),
                               ("fsync-folder", errno.EIO)):
                check_checkpoints(scratch, call, code, at)


with tempfile.TemporaryDirectory() as scratch:
    check_all_checkpoints(scratch)
    folder = pathlib.Path(scratch, "full")
    folder.mkdir()
    result, model = folder / "r.h5", folder / "model.h5"
    subprocess.run([write_sample, result], check=True)
    subprocess.run([write_sample, model, "model=100"], check=True)
    commands = {
        "result": [write_sample, result, "steps=20000"],
        "model": [write_sample, model, "model=300000"],
        "train": [train, "--config", f"{source}/inputs/runs/digits_mlp.ini", "--train.epochs=3", "--overwrite",
                  "--data.train-samples=2000", "--data.test-samples=200", f"--output={result}", f"--save-model={model}"],
    }
    for name, command in commands.items():
        before = content(folder)
        report = os.path.join(scratch, f"written-{name}")
        done = failing(folder, command, "none", 0, 0, report)
        assert done.returncode == 0, done.stderr
        total = max(int(line) for line in open(report))
        for path, bytes_before in before.items():
            (folder / path).write_bytes(bytes_before)
        offsets = list(range(0, total, step))
        assert len(offsets) >= 8 and total > 8 * step or name == "train", (name, total)
        if name == "train":
            offsets = [at + 8192 + 4096 for at in offsets]  # behind the trial of the paths, which is bad input
        chosen = offsets if full else offsets[:: max(1, len(offsets) // (2 if name == "train" else 4))]
        for at in chosen:
            if at < total:
                check(name, folder, command, "write", errno.ENOSPC, at)
        if name == "train" and not full:
            continue
        trials = 2 if name == "train" else 0
        locks = 3 if name == "train" else 0  # of both files and the folder of checkpoints
        check(name, folder, command, "write", errno.EDQUOT, total - 1)
        for call, codes in {"open": [errno.EROFS, errno.EACCES], "fsync": [errno.EIO, errno.ENOSPC],
                            "close": [errno.ENOSPC, errno.EDQUOT], "rename": [errno.ENOSPC, errno.EROFS],
                            "fsync-folder": [errno.EIO]}.items():
            for code in codes:
                before = {"open": locks + trials, "fsync": trials, "close": trials}.get(call, 0)
                check(name, folder, command, call, code, before)
for (name, call), n in sorted(counts.items()):
    print(f"{name:10} {call:14} {n:4} faults: exit 1, cause named, old files whole, nothing left over")
for call, n in sorted(checkpoint_counts.items()):
    print(f"checkpoint {call:14} {n:4} faults: told, the run goes on, acknowledged checkpoints whole, nothing left over")
