"""scripts/gpu_check.sh: what it says of programs that pass, fail, hang, skip themselves or find no device; and, with a build, an
archive whose programs start in a root that has the C and C++ runtimes and a few tools only.

Usage: gpu_check_test.py SOURCE_FOLDER [BUILD_FOLDER]
"""
import os
import pathlib
import shutil
import subprocess
import sys
import tarfile
import tempfile

sys.path.append(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import jobs

source = pathlib.Path(sys.argv[1])
script = source / "scripts" / "gpu_check.sh"
STUB = """#!/bin/sh
name=$(basename "$0")
case "$name" in mpiexec) shift 2; exec "$@" ;; compute-sanitizer) shift 4; name=sanitizer ;; esac
[ ! -e "$BEHAVIOUR/$name" ] || . "$BEHAVIOUR/$name"
"""


def checked(folder, *stages, **behaviour):
    """Runs the script beside programs that do as told; its result, and its summary by piece."""
    out = folder / "out"
    shutil.rmtree(out, ignore_errors=True)
    told = folder / "behaviour"
    shutil.rmtree(told, ignore_errors=True)
    told.mkdir()
    for name, text in behaviour.items():
        (told / name.replace("__", "-")).write_text(text)
    environment = {**os.environ, "BEHAVIOUR": str(told), "PARTITA_PYTHON": str(folder / "gpu-check/bin/python-stub")}
    result = jobs.run(["bash", folder / "gpu-check/gpu_check.sh", "run", out, *stages], env=environment)
    summary = (out / "summary.txt").read_text()
    with tarfile.open(out / "logs.tar.gz") as archive:
        assert archive.extractfile("./summary.txt").read().decode() == summary
        names = set(archive.getnames())
    pieces = dict(line.split(None, 1) for line in summary.splitlines())
    return result, pieces, names


def check_verdicts(folder):
    root = folder / "gpu-check"
    (root / "bin").mkdir(parents=True)
    shutil.copy(script, root)
    names = jobs.run(["bash", "-c", "source <(sed '/^case \"${1:-}\" in/,$d' \"$1\"); printf '%s\\n' \"${packed[@]}\"", "bash", script]).stdout.split()
    assert len(names) > 10, names
    for name in [*names, "mpiexec", "compute-sanitizer", "python-stub"]:
        (root / "bin" / name).write_text(STUB)
        (root / "bin" / name).chmod(0o755)

    result, pieces, names = checked(folder)
    assert result.returncode == 0 and all(verdict.startswith("passed") for verdict in pieces.values()), result
    for piece in ("start_two_ranks", "kernels_on_cpu", "hopper_bf16_on_gpu", "memcheck_cuda_gemm", "cuda_training_4", "programs", "ladder",
                  "products_tf32", "layers", "train_cnn", "pytorch"):
        assert piece in pieces and f"./{piece}.txt" in names, piece

    driver = "echo 'CUDA 13.0: no device: the driver is too old' >&2; exit 2"
    result, pieces, _ = checked(folder, "correctness", "figures", **{"partita__bench__kernels": driver})
    assert result.returncode == 2 and list(pieces) == ["correctness", "figures"], result
    assert "did NOT run: CUDA 13.0: no device: the driver is too old" in result.stderr, result

    # What fails or skips itself is named, and the rest goes on; a slow sanitizer is no hang.
    result, pieces, _ = checked(folder, "correctness", test_cuda_gemm="echo 3 FAILED TESTS; exit 1", sanitizer="exit 124",
                                test_cublas_on_gpu="echo 'SKIP: cuBLASLt cannot be used'; exit 77")
    assert result.returncode == 1 and pieces["cuda_gemm"].startswith("FAILED: exit code 1, 3 FAILED TESTS"), result
    assert pieces["cublas_on_gpu"].startswith("did NOT run: SKIP: cuBLASLt cannot be used"), pieces
    assert "cut off" in pieces["memcheck_images_gpu"] and pieces["programs"].startswith("passed"), pieces
    result, pieces, _ = checked(folder, "correctness", test_cublas_on_gpu="echo 'SKIP: cuBLASLt cannot be used'; exit 77")
    assert result.returncode == 2 and "cuBLASLt cannot be used" in result.stderr, result

    # One test of many that a system has nothing for is no skip of the program; all of them are.
    one = "echo '[  SKIPPED ] HostPages.AreHuge (1 ms)'; echo '[  PASSED  ] 41 tests.'"
    result, pieces, _ = checked(folder, "start", test_kernels=one)
    assert result.returncode == 0 and pieces["kernels_on_cpu"].startswith("passed: [  SKIPPED ] HostPages"), (result, pieces)
    result, pieces, _ = checked(folder, "start", test_kernels=one.replace("41", "0"))
    assert result.returncode == 2 and pieces["kernels_on_cpu"].startswith("did NOT run: [  SKIPPED ] HostPages"), (result, pieces)

    # 77 is a skip, whatever words it comes with.
    result, pieces, _ = checked(folder, "start", "correctness", test_kernels="exit 77", test_cuda_gemm="echo no tensor cores; exit 77")
    assert result.returncode == 2 and pieces["kernels_on_cpu"].startswith("did NOT run: exit code 77"), (result, pieces)
    assert pieces["cuda_gemm"].startswith("did NOT run: exit code 77, no tensor cores"), pieces
    assert pieces["start_kernels_cuda"].startswith("passed"), pieces

    # `timeout` ends with 124 where it ended something: nothing more is started.
    result, pieces, _ = checked(folder, "correctness", "figures", test_images_gpu="exit 124")
    assert result.returncode == 1 and pieces["images_gpu"].startswith("FAILED: cut off"), result
    assert pieces["ranks"].startswith("did NOT run: something before it hung") and "shared_device_1" not in pieces and "ladder" not in pieces

    for arguments in ((), ("pack",), ("run",), ("go", "out"), ("run", folder / "out", "nothing")):
        assert jobs.run(["bash", script, *arguments]).returncode == 2, arguments
    unpacked = jobs.run(["bash", script, "run", folder / "out"])
    assert unpacked.returncode == 2 and "pack an archive" in unpacked.stderr, unpacked
    bare = {**os.environ, "PARTITA_DATA_DIR": str(folder)}
    assert "PARTITA_DATA_DIR with mnist" in jobs.run(["bash", script, "pack", folder / "x.tar.xz"], env=bare).stderr


def needed(*programs):
    """Shared libraries of programs and their loader."""
    lines = jobs.run(["ldd", *programs]).stdout.split()
    return {word for word in lines if word.startswith("/") and not word.endswith(":")}


def make_root(root, build):
    """Some tools, what they need, and of our programs' libraries only the runtimes that every machine with a compiler has."""
    tools = [shutil.which(name) for name in ("bash sh env timeout tar xz gzip flock grep sed awk cat cp mv rm mkdir mktemp date sort head tail "
                                             "tee cut dirname basename find uname").split()]
    runtimes = {path for path in needed(build / "bin" / "partita-train")
                if pathlib.Path(path).name.split(".so")[0] in ("libc", "libm", "libstdc++", "libgcc_s", "libpthread", "libdl", "librt", "libresolv")}
    for name in ("bin", "lib", "lib64"):
        (root / "usr" / name).mkdir(parents=True)
        (root / name).symlink_to(f"usr/{name}")
    for path in {*tools, *needed(*tools), *runtimes}:
        target = root / path.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        if not target.exists():
            shutil.copy(path, target)
    for name in ("dev", "proc", "tmp", "etc"):
        (root / name).mkdir()
    (root / "etc/hosts").write_text("127.0.0.1 localhost\n")


def check_archive(folder, build):
    if not os.path.isdir(os.path.join(os.environ.get("PARTITA_DATA_DIR", "/nonexistent"), "mnist")):
        print("SKIP: PARTITA_DATA_DIR has no mnist, which is packed")
        return 77
    archive, root = folder / "check.tar.xz", folder / "root"
    packed = jobs.run(["bash", script, "pack", archive, "--build", build])
    assert packed.returncode == 0, packed
    assert archive.stat().st_size < 60 << 20
    make_root(root, build)
    shutil.copy(archive, root)
    inside = ("mount -t proc proc $0/proc && mount --rbind /dev $0/dev && mount -t tmpfs tmpfs $0/dev/shm && exec chroot $0 /usr/bin/env -i "
              "PATH=/usr/bin:/bin HOME=/tmp bash -c 'cd /tmp && tar -xf /check.tar.xz && bash gpu-check/gpu_check.sh run /tmp/out'")
    started = jobs.run(["unshare", "--user", "--map-root-user", "--mount", "--pid", "--fork", "--kill-child", "bash", "-c", inside, root])
    if "unshare" in started.stderr or "mount:" in started.stderr:
        print(f"SKIP: no root of its own can be entered here: {started.stderr.strip()}")
        return 77
    pieces = dict(line.split(None, 1) for line in (root / "tmp/out/summary.txt").read_text().splitlines())
    begun = {name: verdict for name, verdict in pieces.items() if name.startswith("start_")}
    assert len(begun) >= 12 and all(verdict.startswith("passed") for verdict in begun.values()), pieces
    assert pieces["kernels_on_cpu"].startswith("passed"), pieces
    # Where there is no device, the driver's absence is named, and is no success.
    if not os.path.exists("/dev/nvidiactl"):
        assert started.returncode == 2 and "no device" in pieces["correctness"] and "no device" in started.stderr, (pieces, started)
        assert "no CUDA device" in begun["start_kernels_cuda"], begun
    return 0


with tempfile.TemporaryDirectory() as name:
    folder = pathlib.Path(name)
    if len(sys.argv) > 2:
        sys.exit(check_archive(folder, pathlib.Path(sys.argv[2])))
    check_verdicts(folder)
print("ok")
