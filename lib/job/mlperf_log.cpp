/// Which event of a training becomes which line. Times count from one reading of the system's clock by the
/// monotonic one.
#include "mlperf_log.hpp"

#include <chrono>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <ostream>

#include "partita/base/clock.hpp"
#include "partita/base/utf8.hpp"

namespace partita::job {
namespace {

using nlohmann::ordered_json;

constexpr std::string_view start = "INTERVAL_START", end = "INTERVAL_END", point = "POINT_IN_TIME";
const ordered_json nothing, no_more = ordered_json::object();

}  // namespace

MlperfLog::MlperfLog(std::ostream* out)
    : out_(out),
      begin_ms_(std::chrono::duration<double, std::milli>(std::chrono::system_clock::now().time_since_epoch())
                    .count()),
      begin_seconds_(base::now_seconds()) {
  write(start, "init_start", nothing, no_more);
}

void MlperfLog::write(std::string_view type, std::string_view key, const ordered_json& value,
                      const ordered_json& more, std::source_location where) const {
  if (!out_) return;
  ordered_json metadata{{"file", std::filesystem::path(where.file_name()).filename().string()},
                        {"lineno", where.line()}};
  if (epoch_ > 0) metadata["epoch_num"] = epoch_;
  metadata.update(more);
  const auto time_ms = begin_ms_ + 1e3 * (base::now_seconds() - begin_seconds_);
  const ordered_json line{{"namespace", ""},    {"time_ms", static_cast<std::int64_t>(time_ms)},
                          {"event_type", type}, {"key", key},
                          {"value", value},     {"metadata", metadata}};
  *out_ << ":::MLLOG " << base::with_utf8(line).dump() << std::endl;
}

void MlperfLog::begin_run(const config::RunOptions& options, const data::DataPair& data) {
  const auto& t = options.train;
  write(point, "submission_benchmark", options.model.name, no_more);
  write(point, "seed", t.seed, no_more);
  write(point, "global_batch_size", t.batch, no_more);
  write(point, "train_samples", data.train.samples.value(), no_more);
  write(point, "eval_samples", data.test.samples.value(), no_more);
  write(point, "opt_name", to_string(t.optimizer.rule), no_more);
  write(point, "opt_base_learning_rate", t.learning_rate, no_more);
  write(point, "opt_learning_rate_warmup_steps", t.warmup_steps, no_more);
  const auto& rule = kernels::describe(t.optimizer.rule);
  if (rule.takes_betas) {
    const std::string of = rule.takes_norms ? "opt_lamb_" : "opt_adam_";
    write(point, of + "beta_1", t.optimizer.beta1, no_more);
    write(point, of + "beta_2", t.optimizer.beta2, no_more);
    write(point, of + "epsilon", t.optimizer.epsilon, no_more);
  }
  if (rule.takes_momentum) write(point, "opt_momentum", t.optimizer.momentum, no_more);
  write(point, "opt_weight_decay", t.optimizer.weight_decay, no_more);
  if (t.optimizer.clip_norm) write(point, "opt_gradient_clip_norm", *t.optimizer.clip_norm, no_more);
  write(end, "init_stop", nothing, no_more);
  write(start, "run_start", nothing, no_more);
}

void MlperfLog::begin_epoch(std::int64_t epoch) {
  epoch_ = epoch;
  write(start, "epoch_start", nothing, no_more);
}

void MlperfLog::begin_evaluation(std::int64_t epoch) {
  epoch_ = epoch;
  evaluates_ = true;
  write(start, "eval_start", nothing, no_more);
}

void MlperfLog::end_epoch(const run::EpochRow& row) {
  epoch_ = row.epoch;
  if (row.test_accuracy) write(point, "eval_accuracy", *row.test_accuracy, no_more);
  if (evaluates_) write(end, "eval_stop", nothing, no_more);
  write(point, "tracked_stats", {{"throughput", row.samples_per_second}, {"train_loss", row.train_loss}},
        no_more);
  write(end, "epoch_stop", nothing, no_more);
  evaluates_ = false;
  epoch_ = 0;
}

void MlperfLog::end_run(bool success) {
  if (epoch_ > 0) write(end, "epoch_stop", nothing, no_more);  // it was interrupted
  epoch_ = 0;
  write(end, "run_stop", nothing, {{"status", success ? "success" : "aborted"}});
}

}  // namespace partita::job
