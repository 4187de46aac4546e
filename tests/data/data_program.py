"""What the tests of partita-data share: the program, which is their first argument, what it prints, the files of a set."""
import os
import sys

sys.path.append(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import jobs

PROGRAM = sys.argv[1]
STEMS = ["train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"]


def partita_data(*words, environment=None):
    return jobs.run([PROGRAM, *words], env=environment)


def values(text):
    return dict(line.split(" = ", 1) for line in text.splitlines() if " = " in line)
