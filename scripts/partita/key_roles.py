"""What a key means where runs are laid beside each other: the roles other than `choice`, as lib/config declares them at each key
(the test `config` compares the two). A `choice` changes results or times.

`split` and `batch` are what a study of scaling varies; `data_set`, `start`, `table` and `machine` name something of whose content the result
has a hash; a `draw` of random numbers, and what changes nothing (`none`), may differ in repetitions, and so may a key that
none of them used, because of others (`train.epochs` beside `train.steps`): a result marks it.
"""

NOT_USED = "# not used"  # behind the value of a key that the run did not use

ROLES = {
    "auto.candidates": "none",
    "auto.measure": "none",
    "auto.replan": "split",
    "auto.replan-threshold": "split",
    "checkpoint.dir": "none",
    "checkpoint.keep": "none",
    "data.classes": "data_set",
    "data.dir": "data_set",
    "data.features": "data_set",
    "data.hold-out": "data_set",
    "data.name": "data_set",
    "data.seed": "data_set",
    "data.targets": "data_set",
    "data.task": "data_set",
    "data.test-samples": "data_set",
    "data.train-samples": "data_set",
    "grid.data": "split",
    "grid.pipeline": "split",
    "grid.tensor": "split",
    "grid.weights": "split",
    "infer.batch": "none",
    "infer.repetitions": "none",
    "infer.samples": "none",
    "infer.warmup": "none",
    "load-model": "start",
    "log.mlperf": "none",
    "machine": "machine",
    "output": "none",
    "print-program": "none",
    "save-model": "none",
    "snapshot.seconds": "none",
    "strategy": "split",
    "sync.table": "table",
    "timeline.first": "none",
    "timeline.steps": "none",
    "train.batch": "batch",
    "train.batch-per-rank": "batch",
    "train.seed": "draw",
    "watchdog.seconds": "none",
}
