"""What scripts/measure_regret.py makes of measured steps: regrets by other rounds than those that chose, failures, ties, samples of plans.

usage: regret_test.py SOURCE_FOLDER
"""
import math
import statistics
import sys

sys.path.append(f"{sys.argv[1]}/scripts")
from partita import regret, trainings


def plan(name, predicted, measured, known_as="", failure=""):
    made = regret.Plan(name, predicted, known_as)
    made.measured, made.failure = list(measured), failure
    return made


def close(a, b):
    return abs(a - b) < 1e-12


# Five rounds: all ways to part them into three and two, each half once as the one that chooses.
ways = list(regret.halves(5))
assert len(ways) == len(set(ways)) == 20 and all(sorted(a + b) == [0, 1, 2, 3, 4] for a, b in ways)
assert sum(len(a) == 3 for a, _ in ways) == 10 and {len(b) for _, b in ways} == {2, 3}
assert list(regret.halves(2)) == [((0,), (1,)), ((1,), (0,))]

# Without noise: a closed form.
plans = [plan("a", 1, [3] * 5), plan("b", 2, [2] * 5, "data alone"), plan("c", 3, [4] * 5), plan("d", 4, [1] * 5, "tensor within a node")]
found = {choice: set(values) for choice, values in regret.regrets(plans, 5).items()}
assert found == {"@1": {2.0}, "@3": {1.0}, "data": {1.0}, "tensor": {0.0}, "any": {1.5}}, found

# Luck of one round is not taken for speed: the lucky plan is chosen by halves that hold the round, and judged by others.
lucky = [plan("a", 1, [1.0] * 5), plan("b", 2, [0.1, 1.1, 1.1, 1.1, 1.1])]
found = regret.regrets(lucky, 5)["@1"]
by_hand = []
for choose, judge in ways:
    medians = [[statistics.median(p.measured[i] for i in half) for p in lucky] for half in (choose, judge)]
    by_hand.append(medians[1][0] / medians[1][medians[0].index(min(medians[0]))] - 1)
assert all(map(close, found, by_hand)) and min(found) < 0, found

# A plan that fails is no best, and takes for ever where it is chosen; the other two of three go on.
failing = [plan("a", 1, [], failure="out of memory"), plan("b", 2, [2] * 5), plan("c", 3, [1] * 5)]
found = regret.regrets(failing, 5)
assert set(found["@1"]) == {math.inf} and set(found["@3"]) == {0.0} and set(found["any"]) == {0.5} and "data" not in found, found
assert regret.regrets([plan("a", 1, [], failure="all fail")], 5) == {}

# Ties: what rounds scatter covers what they differ by.
best, ties = regret.tied([plan("a", 1, [1.0, 1.0, 1.0]), plan("b", 2, [1.01, 0.98, 1.02]), plan("c", 3, [1.5, 1.5, 1.5])])
assert best.name == "a" and [p.name for p in ties] == ["b"]
assert trainings.kendall([plan("a", 1, [1, 1]), plan("b", 2, [2, 2]), plan("c", 3, [1.5, 1.5])]) == 1 / 3

# An interval holds the mean, is a point where nothing scatters, and knows of both: trainings and rounds.
assert regret.interval([[0.1] * 20] * 6) == (0.1, 0.1) or all(close(end, 0.1) for end in regret.interval([[0.1] * 20] * 6))
for some in ([[0.0] * 4, [1.0] * 4] * 4, [[0.0, 1.0]] * 8):
    low, high = regret.interval(some)
    assert 0 <= low < 0.5 < high <= 1, (low, high)

# Of many plans: what people know, the best by prediction, and others by chance; the same at every call.
many = [plan(f"p{i}", float(i), [], "data alone" if i == 90 else "") for i in range(100)]
some = regret.chosen_of(many, 20)
assert len(some) == len(set(some)) == 20 and many[90] in some and some[:9] == many[:9], [p.name for p in some]
assert some == regret.chosen_of(many, 20) != many[:20] and regret.chosen_of(many, 100) == many
assert {p.name for p in regret.chosen_of(many, 1)} >= {"p0", "p1", "p2", "p90"}, "what @1, @3 and data ask for"

# What strategy=auto tries: of each grid and pipeline the best one; where these are too few, the best others.
many = [plan(name, float(i), []) for i, name in enumerate((
    "data=1 pipeline=2 tensor=1, gpipe, 2 micro-batches, cut 3", "data=1 pipeline=2 tensor=1, gpipe, 2 micro-batches",
    "data=1 pipeline=2 tensor=1, gpipe, 2 micro-batches, cut 4", "data=1 pipeline=1 tensor=2, placement 2",
    "data=1 pipeline=2 tensor=1, interleaved with 2 chunks, 2 micro-batches, cut 1|2|4",
    "data=1 pipeline=2 tensor=1, gpipe, 4 micro-batches", "data=1 pipeline=1 tensor=2, placement 3"))]
assert regret.contenders(many[::-1]) == [many[0], many[3], many[4]]
assert regret.contenders(many[:4]) == [many[0], many[1], many[3]] and regret.contenders(many[:2]) == many[:2]
for p in many:
    p.measured = [9 - p.predicted] * 4
assert set(regret.regrets(many, 4)["@3"]) == {5 / 3 - 1}, "the fifth by prediction, beside the last"
assert set(regret.chosen_of(many[:6] + [plan(f"p{i}", 10.0 + i, []) for i in range(50)], 3)) == {many[0], many[3], many[4]}

# What is far from the fastest is not run again, but for what a choice can fall on.
some = [plan("a", 1, [3]), plan("b", 2, [2]), plan("c", 3, [4]), plan("d", 4, [1.5]), plan("e", 5, [1]), plan("f", 6, [9], "data alone"),
        plan("g", 7, [], failure="it fails"), plan("h", 8, [1.6])]
assert [p.name for p in regret.near(some, 1.5)] == ["a", "b", "c", "d", "e", "f"]
assert regret.near(some, math.inf) == [p for p in some if not p.failure] and regret.near([some[6]], 2) == []
some[7].measured.append(1.4)
assert some[7] in regret.near(some, 1.5), "the faster of two runs"

# A plan that was screened is no best, however fast a single run of it was, and counts for one drawn by chance.
some = [plan("a", 1, [2] * 4), plan("b", 2, [1] * 4), plan("c", 3, [2] * 4), plan("d", 4, [0.5]), plan("e", 5, [6, 8])]
found = {choice: set(values) for choice, values in regret.regrets(some, 4).items()}
assert found == {"@1": {1.0}, "@3": {0.0}, "any": {(2 + 1 + 2 + 0.5 + 7) / 5 - 1}}, found
assert regret.tied(some) == (some[1], [])

# A command that lasts is ended; one that fails says why.
assert "takes longer than 0.1 s" in trainings.failure_of(["sleep", "60"], limit=0.1)
assert trainings.failure_of(["true"]) == "" and "ended with 1:\nno" in trainings.failure_of(["bash", "-c", "echo no >&2; exit 1"])
assert trainings.steps_within(1, 0.01) == 100 and trainings.steps_within(1, 10, least=2) == 2 and trainings.steps_within(1, 1e-9) == 300
print("all hold")
