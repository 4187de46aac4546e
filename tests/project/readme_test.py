"""Every folder has its row in the README, and every command and program text of it runs, in the order of the page, in a folder that looks
like a checkout.

Blocks marked bash are run line by line, blocks marked python as one program; console blocks show commands for other machines.
Usage: readme_test.py SOURCE_FOLDER BUILD_FOLDER
"""
import os
import pathlib
import re
import subprocess
import sys
import tempfile

sys.path.append(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import jobs

source, build = map(pathlib.Path, sys.argv[1:3])
page = (source / "README.md").read_text()
tracked = subprocess.run(["git", "-C", source, "ls-tree", "-d", "--name-only", "HEAD"], capture_output=True, text=True)
if tracked.returncode == 0:  # in an archive nobody knows which folders are the project's
    unnamed = [name for name in tracked.stdout.split() if name[0] != "." and not re.search(rf"^\| `{name}(/\w+)?` \|", page, re.M)]
    assert not unnamed, f"the table of folders lacks {unnamed}"
# They build and test; this test is part of one of them, and the demo is a script of commands that run here too.
not_here = ("bash apps/demo.sh", "bash tests/run.sh")
blocks = re.findall(r"^```(bash|python)\n(.*?)^```", page, re.M | re.S)
commands = []
for language, text in blocks:
    if language == "python":
        commands.append([sys.executable, "-c", text])
    else:
        lines = text.replace("\\\n", " ").splitlines()
        commands += [["bash", "-c", line] for line in lines if line.strip() and not line.startswith(not_here)]
assert len(commands) >= 5, commands
with tempfile.TemporaryDirectory() as folder:
    root = pathlib.Path(folder)
    for entry in source.iterdir():
        if entry.name not in ("build", "results", ".git"):
            (root / entry.name).symlink_to(entry)
    (root / "results").mkdir()
    (root / "build").mkdir()
    (root / "build" / "release").symlink_to(build)
    for command in commands:
        result = jobs.run(command, cwd=root)
        print("ok" if result.returncode == 0 else "FAIL", command[-1].strip().splitlines()[0])
        if result.returncode != 0:
            print(result.stdout, result.stderr)
            sys.exit(1)
