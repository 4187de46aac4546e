"""Installs the built project, builds a small client against it with find_package(partita), and runs it on two ranks.

Usage: install_test.py CMAKE BUILD_FOLDER CLIENT_FOLDER MPIEXEC
"""
import os
import pathlib
import sys
import tempfile

sys.path.append(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import jobs

cmake, build, client, mpiexec = sys.argv[1:5]


def run(*command):
    result = jobs.run(command)
    assert result.returncode == 0, f"{command}\n{result.stdout}\n{result.stderr}"
    return result.stdout


with tempfile.TemporaryDirectory() as folder:
    prefix, work = pathlib.Path(folder) / "prefix", pathlib.Path(folder) / "client"
    run(cmake, "--install", build, "--prefix", prefix)
    run(cmake, "-S", client, "-B", work, f"-DCMAKE_PREFIX_PATH={prefix}", "-DCMAKE_BUILD_TYPE=Release")
    run(cmake, "--build", work)
    assert "sum 3 schema" in run(mpiexec, "-n", "2", work / "client")
    program = prefix / "bin" / "partita-train"
    config = prefix / "share" / "partita" / "inputs" / "runs" / "digits_mlp.ini"
    result = pathlib.Path(folder) / "result.h5"
    assert "STATUS: PASS" in run(mpiexec, "-n", "2", program, "--config", config, "--train.steps=2", "--output", result)
    # The Python program finds its package beside it; it needs packages that not every machine has.
    report = jobs.run([prefix / "bin" / "partita-report", result, "-o", folder + "/report"])
    written = report.returncode == 0 and (pathlib.Path(folder) / "report" / "index.html").exists()
    assert written or " lacks " in report.stderr, report
    print("report:", report.stderr.strip() or "written")
print("ok")
