"""What plans take more than the best one of a training: regrets of ways to choose, judged by other runs than those that said which is best."""
import collections
import itertools
import math
import random
import statistics

from .trainings import Timed, are_told_apart

CHOICES = ("@1", "@3", "data", "tensor", "any")
KNOWN_AS = {"data": "data alone", "tensor": "tensor within a node"}  # as partita-plan calls them


class Plan(Timed):
    def __init__(self, name, predicted, known_as="", file=None):
        super().__init__(predicted)
        self.name, self.known_as, self.file, self.failure = name, known_as, file, ""


def chosen_of(plans, most, seed=1):
    """So many of a training's plans, where it has more: those that people take without a search, the best three or more by prediction, and, as
    the other half, some drawn by chance."""
    if len(plans) <= most:
        return list(plans)
    ranked = sorted(plans, key=lambda plan: plan.predicted)
    sure = [plan for plan in ranked if plan.known_as]
    others = [plan for plan in ranked if not plan.known_as]
    best = max(3, most // 2 - len(sure))
    sure += others[:best]
    drawn = random.Random(seed).sample(others[best:], max(0, most - len(sure)))
    return sorted(sure + drawn, key=lambda plan: plan.predicted)


def halves(rounds):
    """All ways to part rounds into some that choose and others that judge, of an odd number with the larger half as either."""
    for size in sorted({rounds // 2, (rounds + 1) // 2}):
        for choose in itertools.combinations(range(rounds), size):
            yield choose, tuple(number for number in range(rounds) if number not in choose)


def regrets(plans, rounds):
    """By choice: for each way to part the rounds what it takes beside the best, less one. A choice that failed takes for ever; one that is
    not among the plans is left out."""
    ranked = sorted(plans, key=lambda plan: plan.predicted)
    whole = [plan for plan in ranked if not plan.failure]
    found = collections.defaultdict(list)
    for choose, judge in halves(rounds) if whole else ():
        def fastest(some):
            return min((plan for plan in some if not plan.failure), key=lambda plan: plan.median(choose), default=None)

        def add(choice, plan):
            found[choice].append(math.inf if plan is None or plan.failure else plan.median(judge) / best - 1)

        best = fastest(whole).median(judge)
        add("@1", ranked[0])
        add("@3", fastest(ranked[:3]))
        for choice, name in KNOWN_AS.items():
            for plan in plans:
                if plan.known_as == name:
                    add(choice, plan)
        found["any"].append(statistics.mean(plan.median(judge) for plan in whole) / best - 1)
    return dict(found)


def tied(plans):
    """The best plan, and the others that the rounds do not tell apart from it."""
    whole = [plan for plan in plans if not plan.failure]
    best = min(whole, key=Timed.median)
    return best, [plan for plan in whole if plan is not best and not are_told_apart(plan, best)]


def interval(trainings, draws=5000):
    """Of the mean of a choice's regrets over trainings, each a list over the ways to part its rounds: 95 %, by a bootstrap that draws
    trainings, and of each a way."""
    draw = random.Random(1)
    means = sorted(statistics.mean(draw.choice(ways) for ways in draw.choices(trainings, k=len(trainings))) for _ in range(draws))
    return means[round(0.025 * draws)], means[round(0.975 * draws) - 1]
