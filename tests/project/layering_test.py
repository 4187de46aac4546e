"""Includes point downwards only, as docs/architecture.md says, each foreign library is called from one place, every file opens with
what it is for, and apps/ holds programs alone.

Usage: layering_test.py SOURCE_FOLDER
"""
import pathlib
import re
import sys

# Higher includes strictly lower.
layer = {
    "kernels/include": 0,
    "kernels/host": 1, "kernels/reference": 1, "kernels/cpu": 1, "kernels/cuda": 1, "lib/base": 1,
    "lib/topology": 2, "lib/memory": 2,
    "lib/collective": 3, "lib/model": 3, "lib/machine": 3,
    "lib/comm": 4, "lib/data": 4, "lib/nn": 4, "lib/step": 4,
    "lib/results": 5, "lib/cost": 5, "lib/device": 5,
    "lib/sim": 6, "lib/state": 6, "lib/calibrate": 6,
    "lib/plan": 7, "lib/execute": 7,
    "lib/config": 8, "lib/run": 8,
    "lib/predict": 9, "lib/command_line": 9, "lib/job": 10,
    "apps": 11,
}
only_in = {r"mpi\.h": "lib/comm", r"hdf5(_hl)?\.h": "lib/results", r"(oneapi/)?dnnl.*": "kernels/cpu",
           r"(cuda|cublas).*\.h": "kernels/cuda", r"zlib\.h": "lib/data", r"openssl/.*": "lib/base"}
source = pathlib.Path(sys.argv[1])
wrong, files, includes = [], 0, 0


def module_of(path):
    parts = path.relative_to(source).parts
    return "apps" if parts[0] == "apps" else "/".join(parts[:2])


def module_of_header(name):
    parts = name.split("/")
    if parts[1] != "kernels":
        return "lib/" + parts[1]
    return "kernels/" + parts[2] if len(parts) > 3 else "kernels/include"


for folder in ("kernels", "lib", "apps"):
    for path in sorted((source / folder).rglob("*")):
        if path.suffix not in (".hpp", ".cpp", ".cu", ".in"):
            continue
        files += 1
        module = module_of(path)
        if module not in layer and path.suffix != ".in":
            wrong.append(f"{path}: {module} stands in no layer")
            continue
        text = path.read_text()
        if path.suffix != ".in" and not re.match(r"/// \S.{19,}\n", text):
            wrong.append(f"{path}: does not open with a comment (///) that says what it is for")
        for name in re.findall(r'^\s*#\s*include\s*[<"]([^>"]+)[>"]', text, re.M):
            includes += 1
            if "../" in name:  # would reach another module's files past its public headers
                wrong.append(f"{path}: includes {name}: name public headers as partita/…, private ones without a folder")
            if name.startswith("partita/"):
                other = module_of_header(name)
                if other not in layer:
                    wrong.append(f"{path}: includes {name}: {other} stands in no layer")
                elif other != module and layer[other] >= layer[module]:
                    wrong.append(f"{path}: {module} (layer {layer[module]}) includes {other} (layer {layer[other]})")
            for pattern, home in only_in.items():
                if re.fullmatch(pattern, name) and module != home:
                    wrong.append(f"{path}: only {home} includes {name}")
# What a program shares with others belongs into lib/, scripts and their Python into scripts/. The demo is a promised name.
apps = source / "apps"
own = [path for path in sorted(apps.rglob("*")) if path.is_file() and "__pycache__" not in path.parts]  # which Python leaves behind
for path in own:
    if path.name != "CMakeLists.txt" and path.suffix not in (".cpp", ".hpp", ".in") and path != apps / "demo.sh":
        wrong.append(f"{path}: apps/ holds programs alone; scripts belong into scripts/")
for path in sorted(apps / name for name in {path.relative_to(apps).parts[0] for path in own}):
    if path.is_dir():
        build = (path / "CMakeLists.txt").read_text() if (path / "CMakeLists.txt").exists() else ""
        if not re.search(rf"add_executable\(partita-{path.name} |PROGRAMS \S*/partita-{path.name} ", build) or "add_library" in build:
            wrong.append(f"{path}: makes no program partita-{path.name}, or something besides; apps/ holds programs alone")
table = re.findall(r"^\| (\d+) \| `([\w/]+)` \|", (source / "docs" / "architecture.md").read_text(), re.M)
if {name: int(number) for number, name in table} != layer:
    wrong.append(f"docs/architecture.md: its table of modules differs from this test's: {sorted({(name, int(n)) for n, name in table} ^ set(layer.items()))}")
assert files > 80 and includes > 300, (files, includes)
print("\n".join(wrong) or f"{files} files, {includes} includes")
sys.exit(1 if wrong else 0)
