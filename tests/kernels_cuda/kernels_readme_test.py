"""The tables of kernels/README.md are what the commands beside them print; measured columns are left out.

Usage: kernels_readme_test.py README BENCH_KERNELS LIBRARY [--write]
"""
import os
import pathlib
import re
import sys

sys.path.append(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import jobs

readme, bench, library = map(pathlib.Path, sys.argv[1:4])
commands = {"ladder": ([bench, "--table"], 4),
            "resources": ([sys.executable, pathlib.Path(__file__).parent / "gpu_resources_test.py", "--markdown", library], None)}
text = readme.read_text()
for name, (command, columns) in commands.items():
    printed = jobs.run(command)
    assert printed.returncode == 0, printed
    block = re.compile(rf"(?<=<!-- {name} -->\n).*?(?=<!-- /{name} -->)", re.S)
    if sys.argv[4:] == ["--write"]:
        assert name != "resources" or "| sm_80 |" in printed.stdout, "the table is of -DPARTITA_CUDA_ARCHITECTURES='80;90a-real'"
        text = block.sub(lambda _: printed.stdout, text)
        continue
    # Registers may change with the compiler's version: then only the kernels must be the same.
    compare = columns or 2
    shown = block.search(text).group(0)
    cells = [[line.split(" | ")[:compare] for line in table.strip().splitlines()] for table in (shown, printed.stdout)]
    if name == "resources":  # the library may be compiled for some architectures alone
        compiled = [row[1:] for row in cells[1]]
        cells[0] = [row for row in cells[0] if row[1:] in compiled]
    assert cells[0] == cells[1], f"{name} is out of date: run this test with --write"
readme.write_text(text) if sys.argv[4:] else print("ok")
