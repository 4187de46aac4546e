"""What slurm/ offers to schedulers, package managers and test frameworks is well formed and true to the project.

Usage: texts_test.py scripts|spack|apptainer|reframe SOURCE_FOLDER [FOLDER_OF_PROGRAMS]
"""
import contextlib
import importlib.util
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import types

part, source = sys.argv[1], pathlib.Path(sys.argv[2])
slurm = source / "slurm"
cmake = (source / "CMakeLists.txt").read_text()
version = re.search(r"project\(partita VERSION (\S+)", cmake).group(1)
options = set(re.findall(r"(?:option|set)\((PARTITA_\w+)", cmake))


def scripts():
    """All shell scripts pass ShellCheck; job scripts name no site, survive their time limit and share launch.bash; there is one
    for each split."""
    if not shutil.which("shellcheck"):
        print("SKIPPED: shellcheck is not installed")
        sys.exit(77)
    paths = sorted(slurm.glob("*.sbatch"))
    others = [path for folder in ("apps", "scripts", "tests") for path in sorted((source / folder).rglob("*.sh"))]
    subprocess.run(["shellcheck", "-x", "--severity=warning", *paths, slurm / "launch.bash", source / ".ci/run", *others], check=True, cwd=source)
    splits = {"data", "layer", "tensor", "hybrid"}
    assert {p.stem for p in paths} == splits | {f"{s}_gpu" for s in splits} | {"split", "compress", "secure", "delay", "local", "weighted", "servers", "sweep", "scaling", "report", "calibrate", "auto"}, paths
    for path in paths:
        text = path.read_text()
        directives = re.findall(r"^#SBATCH (--\S+)", text, re.M)
        assert text.startswith("#!/usr/bin/env bash\n") and "slurm/launch.bash" in text, path
        for site in ("--account", "--partition", "--qos", "--constraint", "--mail", "/home", "/scratch", "module "):
            assert site not in text, (path, site)
        if path.stem not in ("report", "calibrate"):  # of minutes, and done anew rather than resumed
            for needed in ("--requeue", "--signal=USR1@180", "--open-mode=append", "--cpus-per-task"):
                assert any(d.startswith(needed) for d in directives), (path, needed)
        assert path.stem.endswith("_gpu") == ("--gpus-per-task=1" in directives) == ("compute.backend=cuda" in text), path
    documented = set(re.findall(r"^#   (PARTITA_\w+)", (slurm / "launch.bash").read_text() + "".join(p.read_text() for p in paths), re.M))
    used = set(re.findall(r"\b(PARTITA_[A-Z_]+)\b", "".join(p.read_text() for p in [*paths, slurm / "launch.bash"])))
    assert used == documented, used ^ documented


