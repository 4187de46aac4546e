"""Every program says the versions of all dependencies; results keep them; a library that is another one than at build time is
told beside that.

Usage: version_test.py BIN_FOLDER MPIEXEC RUNS_FOLDER C_COMPILER
"""
import os
import pathlib
import subprocess
import sys
import tempfile

import h5py

programs, mpiexec, runs, compiler = pathlib.Path(sys.argv[1]), sys.argv[2], pathlib.Path(sys.argv[3]), sys.argv[4]
everywhere = {"compiler", "cmake", "mpi", "hdf5", "boost", "onednn", "zlib", "openssl", "curl", "nlohmann_json", "benchmark", "random123",
              "cuda"}


def lines_of(program, **environment):
    shown = subprocess.run([programs / program, "--version"], capture_output=True, text=True, env={**os.environ, **environment})
    assert shown.returncode == 0 and shown.stderr == "", (program, shown)
    first, *rest = shown.stdout.splitlines()
    assert first.startswith(f"{program} 0."), first
    return dict(line.strip().split(": ", 1) for line in rest)


def every_program():
    first = lines_of("partita-train")
    for program in sorted(path.name for path in programs.glob("partita-*") if "on-host" not in path.name):
        lines = lines_of(program)
        if program == "partita-report":
            assert set(lines) == {"python", "h5py", "hdf5", "matplotlib", "numpy", "pandas", "xarray"}, lines
            continue
        assert set(lines) == everywhere and "unknown" not in lines.values(), (program, lines)
        for name in everywhere:  # a program that does not call a library knows what it was built beside
            assert lines[name].split(" (built with ")[0] in first[name] or first[name].endswith(f" (built with {lines[name]})"), (program, name)
    return first


def another_library(folder):
    """Two libraries that say another version than the build found, without being others."""
    source, library = folder / "other.c", folder / "other.so"
    source.write_text('const char* zlibVersion(void) { return "9.8.7"; }\n'
                      'const char* OpenSSL_version(int what) { (void)what; return "OpenSSL 9.8.6 1 Jan 2099"; }\n')
    subprocess.run([compiler, "-shared", "-fPIC", "-o", library, source], check=True)
    before, after = lines_of("partita-data"), lines_of("partita-data", LD_PRELOAD=str(library))
    for name, other in (("zlib", "9.8.7"), ("openssl", "9.8.6")):
        built = before[name].split(" (built with ")[-1].rstrip(")")
        assert after[name] == f"{other} (built with {built})", (name, before, after)


def results(folder, expected):
    output = folder / "r.h5"
    commands = [[programs / "partita-train", f"--config={runs}/digits_mlp.ini", "--train.steps=1", "--evaluate.every=0"],
                [programs / "partita-bench-comm", "--bytes=64", "--samples=1"]]
    for command in commands:
        ran = subprocess.run([mpiexec, "-n", "1", *command, f"--output={output}", "--overwrite"], capture_output=True, text=True)
        assert ran.returncode == 0, ran
        with h5py.File(output) as file:
            kept = {name: value.decode() if isinstance(value, bytes) else str(value) for name, value in file["environment"].attrs.items()}
        for name in everywhere:
            assert kept[name].split(" (built with ")[0] in expected[name], (command, name, kept, expected)


with tempfile.TemporaryDirectory() as name:
    shown = every_program()
    another_library(pathlib.Path(name))
    results(pathlib.Path(name), shown)
    print("\n".join(f"{key}: {value}" for key, value in sorted(shown.items())))
