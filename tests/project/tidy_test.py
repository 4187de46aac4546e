"""clang-tidy finds nothing to object to by the checks of .clang-tidy, in the sources that this build compiles and the headers of ours that they include.

Sources are the .cpp files; it cannot read CUDA's.
Usage: tidy_test.py SOURCE_FOLDER BUILD_FOLDER CXX [FILE …]   of the sources named, or of all
"""
import concurrent.futures
import json
import pathlib
import re
import subprocess
import sys
import tempfile

import clang_tool

source, build, compiler = pathlib.Path(sys.argv[1]).resolve(), pathlib.Path(sys.argv[2]), sys.argv[3]
tool = clang_tool.find("clang-tidy")
database = build / "compile_commands.json"
if not database.exists():
    print("skipped: needs", database, "which CMake writes with the generators Ninja and Makefiles")
    sys.exit(77)
compiled = {}  # one command for each file, though several targets may compile it
for entry in json.loads(database.read_text()):
    path = pathlib.Path(entry["directory"], entry["file"]).resolve()
    if path.suffix == ".cpp" and any(path.is_relative_to(source / folder) for folder in ("apps", "kernels", "lib", "tests")):
        entry["command"] = re.sub(r" -Winvalid-pch -include \S+/cmake_pch\.hxx", "", entry["command"])  # GCC's own format
        compiled.setdefault(path, entry)
assert len(compiled) > 300, len(compiled)
chosen = [pathlib.Path(name).resolve() for name in sys.argv[4:]] or list(compiled)
assert set(chosen) <= set(compiled), f"not compiled here: {set(chosen) - set(compiled)}"
# The commands are GCC's: clang knows their options, but for names of warnings, and finds omp.h with GCC. Its own warnings are not asked for,
# nor are they errors, whatever the build makes of GCC's. std::source_location comes from a header of ours.
command = [tool, "--quiet", "--warnings-as-errors=*"]
command += [f"--extra-arg={option}" for option in (
    "-Wno-unknown-warning-option", "-Wno-error", "-include", source / "tests/fuzz/targets/source_location.hpp",
    "-idirafter", subprocess.check_output([compiler, "-print-file-name=include"], text=True).strip())]


def complaints(path, folder):
    checked = subprocess.run([*command, "-p", folder, path], capture_output=True, text=True)
    if checked.returncode == 0:
        return []
    return re.findall(r"^/\S+:\d+:\d+: (?:error|warning): .*", checked.stdout, re.M) or [f"{path}: {checked.stdout}{checked.stderr}"]


cores = int(subprocess.check_output(["bash", source / "scripts" / "cores.sh"]))
with tempfile.TemporaryDirectory() as folder, concurrent.futures.ThreadPoolExecutor(cores) as pool:
    pathlib.Path(folder, "compile_commands.json").write_text(json.dumps(list(compiled.values())))
    wrong = sorted({line for lines in pool.map(lambda path: complaints(path, folder), chosen) for line in lines})
print("\n".join(wrong) or f"{len(chosen)} files")
sys.exit(1 if wrong else 0)