def spack():
    """The recipe builds this version, depends on what CMake looks for, and passes options that exist."""
    recorded = {"version": [], "depends_on": [], "variant": [], "conflicts": [], "generator": []}
    stub = types.ModuleType("spack.package")
    for name, calls in recorded.items():
        setattr(stub, name, lambda *a, _calls=calls, **k: _calls.append(a[0]))
    stub.default_args = contextlib.contextmanager(lambda **_: iter([None]))

    class CMakePackage:
        def define(self, name, value):
            return f"-D{name}={value}"

    stub.CMakePackage, stub.CudaPackage = CMakePackage, type("CudaPackage", (), {})
    sys.modules |= {"spack": types.ModuleType("spack"), "spack.package": stub}
    spec = importlib.util.spec_from_file_location("package", slurm / "spack" / "package.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert recorded["version"] == [version], recorded["version"]
    names = {re.split(r"[@+~: ]", d)[0] for d in recorded["depends_on"]}
    wanted = {"MPI": "mpi", "HDF5": "hdf5", "Boost": "boost", "dnnl": "onednn", "ZLIB": "zlib-api", "OpenSSL": "openssl", "CURL": "curl",
              "benchmark": "benchmark", "nlohmann_json": "nlohmann-json", "GTest": "googletest", "Python3": "python", "CUDAToolkit": "cuda",
              "OpenMP": None}  # the compiler's
    found = set(re.findall(r"find_package\((\w+)", cmake))
    assert found == set(wanted), found ^ set(wanted)
    assert {n for n in wanted.values() if n} | {"random123", "cmake", "cxx"} <= names, names
    least = re.search(r"cmake_minimum_required\(VERSION (\S+)\)", cmake).group(1)
    assert f"cmake@{least}:" in recorded["depends_on"]
    package = module.Partita()
    package.run_tests = False
    for with_cuda in (False, True):
        package.spec = types.SimpleNamespace(satisfies=lambda what: with_cuda and what == "+cuda",
                                             variants={"cuda_arch": types.SimpleNamespace(value=("80", "90a"))})
        given = dict(re.match(r"-D(\w+)=(.*)", argument).groups() for argument in package.cmake_args())
        assert set(given) <= options, set(given) - options
        assert given["PARTITA_CUDA"] == ("ON" if with_cuda else "OFF")
        assert given.get("PARTITA_CUDA_ARCHITECTURES") == ("80-real;90a-real" if with_cuda else None), given


def apptainer():
    """The definition's sections are Apptainer's, what it copies exists, its options and packages are ours."""
    text = (slurm / "partita.def").read_text()
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    stages, stage, section = [], None, None
    for line in lines:
        if line.startswith("%"):
            section, *words = line[1:].split()
            assert section not in stage["sections"] and stage["headers"]["Bootstrap"], (section, stage)
            stage["sections"][section] = {"words": words, "lines": []}
        elif header := re.fullmatch(r"(Bootstrap|From|Stage): (\S+)", line):
            if header[1] == "Bootstrap":
                stages.append(stage := {"headers": {}, "sections": {}})
                section = None
            assert section is None, line
            stage["headers"][header[1]] = header[2]
        else:
            assert section and line.startswith("    "), line
            stage["sections"][section]["lines"].append(line.strip())
    build, run = stages
    known = {"arguments", "files", "post", "environment", "runscript", "test", "labels", "help"}
    for stage in stages:
        assert set(stage["headers"]) == {"Bootstrap", "From", "Stage"} and set(stage["sections"]) <= known, stage
        script = "\n".join(stage["sections"]["post"]["lines"])
        subprocess.run(["bash", "-n"], input=re.sub(r"\{\{ (\w+) \}\}", r"\1", script), text=True, check=True)
    declared = {line.split("=")[0] for line in build["sections"]["arguments"]["lines"]}
    assert set(re.findall(r"\{\{ (\w+) \}\}", "\n".join(lines))) == declared, declared
    copied = {line.split()[0] for line in build["sections"]["files"]["lines"]}
    modules = "".join(path.read_text() for folder in ("kernels", "lib", "apps") for path in (source / folder).rglob("CMakeLists.txt"))
    needed = set(re.findall(r"^ *(?:add_subdirectory\(|install\(DIRECTORY )(\w+)", cmake, re.M)) - {"tests"}
    needed |= set(re.findall(r"\$\{PROJECT_SOURCE_DIR\}/(\w+)", modules))
    assert all((source / name).exists() for name in copied) and needed <= copied, needed ^ copied
    assert run["sections"]["files"]["words"] == ["from", build["headers"]["Stage"]]
    assert set(re.findall(r"-D(PARTITA_\w+)", text)) <= options
    assert f"image.version {version}" in text
    ours = (source / "scripts" / "install_dependencies.sh").read_text()
    python = re.findall(r"(python3-\w+)", " ".join(run["sections"]["post"]["lines"]))
    assert set(python) == set(re.findall(r"(python3-\w+)", ours)), python
    assert (source / "inputs/runs/digits_mlp.ini").exists() and "digits_mlp.ini" in text


def reframe():
    """ReFrame runs a test of each kind on its own: a good run passes, wrong accuracy and bad input fail."""
    program = shutil.which("reframe")
    if not program:
        compile((slurm / "reframe_partita.py").read_text(), "reframe_partita.py", "exec")
        print("SKIPPED: reframe is not installed (pip install reframe-hpc); the test file's syntax is right")
        sys.exit(77)
    site = {"systems": [{"name": "here", "hostnames": [".*"], "partitions": [
        {"name": "cores", "scheduler": "local", "launcher": "mpiexec", "environs": ["builtin"]}]}], "environments": [{"name": "builtin"}]}
    with tempfile.TemporaryDirectory() as folder:
        (pathlib.Path(folder) / "site.py").write_text(f"site_configuration = {site}\n")
        for more, reason in (("", None), ("--train.epochs=1", "failed to meet reference(s): test_accuracy"), ("--train.batch=-1", "sanity error")):
            result = subprocess.run([program, "-C", f"{folder}/site.py", "-c", slurm / "reframe_partita.py", "-n", "PartitaPerceptron.*data=2",
                                     "-S", f"partita_bin={sys.argv[3]}", "-S", f"more_options={more}", "-r"], cwd=folder, capture_output=True, text=True)
            assert (result.returncode == 0) == (reason is None) and (reason or "PASSED") in result.stdout, result.stdout


globals()[part]()
