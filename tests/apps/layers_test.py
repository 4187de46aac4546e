"""docs/layers.md holds what --help layers prints, and the model in it is one.

Usage: layers_test.py MPIEXEC PARTITA_TRAIN PARTITA_INFER SOURCE_FOLDER
To bring the document up to date: put the program's text between its two fences.
"""
import os
import pathlib
import sys
import tempfile

sys.path.append(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import jobs

mpiexec, train, infer, source = sys.argv[1:5]


def run(program, *arguments):
    return jobs.run([mpiexec, "-n", "1", program, *arguments])


help_text = run(train, "--help", "layers")
assert help_text.returncode == 0, help_text
document = (pathlib.Path(source) / "docs" / "layers.md").read_text()
block = document.split("```text\n", 1)[1].split("```", 1)[0]
assert block == help_text.stdout, "docs/layers.md is not what partita-train --help layers prints"
assert run(infer, "--help", "layers").stdout == help_text.stdout

example = [line[2:] for line in block.split("\n\n")[1].splitlines()]
with tempfile.TemporaryDirectory() as folder:
    model = pathlib.Path(folder) / "model.ini"
    model.write_text("\n".join(example) + "\n")
    printed = run(train, f"--model.file={model}", "--print-config")
assert printed.returncode == 0 and "layer = linear 10 name=head\n" in printed.stdout, printed
print("ok")
