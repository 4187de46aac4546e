/// Keys of training and inference: what is computed, and what is kept of it.
#include "key_kinds.hpp"

namespace partita::config {
namespace {

using base::KeyRole;
using base::RunKind;

// The references of these lambdas would be taken for operators.
// clang-format off

const kernels::OptimizerDescription& optimizer_of(const RunOptions& o) { return kernels::describe(o.train.optimizer.rule); }
bool takes_momentum(const RunOptions& o) { return optimizer_of(o).takes_momentum; }

/// A moment that kept all of itself would never begin.
constexpr Bounds<double> below_one{0, 0.999999};

/// Printed where another than SGD is chosen, which all runs of earlier versions are.
Key optimizer() {
  using Rule = kernels::OptimizerRule;
  std::vector<Rule> rules;
  for (const auto& each : kernels::optimizers)
    rules.push_back(each.rule);
  Key key = choice(
      "train.optimizer", "how gradients change the parameters; default: sgd", std::move(rules),
      [](RunOptions& o) -> auto& { return o.train.optimizer.rule; });
  key.print = [plain = key.print](const RunOptions& o) {
    return o.train.optimizer.rule == Rule::sgd ? std::nullopt : plain(o);
  };
  return key;
}

/// Printed only of rules that take it.
Key of_betas(Key key) {
  key.print = [plain = key.print](const RunOptions& o) {
    return optimizer_of(o).takes_betas ? plain(o) : std::nullopt;
  };
  return key;
}

/// Printed only of lars.
Key of_lars(Key key) {
  key.print = [plain = key.print](const RunOptions& o) {
    return o.train.optimizer.rule == kernels::OptimizerRule::lars ? plain(o) : std::nullopt;
  };
  return key;
}

bool has_steps(const RunOptions& o) { return o.train.schedule == LearningRateSchedule::step; }

/// Printed only where it is not derived from the batch of a rank.
Key global_batch() {
  Key key = number<std::int64_t>(
      "train.batch", "global batch in samples", {1, large},
      [](RunOptions& o) -> auto& { return o.train.batch; }).as(KeyRole::batch);
  key.print = [plain = key.print](const RunOptions& o) {
    return o.train.batch_per_rank ? std::nullopt : plain(o);
  };
  return key;
}

}  // namespace

std::vector<Key> train_keys() {
  using O = RunOptions;
  std::vector<Key> keys{
      number<std::int64_t>(
          "train.epochs", "passes over the training set", {0, 1 << 20},
          [](O& o) -> auto& { return o.train.epochs; }).used_when([](const O& o) { return !o.train.steps; }),
      optional_number<std::int64_t>(
          "train.steps", "limits the steps and wins over epochs; 0 only initialises", {0, large},
          [](O& o) -> auto& { return o.train.steps; }),
      global_batch(),
      optional_number<std::int64_t>(
          "train.batch-per-rank", "samples a data rank, instead of train.batch (weak scaling)", {1, large},
          [](O& o) -> auto& { return o.train.batch_per_rank; }).as(KeyRole::batch),
      number<double>(
          "train.learning-rate", "η of the optimizer", {0, no_limit, true},
          [](O& o) -> auto& { return o.train.learning_rate; }),
      choice(
          "train.schedule", "of the learning rate after the warm-up",
          std::array{LearningRateSchedule::constant, LearningRateSchedule::step,
                     LearningRateSchedule::cosine},
          [](O& o) -> auto& { return o.train.schedule; }),
      number<std::int64_t>(
          "train.warmup-steps", "steps of linear warm-up", {0, large},
          [](O& o) -> auto& { return o.train.warmup_steps; }),
      number<std::int64_t>(
          "train.step-epochs", "epochs between two factors of gamma (schedule step)", {1, 1 << 20},
          [](O& o) -> auto& { return o.train.step_epochs; }).used_when(has_steps),
      number<double>(
          "train.gamma", "factor of the learning rate (schedule step)", {0, 1, true},
          [](O& o) -> auto& { return o.train.gamma; }).used_when(has_steps),
      optimizer(),
      number<double>(
          "train.momentum", "µ of sgd, nesterov and lars", {0, 1},
          [](O& o) -> auto& { return o.train.optimizer.momentum; }).used_when(takes_momentum),
      of_betas(number<double>(
          "train.beta1", "β₁ of adam, adamw and lamb: what the first moment keeps in a step; default: 0.9", below_one,
          [](O& o) -> auto& { return o.train.optimizer.beta1; })),
      of_betas(number<double>(
          "train.beta2", "β₂ of adam, adamw and lamb: what the second moment keeps in a step; default: 0.999", below_one,
          [](O& o) -> auto& { return o.train.optimizer.beta2; })),
      of_betas(number<double>(
          "train.epsilon", "ε of adam, adamw and lamb, added to the root of the second moment; default: 1e-08, of lamb 1e-06",
          {1e-30, 1}, [](O& o) -> auto& { return o.train.optimizer.epsilon; })),
      number<double>(
          "train.weight-decay", "λ: added to the gradient, times the weight; adamw takes it from the weight",
          {0, no_limit}, [](O& o) -> auto& { return o.train.optimizer.weight_decay; }),
      of_lars(number<double>(
          "train.trust", "τ of lars: how far a step changes a tensor, as a part of its norm; default: 0.001", {0, 1, true},
          [](O& o) -> auto& { return o.train.optimizer.trust; })),
      optional_number<double>(
          "train.clip-norm", "C: a gradient of a larger norm, of all parameters, is scaled down to it", {0, no_limit, true},
          [](O& o) -> auto& { return o.train.optimizer.clip_norm; }),
      number<std::uint64_t>(
          "train.seed", "of parameters, shuffles and dropout", {0, UINT64_MAX},
          [](O& o) -> auto& { return o.train.seed; }).as(KeyRole::draw),
      choice(
          "train.precision", "of parameters and arithmetic", std::array{Precision::fp32, Precision::fp64, Precision::tf32, Precision::bf16},
          [](O& o) -> auto& { return o.train.precision; }),
      boolean(
          "train.shuffle", "a new order of the samples each epoch",
          [](O& o) -> auto& { return o.train.shuffle; }),
      number<int>(
          "train.accumulate", "micro-batches, one after the other, in the place of each; gradients add up; default: 1", {1, 1 << 20},
          [](O& o) -> auto& { return o.train.accumulate; }).used_when([](const O& o) { return !o.train.deterministic; }),
      boolean(
          "train.deterministic", "the same parameters, bit for bit, on any number of data ranks and stages",
          [](O& o) -> auto& { return o.train.deterministic; }),
      number<int>(
          "train.grains", "parts of a batch whose gradients are added in one fixed tree (deterministic)",
          {1, 1 << 16}, [](O& o) -> auto& { return o.train.grains; }).used_when(
          [](const O& o) { return o.train.deterministic; }),
      optional_number<double>(
          "train.target-accuracy", "stop once the test accuracy reaches this", {0, 1},
          [](O& o) -> auto& { return o.train.target_accuracy; }),
      number<std::int64_t>(
          "evaluate.every", "epochs between evaluations; 0: never", {0, 1 << 20},
          [](O& o) -> auto& { return o.evaluate_every; }, false),
      number<std::int64_t>(
          "timeline.first", "first step of the timeline", {0, large},
          [](O& o) -> auto& { return o.timeline.first; }, false).as(KeyRole::none),
      number<std::int64_t>(
          "timeline.steps", "steps whose every instruction is timed; 0: none", {0, 100000},
          [](O& o) -> auto& { return o.timeline.steps; }, false).as(KeyRole::none),
      number<double>(
          "snapshot.seconds", "between snapshots of the result inside an epoch; 0: at epochs only",
          {0, no_limit}, [](O& o) -> auto& { return o.snapshot_seconds; }, false).as(KeyRole::none),
      boolean(
          "log.mlperf", "rank 0 prints the events of the training as MLPerf log lines (:::MLLOG)",
          [](O& o) -> auto& { return o.mlperf_log; }, false).as(KeyRole::none),
  };
  for (auto& key : keys)
    if (key.name != "train.precision") key.only = RunKind::training;
  return keys;
}

std::vector<Key> checkpoint_keys() {
  using O = RunOptions;
  std::vector<Key> keys{
      {.name = "checkpoint.dir",
       .meaning = "folder of the checkpoints (default: r.checkpoints beside an output r.h5, r.1-checkpoints beside r.1)",
       .decides_result = false,
       .role = KeyRole::none,
       .read = [](O& o, const std::string& value) { return o.checkpoint.dir = value, std::string(); },
       .print =
           [](const O& o) {
             return o.checkpoint.dir.empty() ? std::nullopt : std::optional(o.checkpoint.dir.string());
           }},
      number<std::int64_t>(
          "checkpoint.every", "steps between checkpoints; 0: not by steps", {0, large},
          [](O& o) -> auto& { return o.checkpoint.every; }, false),
      number<double>(
          "checkpoint.seconds", "between checkpoints; 0: not by time", {0, no_limit},
          [](O& o) -> auto& { return o.checkpoint.seconds; }, false),
      number<int>(
          "checkpoint.keep", "the newest checkpoints are kept", {1, 1 << 20},
          [](O& o) -> auto& { return o.checkpoint.keep; }, false).as(KeyRole::none),
  };
  for (auto& key : keys)
    key.only = RunKind::training;
  return keys;
}

/// They say how a trained model is measured, not what is trained.
std::vector<Key> infer_keys() {
  using O = RunOptions;
  std::vector<Key> keys{
      optional_number<std::int64_t>(
          "infer.samples", "the first test samples; default: all", {1, large},
          [](O& o) -> auto& { return o.infer.samples; }),
      optional_number<std::int64_t>(
          "infer.batch", "global batch in samples; default: 256 a data rank", {1, large},
          [](O& o) -> auto& { return o.infer.batch; }).as(KeyRole::batch),
      number<std::int64_t>(
          "infer.repetitions", "passes over the samples", {1, 1 << 20},
          [](O& o) -> auto& { return o.infer.repetitions; }),
      number<std::int64_t>(
          "infer.warmup", "batches that are not timed", {0, 1 << 20},
          [](O& o) -> auto& { return o.infer.warmup; }),
  };
  for (auto& key : keys) {
    key.decides_result = false;
    key.only = RunKind::inference;
  }
  return keys;
}

// clang-format on

}  // namespace partita::config
