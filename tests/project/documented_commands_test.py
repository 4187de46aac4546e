"""The commands and programs of the documentation run, in the order of its pages, in a folder that looks like a checkout: first the
README's, then those of CONTRIBUTING.md and docs/*.md, which may read files that the README's commands have written.

Blocks marked bash are run line by line, blocks marked python as one program. Blocks marked console or py only show: commands for other
machines or of many minutes, programs for files of the reader's own.
Usage: documented_commands_test.py SOURCE_FOLDER BUILD_FOLDER
"""
import os
import pathlib
import re
import sys
import tempfile

sys.path.append(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import jobs

source, build = map(pathlib.Path, sys.argv[1:3])
# They build and test; this test is part of one of them, and the demo is a script of commands that run here too.
not_here = ("bash apps/demo.sh", "bash tests/run.sh")


def commands_of(page):
    for language, text in re.findall(r"^```(bash|python)\n(.*?)^```", page.read_text(), re.M | re.S):
        if language == "python":
            yield [sys.executable, "-c", text]
        else:
            lines = text.replace("\\\n", " ").splitlines()
            yield from (["bash", "-c", line] for line in lines if line.strip() and not line.startswith(not_here))


pages = [source / "README.md", source / "CONTRIBUTING.md", *sorted((source / "docs").glob("*.md"))]
commands = [(page, command) for page in pages for command in commands_of(page)]
assert len(commands) >= 20, commands
with tempfile.TemporaryDirectory() as folder:
    root = pathlib.Path(folder)
    for entry in source.iterdir():
        if entry.name not in ("build", "results", ".git"):
            (root / entry.name).symlink_to(entry)
    (root / "results").mkdir()
    (root / "build").mkdir()
    (root / "build" / "release").symlink_to(build)
    for page, command in commands:
        result = jobs.run(command, cwd=root)
        print("ok" if result.returncode == 0 else "FAIL", page.relative_to(source), command[-1].strip().splitlines()[0], flush=True)
        if result.returncode != 0:
            print(result.stdout, result.stderr)
            sys.exit(1)
