"""What plans take more than the best one of a training: regrets of ways to choose, judged by other runs than those that said which is best."""
import collections
import itertools
import math
import random
import re
import statistics

from .trainings import Timed, are_told_apart

CHOICES = ("@1", "@3", "data", "tensor", "any")
KNOWN_AS = {"data": "data alone", "tensor": "tensor within a node"}  # as partita-plan calls them


class Plan(Timed):
    def __init__(self, name, predicted, known_as="", file=None):
        super().__init__(predicted)
        self.name, self.known_as, self.file, self.failure = name, known_as, file, ""


def contenders(plans, most=3):
    """Those that strategy=auto tries, the best first: the best ones that differ in more than placement and cut; where there are too few, the best
    of the others."""
    ranked = sorted(plans, key=lambda plan: plan.predicted)
    first, others = {}, []
    for plan in ranked:
        pipeline = re.sub(r", (placement|cut) [\d|]+", "", plan.name)
        if pipeline in first:
            others.append(plan)
        else:
            first[pipeline] = plan
    return sorted((list(first.values())[:most] + others)[:most], key=ranked.index)


def chosen_of(plans, most, seed=1):
    """So many of a training's plans, where it has more: those that people take without a search, those that strategy=auto tries, the best others
    by prediction, and, as the other half, some drawn by chance."""
    if len(plans) <= most:
        return list(plans)
    ranked = sorted(plans, key=lambda plan: plan.predicted)
    tried = contenders(plans)
    sure = [plan for plan in ranked if plan.known_as or plan in tried]
    others = [plan for plan in ranked if plan not in sure]
    best = max(0, most // 2 - len(sure))
    sure += others[:best]
    drawn = random.Random(seed).sample(others[best:], max(0, most - len(sure)))
    return sorted(sure + drawn, key=lambda plan: plan.predicted)


def near(plans, factor):
    """Those whose fastest run takes no more than so many times the fastest of all, and those that a choice can fall on."""
    ran = [plan for plan in plans if plan.measured]
    fastest, choosable = min((min(plan.measured) for plan in ran), default=0), contenders(plans)
    return [plan for plan in ran if min(plan.measured) <= factor * fastest or plan.known_as or plan in choosable]


def halves(rounds):
    """All ways to part rounds into some that choose and others that judge, of an odd number with the larger half as either."""
    for size in sorted({rounds // 2, (rounds + 1) // 2}):
        for choose in itertools.combinations(range(rounds), size):
            yield choose, tuple(number for number in range(rounds) if number not in choose)


def regrets(plans, rounds):
    """By choice: for each way to part the rounds what it takes beside the best, less one. A choice that failed takes for ever; one that is
    not among the plans is left out. A plan that was not run in all rounds is not the best, and takes the median of its runs."""
    ranked = sorted(plans, key=lambda plan: plan.predicted)
    whole = [plan for plan in ranked if not plan.failure]
    in_all = [plan for plan in whole if len(plan.measured) == rounds]
    screened = [plan for plan in whole if plan not in in_all]
    found = collections.defaultdict(list)
    for choose, judge in halves(rounds) if in_all else ():
        def fastest(some):
            return min((plan for plan in some if not plan.failure), key=lambda plan: plan.median(choose), default=None)

        def add(choice, plan):
            found[choice].append(math.inf if plan is None or plan.failure else plan.median(judge) / best - 1)

        best = fastest(in_all).median(judge)
        add("@1", ranked[0])
        add("@3", fastest(contenders(plans)))
        for choice, name in KNOWN_AS.items():
            for plan in plans:
                if plan.known_as == name:
                    add(choice, plan)
        of_all = [plan.median(judge) for plan in in_all] + [plan.median() for plan in screened]
        found["any"].append(statistics.mean(of_all) / best - 1)
    return dict(found)


def tied(plans):
    """The best plan of those that were run in all rounds, and the others that the rounds do not tell apart from it."""
    rounds = max(len(plan.measured) for plan in plans if not plan.failure)
    whole = [plan for plan in plans if not plan.failure and len(plan.measured) == rounds]
    best = min(whole, key=Timed.median)
    return best, [plan for plan in whole if plan is not best and not are_told_apart(plan, best)]


def interval(trainings, draws=5000):
    """Of the mean of a choice's regrets over trainings, each a list over the ways to part its rounds: 95 %, by a bootstrap that draws
    trainings, and of each a way."""
    draw = random.Random(1)
    means = sorted(statistics.mean(draw.choice(ways) for ways in draw.choices(trainings, k=len(trainings))) for _ in range(draws))
    return means[round(0.025 * draws)], means[round(0.975 * draws) - 1]
