"""partita-bench-comm as a user runs it: the table that it writes, the samples that it records, bad input.

Usage: bench_comm_test.py MPIEXEC PARTITA_BENCH_COMM PARTITA_TRAIN SOURCE_FOLDER
"""
import os
import pathlib
import sys
import tempfile

import h5py

sys.path.append(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import jobs

mpiexec, bench, train, source = sys.argv[1:5]


def run(ranks, program, *arguments):
    return jobs.run([mpiexec, "-n", ranks, program, *arguments])


with tempfile.TemporaryDirectory() as folder:
    table, output = pathlib.Path(folder) / "my.table", pathlib.Path(folder) / "b.h5"
    sizes = ["--bytes=4,1000,65536", "--samples=3"]
    result = run(2, bench, *sizes, f"--table={table}", f"--output={output}")
    assert result.returncode == 0, result
    assert "MPI_Allreduce" in result.stdout and "all_reduce/window-in-place/bytes:65536" in result.stdout, result.stdout
    rules = [line.split() for line in table.read_text().splitlines() if not line.startswith("#")]
    assert any(rule[:2] == ["reach=node", "ranks=2"] for rule in rules) and any(rule[1] == "ranks=8" for rule in rules), rules
    with h5py.File(output) as file:
        rows = file["benchmarks"]
        contenders = {name.decode() for name in rows["name"][:]}
        assert {"all_reduce/MPI_Allreduce", "all_reduce/window", "all_reduce/ring", "all_reduce/mpi-yielding"} <= contenders
        assert len(rows["value"]) == 3 * 3 * len(contenders) and (rows["value"][:] > 0).all()
        assert file.attrs["status"] in (b"complete", "complete")

    # Another rank count joins the same table; imitated nodes are a reach of their own.
    assert run(3, bench, *sizes, f"--table={table}", "--ranks-per-node=2").returncode == 0
    assert "reach=mixed ranks=3" in table.read_text()
    lines = [line for line in table.read_text().splitlines() if line.startswith("reach") and "reach=window ranks=2" not in line]
    table.write_text("\n".join(lines + ["reach=window ranks=2 bytes=any algorithm=recursive-doubling"]))
    run_file = pathlib.Path(folder) / "r.h5"
    config = f"--config={source}/inputs/runs/digits_mlp.ini"
    result = run(2, train, config, "--train.steps=2", f"--sync.table={table}", f"--output={run_file}")
    assert result.returncode == 0, result
    with h5py.File(run_file) as file:
        # The loss lies in no window: for it the table has what was measured just now, whatever that is.
        gradients = [algorithm for purpose, algorithm in zip(file["reductions/purpose"][:], file["reductions/algorithm"][:])
                     if purpose == b"gradient"]
        assert gradients and set(gradients) == {b"recursive-doubling"}, file["reductions/algorithm"][:]
        assert file.attrs["algorithm"] in (b"recursive-doubling", "recursive-doubling")
        assert len(file["environment"].attrs["all_reduce_table"]) == 64

    table.write_text("reach=nowhere\n")
    result = run(2, train, config, "--train.steps=1", f"--sync.table={table}")
    assert result.returncode == 2 and "line 1" in result.stderr, result
    result = run(2, bench, "--bytes=6,4,x", "--samples=0", f"--output={folder}/none/b.h5", f"--table={table}")
    assert result.returncode == 2, result
    for text in ("the nearest is 4", "must rise", "--samples", "none", "line 1"):
        assert text in result.stderr, (text, result.stderr)
    assert run(2, bench, "--benchmark_filter=nothing").returncode == 2
    result = run(2, bench, "--bites=4", "--sampels=1")
    assert result.returncode == 2 and "did you mean --bytes?" in result.stderr and "did you mean --samples?" in result.stderr, result
    assert run(1, bench, "--help").returncode == 0 and "partita-bench-comm 0" in run(1, bench, "--version").stdout
print("ok")
