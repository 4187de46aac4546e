"""tests/run.sh -R runs the tests of a name, and after a failure says how to run the failing test again and where the log lies.

A folder like a checkout, whose build holds three tests that are commands; nothing is configured or built.
Usage: run_filter_test.py SOURCE_FOLDER CTEST
"""
import os
import pathlib
import re
import shutil
import sys
import tempfile

sys.path.append(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import jobs

source, ctest = map(pathlib.Path, sys.argv[1:3])
TESTS = """add_test(step "echo" "said by step")
set_tests_properties(step PROPERTIES LABELS fast)
add_test(step/odd "cat" "absent")
set_tests_properties(step/odd PROPERTIES LABELS fast)
add_test(step/long "true")
set_tests_properties(step/long PROPERTIES LABELS full)
"""
with tempfile.TemporaryDirectory() as folder:
    root = pathlib.Path(folder)
    (root / "tests").mkdir()
    (root / "scripts").mkdir()
    for name in ("tests/run.sh", "tests/beside.sh", "tests/record.py", "scripts/cores.sh"):
        shutil.copy(source / name, root / name)
    tools = root / "tools"
    set_up = root / re.search(r"^bash (\S+install_dependencies\.sh)", (root / "tests/run.sh").read_text(), re.M)[1]
    for script in (set_up, tools / "cmake"):  # neither sets up nor configures
        script.parent.mkdir(exist_ok=True)
        script.write_text("#!/bin/sh\n")
        script.chmod(0o755)
    (tools / "ctest").symlink_to(ctest)
    (root / "build/release").mkdir(parents=True)
    (root / "build/release/CTestTestfile.cmake").write_text(TESTS)
    environment = os.environ | {"PATH": f"{tools}:{os.environ['PATH']}"}

    def run(*options):
        result = jobs.run(["bash", root / "tests/run.sh", *options], cwd=root, env=environment)
        ran = re.findall(r"^ *\d+/\d+ Test +#\d+: (\S+)", result.stdout, re.M)
        return result.returncode, sorted(ran), result.stdout + result.stderr

    status, ran, said = run("-R", "^step")
    assert status != 0 and ran == ["step", "step/odd"], said
    again = re.findall(r"^ +(ctest .*)$", said, re.M)
    assert len(again) == 1 and "'^step/odd$'" in again[0], said
    repeated = jobs.run(["bash", "-c", again[0]], cwd=root, env=environment)
    assert repeated.returncode != 0 and "absent" in repeated.stdout and "said by step" not in repeated.stdout, repeated
    log = root / re.search(r"^what they printed: (\S+)$", said, re.M)[1]
    assert "absent" in log.read_text()
    status, ran, said = run("-R", "^step$")
    assert status == 0 and ran == ["step"] and "again" not in said, said
    status, ran, said = run("-R", "long")  # is not fast
    assert status != 0 and ran == [] and "No tests" in said and "again" not in said, said
    status, ran, said = run("--full", "-R", "long")
    assert status == 0 and ran == ["step/long"], said
    assert not (root / "results").exists(), "a part of the tests leaves no record"
    status, ran, said = run("-R")
    assert status != 0 and "regular expression" in said, said
