"""Paths that cannot be used end every program with 2 and their name: loops of links, names that are too long, folders that may not be
searched, files where a folder should be. And no question about a path in the code can throw.

usage: paths_test.py BIN_FOLDER SOURCE_FOLDER
"""
import os
import pathlib
import re
import sys
import tempfile

sys.path.append(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import jobs

programs, source = map(os.path.abspath, sys.argv[1:3])
QUESTIONS = r"(?:fs|filesystem)::(?:exists|is_directory|is_regular_file|is_symlink|is_empty|status|symlink_status|absolute|canonical|" \
            r"weakly_canonical|equivalent|read_symlink|directory_iterator [a-z]+|directory_iterator|create_directory|create_directories|remove|" \
            r"remove_all|rename|file_size|relative|proximate|copy|copy_file|resize_file|last_write_time|permissions|space|current_path)\("
OF_TWO = ("equivalent", "rename", "relative", "proximate", "copy", "copy_file")  # without what tells of an error


def arguments_of(call):
    """The text between the parentheses that `call` begins with, cut at its own commas."""
    parts, depth = [""], 0
    for letter in call:
        depth += (letter in "([{") - (letter in ")]}")
        if depth == 0:
            return parts
        if letter == "," and depth == 1:
            parts.append("")
        elif depth > 1 or letter != "(":
            parts[-1] += letter
    return parts


def check_code():
    for folder in ("apps", "lib"):
        for path in pathlib.Path(source, folder).rglob("*.?pp"):
            text = path.read_text()
            for found in re.finditer(QUESTIONS, text):
                arguments = arguments_of(text[found.end() - 1:])
                line = text.count("\n", 0, found.start()) + 1
                # Of a status that is known, nothing is asked of the system.
                least = 2 if re.search(r"\w+", found.group().rpartition(":")[2]).group() in OF_TWO else 1
                assert len(arguments) > least or "status" in arguments[0], f"{path}:{line}: may throw: use base/paths.hpp or an error_code"


def check_programs():
    long, deep = "x" * 300, "/".join(["y" * 200] * 25)
    os.symlink("loop", "loop")
    pathlib.Path("plain").write_text("x")
    pathlib.Path("closed").mkdir()
    pathlib.Path("closed/f").write_text("x")
    os.chmod("closed", 0)
    paths = ["loop", long, deep, "plain/f", "loop/f", "closed/f"]
    if os.geteuid() == 0:  # whom no permission stops
        paths.remove("closed/f")
    train = ["partita-train", "--config", f"{source}/inputs/runs/digits_mlp.ini", "--train.steps=1"]
    commands = [[*train, f"--{key}=@"] for key in ("output", "save-model", "load-model", "model.file", "sync.table", "machine", "virtual-clock", "checkpoint.dir")]
    commands += [["partita-train", "--config=@"], [*train, "--data.name=set", "--data.dir=@"], [*train, "--output=@", "--resume"],
                 [*train, "--output=o.h5", "--save-model=@", "--resume"], [*train, "--output=o.h5", "--checkpoint.dir=@", "--resume"],
                 ["partita-infer", *train[1:], "--load-model=@"], ["partita-compare", "@", "@"], ["partita-compare", "g=@,plain", "h=@"],
                 ["partita-timeline", "@"], ["partita-data", "verify", "@"], ["partita-data", "generate", "--output", "@"],
                 ["partita-data", "fetch", "mnist", "--dir", "@", "--mirror", "file:///nonexistent"], ["partita-sweep", "--config", "@"],
                 ["partita-sweep", "--config", f"{source}/inputs/sweeps/digits_learning_rate_batch.ini", "--output", "@"],
                 ["partita-bench-comm", "--bytes=64", "--samples=1", "--table=@"],
                 ["partita-bench-comm", "--bytes=64", "--samples=1", "--output=@"],
                 ["partita-calibrate", "--quick", "--budget=1", "--output=@"]]
    for i, command in enumerate(commands):
        for path in (paths[i % len(paths)], paths[(i + 2) % len(paths)]):  # each kind of path with each kind of question
            words = [word.replace("@", path) for word in command]
            done = jobs.run([f"{programs}/{words[0]}", *words[1:]])
            told = path in done.stderr or path.split("/")[0] in done.stderr
            assert done.returncode == 2 and told, (command, path, done.returncode, done.stderr[-600:])
            assert "filesystem error" not in done.stderr, done.stderr[-600:]
    os.chmod("closed", 0o700)


check_code()
with tempfile.TemporaryDirectory() as scratch:
    os.chdir(scratch)
    check_programs()
    os.chdir("/")
print("all hold")
