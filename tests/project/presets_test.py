"""A compiler's warning stops a build only where preset `ci` asked for it, never a user's.

Usage: presets_test.py CMAKE SOURCE_FOLDER BUILD_FOLDER WERROR
"""
import json
import pathlib
import subprocess
import sys

cmake, source, build, werror = sys.argv[1], *map(pathlib.Path, sys.argv[2:4]), sys.argv[4].upper() in ("ON", "TRUE", "1", "YES")

names = [preset["name"] for preset in json.loads((source / "CMakePresets.json").read_text())["configurePresets"]]
assert {"release", "ci"} <= set(names), names
for name in names:
    # -N only resolves the preset; what it set is printed.
    shown = subprocess.run([cmake, "--preset", name, "-N"], cwd=source, capture_output=True, text=True, check=True).stdout
    assert f'PARTITA_WERROR="{"ON" if name == "ci" else "OFF"}"' in shown, (name, shown)

commands = [entry for entry in json.loads((build / "compile_commands.json").read_text()) if entry["file"].endswith(".cpp")]
assert len(commands) > 100, len(commands)
for entry in commands:
    assert ("-Werror" in entry["command"].split()) == werror, entry
print(f"{len(names)} presets, {len(commands)} commands, warnings are {'errors' if werror else 'no errors'}")
