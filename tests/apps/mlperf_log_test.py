"""The MLPerf log lines of a training: form, order, times and values; none unless asked for.

Usage: mlperf_log_test.py MPIEXEC PARTITA_TRAIN SOURCE_FOLDER
"""
import os
import json
import re
import sys

sys.path.append(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import jobs

mpiexec, train, source = sys.argv[1:4]


def run(*arguments, config="digits_mlp"):
    """Events in the order printed, and the figures of merit."""
    command = [mpiexec, "-n", "2", train, f"--config={source}/inputs/runs/{config}.ini", "--data.train-samples=2000",
               "--data.test-samples=500", *arguments]
    result = jobs.run(command)
    lines = result.stdout.splitlines()
    events = [json.loads(line.removeprefix(":::MLLOG ")) for line in lines if line.startswith(":::MLLOG ")]
    assert sum("MLLOG" in line for line in lines) == len(events) and "MLLOG" not in result.stderr, result
    return events, dict(re.findall(r"FOM name=(\S+) value=(\S+)", result.stdout)), result.returncode


def check_form(events):
    times = [event["time_ms"] for event in events]
    assert times == sorted(times) and times[0] > 1.6e12, times
    open_intervals = []
    for event in events:
        assert list(event) == ["namespace", "time_ms", "event_type", "key", "value", "metadata"], event
        assert event["metadata"]["file"] == "mlperf_log.cpp" and event["metadata"]["lineno"] > 0, event
        if event["event_type"] == "INTERVAL_START":
            open_intervals.append(event["key"].removesuffix("_start"))
        elif event["event_type"] == "INTERVAL_END":
            assert event["key"].removesuffix("_stop") == open_intervals.pop(), event
        else:
            assert event["event_type"] == "POINT_IN_TIME", event
    assert not open_intervals, open_intervals


def values(events, key):
    return [event["value"] for event in events if event["key"] == key]


events, figures, code = run("--train.epochs=2", "--log.mlperf=true", "--train.seed=7")
assert code == 0
check_form(events)
epoch = ["epoch_start", "eval_start", "eval_accuracy", "eval_stop", "tracked_stats", "epoch_stop"]
keys = [event["key"] for event in events]
begin = keys.index("run_start")
assert keys[0] == "init_start" and keys[begin - 1:] == ["init_stop", "run_start", *epoch, *epoch, "run_stop"], keys
expected = {"submission_benchmark": "mlp-mnist", "seed": 7, "global_batch_size": 100, "train_samples": 2000, "eval_samples": 500,
            "opt_name": "sgd", "opt_base_learning_rate": 0.01, "opt_momentum": 0.9, "opt_weight_decay": 0}
assert {key: values(events, key)[0] for key in expected} == expected
assert [event["metadata"].get("epoch_num") for event in events[begin + 1:-1]] == [1] * 6 + [2] * 6
assert abs(values(events, "eval_accuracy")[1] - float(figures["test_accuracy"])) < 1e-5, (events, figures)
assert events[-1]["metadata"]["status"] == "success", events[-1]

# A target that is missed, or a loss that is not finite, is no success; there may be no evaluation. An optimizer has keys of its own.
adam = ("--train.optimizer=adam", "--train.momentum=0", "--evaluate.every=0")
for arguments, status, evaluations in ((adam, "success", 0), (("--train.target-accuracy=0.5",), "success", 1),
                                       (("--train.target-accuracy=1",), "aborted", 1), (("--train.learning-rate=1e30",), "aborted", 0)):
    events, _, _ = run("--train.epochs=1", "--log.mlperf=true", *arguments)
    check_form(events)
    assert events[-1]["key"] == "run_stop" and events[-1]["metadata"]["status"] == status, (arguments, events[-1])
    assert len(values(events, "eval_start")) == evaluations, (arguments, events)
    optimizer = {"opt_name": ["adam"], "opt_adam_beta_1": [0.9], "opt_adam_beta_2": [0.999], "opt_adam_epsilon": [1e-8], "opt_momentum": []}
    assert arguments != adam or optimizer == {key: values(events, key) for key in optimizer}, events

assert run("--train.epochs=1")[0] == []
