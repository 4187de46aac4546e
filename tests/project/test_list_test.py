"""The list of tests itself: each is fast or full, no limit judges a machine, and what needs the cores says so.

Usage: test_list_test.py CTEST BUILD_FOLDER SOURCE_FOLDER
"""
import json
import pathlib
import re
import subprocess
import sys

ctest, build, source = sys.argv[1:4]
LEAST_LIMIT = 1200  # seconds, a hundred times what most tests take

listed = json.loads(subprocess.run([ctest, "--test-dir", build, "--show-only=json-v1"], capture_output=True, text=True, check=True).stdout)
tests = [(test["name"], {p["name"]: p["value"] for p in test["properties"]}, test.get("command", [])) for test in listed["tests"]]
wrong = []
for name, properties, command in tests:
    labels = properties.get("LABELS", [])
    if len({"fast", "full"} & set(labels)) != 1:
        wrong.append(f"{name}: is neither fast nor full, or both: {labels}")
    if properties.get("TIMEOUT", 0) < LEAST_LIMIT:
        wrong.append(f"{name}: a limit of {properties.get('TIMEOUT', 'no')} s, below {LEAST_LIMIT}")
    if "fast" in labels and properties.get("RUN_SERIAL"):
        wrong.append(f"{name}: wants the machine for itself, which a fast test cannot have")
    starts_ranks = any(pathlib.Path(word).name.startswith("mpiexec") for word in command) and not name.endswith("/1ranks")
    if starts_ranks and properties.get("PROCESSORS", 1) < 2:
        wrong.append(f"{name}: starts ranks, which would wait for each other's cores beside another test, without PROCESSORS 2")
for path in sorted(pathlib.Path(source, "tests").rglob("*_test.py")):
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if re.search(r"\btimeout *= *\d|\b(child|job|process)\.wait\([1-9]", line):
            wrong.append(f"{path}:{number}: a limit of its own; tests/jobs.py has one for all")
assert len(tests) > 100, len(tests)
assert not wrong, "\n".join(wrong)
print(f"{len(tests)} tests")
