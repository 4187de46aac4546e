"""The commands and programs of the documentation run, in the order of its pages, in a folder that looks like a checkout: first the
README's, then those of CONTRIBUTING.md and docs/*.md, which may read files that the README's commands have written.

Commands on MNIST are left out, visibly, where PARTITA_DATA_DIR does not name it. Blocks marked bash are run line by line, blocks marked python as one program. Blocks marked console or py only show: commands for other
machines or of many minutes, programs for files of the reader's own. The results that all of this leaves have the columns, units and
dimensions that docs/results.md lists, and no others.
Usage: documented_commands_test.py SOURCE_FOLDER BUILD_FOLDER
"""
import os
import pathlib
import re
import sys
import tempfile

import h5py

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


def listed_columns(page):
    """By group and name: units, dimensions."""
    columns = {}
    for group, table in re.findall(r"^### `/([\w/]+)`\n.*?^\| column \|[^\n]*\n((?:\|[^\n]*\n)+)", page.read_text(), re.M | re.S):
        for row in table.splitlines()[1:]:
            names, over, units = (cell.strip() for cell in row.split("|")[1:4])
            names, over = re.findall(r"`(\w+)`", names), over.split("; ")
            for name, dimensions in zip(names, over if len(over) > 1 else over * len(names)):
                columns[f"{group}/{name}"] = units, tuple(dimensions.split(", "))
    return columns


def columns_of(file):
    columns = {}

    def add(name, item):
        if isinstance(item, h5py.Dataset):
            is_scale = item.attrs.get("CLASS") == b"DIMENSION_SCALE"
            dimensions = [item.name] if is_scale else [scales[0].name for scales in item.dims]
            columns[name] = item.attrs.get("units", b"").decode(), tuple(scale.split("/")[-1] for scale in dimensions)
    with h5py.File(file) as opened:
        if opened.attrs.get("content") == b"result":
            opened.visititems(add)
    return columns


def check_schema(page, folder):
    """Outputs of regressions are in none of these files."""
    listed, found = listed_columns(page), {}
    for file in sorted(folder.rglob("*.h5")):
        for name, column in columns_of(file).items():
            found[name] = column
            assert listed.get(name) == column, f"{page}: {name} of {file.name} is {column}, listed as {listed.get(name)}"
    unseen = set(listed) - set(found) - {"inference/output", "inference/feature"}
    assert not unseen, f"{page}: no result has {unseen}"


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
        if "inputs/runs/mnist_" in command[-1] and not os.environ.get("PARTITA_DATA_DIR"):
            print("skipped without PARTITA_DATA_DIR:", page.relative_to(source), command[-1].strip(), flush=True)
            continue
        result = jobs.run(command, cwd=root)
        print("ok" if result.returncode == 0 else "FAIL", page.relative_to(source), command[-1].strip().splitlines()[0], flush=True)
        if result.returncode != 0:
            print(result.stdout, result.stderr)
            sys.exit(1)
    check_schema(source / "docs" / "results.md", root)
