"""All C++ and CUDA sources look as clang-format makes them by .clang-format.

Usage: format_test.py SOURCE_FOLDER
"""
import concurrent.futures
import pathlib
import re
import subprocess
import sys

import clang_tool

source = pathlib.Path(sys.argv[1])
tool = clang_tool.find("clang-format")
files = sorted(path for folder in ("apps", "kernels", "lib", "tests") for path in (source / folder).rglob("*")
               if path.suffix in (".cpp", ".hpp", ".cu"))
assert len(files) > 300, len(files)


def complaints(some):
    checked = subprocess.run([tool, "--style=file", "--dry-run", "--Werror", *some], capture_output=True, text=True)
    assert checked.returncode == 0 or "error:" in checked.stderr, checked
    return set(re.findall(r"^(\S[^:\n]*):\d+:\d+: error:", checked.stderr, re.M))


cores = int(subprocess.check_output(["bash", source / "scripts" / "cores.sh"]))
with concurrent.futures.ThreadPoolExecutor(cores) as pool:
    wrong = sorted(set().union(*pool.map(complaints, (files[at::4 * cores] for at in range(4 * cores)))))
print("\n".join([*wrong, f"to mend: {tool} -i {' '.join(wrong)}"]) if wrong else f"{len(files)} files")
sys.exit(1 if wrong else 0)
