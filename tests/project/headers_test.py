"""Every public header compiles alone.

Usage: headers_test.py SOURCE_FOLDER CXX [COMPILER_OPTION …]
"""
import concurrent.futures
import pathlib
import subprocess
import sys

source, compiler, *options = pathlib.Path(sys.argv[1]), *sys.argv[2:]
roots = sorted(path for pattern in ("lib/*/include", "kernels/include", "kernels/*/include") for path in source.glob(pattern))
headers = sorted(header for root in roots for header in root.rglob("*.hpp"))
assert len(headers) > 30, headers


def errors(header):
    command = [compiler, "-std=c++20", "-fsyntax-only", *options, *(f"-I{root}" for root in roots),
               "-x", "c++", "-include", str(header), "/dev/null"]
    result = subprocess.run(command, capture_output=True, text=True)
    return f"{header}\n{result.stderr}" if result.returncode != 0 else ""


cores = int(subprocess.check_output(["bash", source / "scripts" / "cores.sh"]))
with concurrent.futures.ThreadPoolExecutor(cores) as pool:
    wrong = [text for text in pool.map(errors, headers) if text]
print("\n".join(wrong) or f"{len(headers)} headers")
sys.exit(1 if wrong else 0)
