"""partita-bench-kernels as a user runs it: checked results, samples in HDF5, bad input.

Usage: bench_kernels_test.py PARTITA_BENCH_KERNELS
"""
import os
import pathlib
import re
import sys
import tempfile

import h5py

sys.path.append(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import jobs


def run(*arguments):
    return jobs.run([sys.argv[1], *arguments])


with tempfile.TemporaryDirectory() as folder:
    output = pathlib.Path(folder) / "k.h5"
    result = run("--benchmark_filter=(in=128|image=1x28|recording)", f"--output={output}")
    assert result.returncode == 0, result
    for text in ("linear_backward_data", "conv_forward", "recording/span", "of peak"):
        assert text in result.stdout, (text, result.stdout)
    with h5py.File(output) as file:
        names = {name.decode() for name in file["benchmarks/name"][:]}
        assert {"linear_forward/cpu", "linear_forward/sgemm", "linear_forward/fma_peak", "recording/ledger_entry",
                "recording/position", "recording/instruction"} <= names, names
        assert (file["benchmarks/value"][:] > 0).all()
    assert run(f"--output={output}", "--benchmark_filter=none").returncode == 2
    assert run("--benchmark_filter=nothing").returncode == 2
    unknown = run("--outptu=x")
    assert unknown.returncode == 2 and "there are --backend" in unknown.stderr and "did you mean --output?" in unknown.stderr, unknown
    assert run("--help").returncode == 0 and run("--version").returncode == 0
    assert run("--backend=gpu").returncode == 2 and run("--gemm-table=x").returncode == 2
    wrong = run("--repetitions=0", "--proposals=8")
    assert wrong.returncode == 2 and "repetitions = 0" in wrong.stderr and "proposals = 8: needs --backend=cuda" in wrong.stderr, wrong
    # On a GPU, or why there is none.
    listed = run("--backend=cuda", "--benchmark_list_tests")
    if listed.returncode == 2:
        assert re.search(r"--backend=cuda: (CUDA [\d.]+: no device: .+|built without CUDA)$", listed.stderr, re.M), listed
        assert "gemm/" not in listed.stdout and not pathlib.Path(folder, "gpu.h5").exists()
    else:
        assert "gemm/bf16/m=8192 n=8192 k=8192 ab=nn" in listed.stdout, listed
    ladder = run("--table")
    assert ladder.returncode == 0 and ladder.stdout.startswith("| kernel | arithmetic | adds |"), ladder
print("ok")
