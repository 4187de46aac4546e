/// Brings the record up to date where a training calls for it, and writes it.
#include "recorded_training.hpp"

#include <algorithm>
#include <iomanip>
#include <utility>

#include "partita/results/result_file.hpp"

namespace partita::job {
namespace {

void print_epoch(std::ostream& progress, const run::EpochRow& row) {
  progress << "epoch " << row.epoch << std::fixed << std::setprecision(4) << "  train loss "
           << row.train_loss;
  if (row.test_loss) progress << "  test loss " << *row.test_loss;
  if (row.test_accuracy) progress << "  test accuracy " << *row.test_accuracy;
  progress << std::setprecision(0) << "  " << row.samples_per_second << " samples/s" << std::defaultfloat
           << std::endl;
}

void print_report(const Job& job, const state::CheckpointReport& report) {
  if (!report.failure.empty())
    job.messages << "checkpoint of step " << report.step << " FAILED: " << report.failure << std::endl;
  else
    job.progress << "checkpoint of step " << report.step << ": " << report.bytes.value() << " bytes in "
                 << config::checkpoint_dir(job.input.options).string() << std::endl;
}

/// Of each kind the most that a rank held with any plan.
void keep_most(std::vector<results::MemoryRow>& rows, const std::vector<results::MemoryRow>& earlier) {
  using Row = results::MemoryRow;
  for (std::size_t r = 0; r < std::min(rows.size(), earlier.size()); ++r)
    for (const auto kind : {&Row::parameters, &Row::gradients, &Row::optimizer_state, &Row::activations,
                            &Row::communication_buffers, &Row::codec_state})
      rows[r].*kind = std::max(rows[r].*kind, earlier[r].*kind);
}

}  // namespace

RecordedTraining::RecordedTraining(const Job& job, run::Training& training, kernels::Backend& backend,
                                   int threads, MlperfLog& log, Replanner& replanner)
    : job_(job),
      training_(&training),
      log_(log),
      replanner_(replanner),
      record_(begin_record(job, training, backend, threads)) {
  if (!job.input.clock) overhead_.planning_seconds = job.input.planning_seconds;  // of this host's time
}

void RecordedTraining::continue_from(const Resumed& resumed) {
  if (job_.world.rank() != 0) return;
  continue_record(record_, resumed);
  overhead_.first_step = record_.steps.count();
  earlier_timeline_ = record_.timeline;
  if (!resumed.same_run) return;
  earlier_ = {.traffic = resumed.record.traffic, .peers = resumed.record.peers};
  earlier_replans_ = resumed.record.replans;
  if (!earlier_replans_.empty()) earlier_memory_ = resumed.record.memory;
  // Whatever split the checkpoint was written with, the run begins with the one that it is asked for.
  const auto now = name_of(replanner_.split());
  if (!earlier_replans_.empty() && earlier_replans_.back().after != now)
    earlier_replans_.push_back({.step = resumed.step, .before = earlier_replans_.back().after, .after = now});
}

void RecordedTraining::continue_with(run::Training& training, double checkpoint_seconds) {
  training_ = &training;
  overhead_.checkpoint_seconds += checkpoint_seconds;
  recorded_ = timed_ = pushed_ = 0;
  earlier_timeline_ = record_.timeline;
  earlier_memory_ = record_.memory;
}

run::Outcome RecordedTraining::run() {
  const bool speaks = job_.world.rank() == 0;
  return training_->run(
      {.on_epoch_begin = [&](std::int64_t epoch) { log_.begin_epoch(epoch); },
       .on_evaluation_begin = [&](std::int64_t epoch) { log_.begin_evaluation(epoch); },
       .on_epoch =
           [&](const run::EpochRow& row) {
             log_.end_epoch(row);
             if (speaks) print_epoch(job_.progress, row);
             replanner_.observe(*training_);
             snapshot();
           },
       .on_snapshot = [&] { snapshot(); },
       .leaves = [&] { return replanner_.leaves(*training_); },
       .on_checkpoint =
           [&] {
             update();
             return speaks ? results::image_of(record_) : std::vector<std::byte>{};
           },
       .on_report = [&](const state::CheckpointReport& report) { print_report(job_, report); }});
}

const results::RunRecord& RecordedTraining::finish(results::Status status) {
  record_.attributes.status = status;
  record_.attributes.status_reason = training_->failure();
  update();
  overhead_.checkpoint_seconds += training_->checkpoint_seconds();
  if (job_.world.rank() == 0) record_.figures = figures_of_merit(record_, *training_, overhead_);
  write();
  return record_;
}

void RecordedTraining::update() {
  update_record(record_, job_.world, *training_, std::exchange(recorded_, training_->steps().size()),
                earlier_);
  keep_most(record_.memory, earlier_memory_);
  const auto pushes =  // by server, as those before
      run::gather_pushes(job_.world, *training_, std::exchange(pushed_, training_->pushes().size()));
  const auto middle = record_.pushes.insert(record_.pushes.end(), pushes.begin(), pushes.end());
  std::ranges::inplace_merge(record_.pushes, middle, {}, &results::PushRow::server);
  record_.replans = earlier_replans_;
  record_.replans.insert(record_.replans.end(), replanner_.rows().begin(), replanner_.rows().end());
  // A checkpoint's result has the steps of the timeline that are over.
  if (timed_ == training_->recorded().size()) return;
  timed_ = training_->recorded().size();
  record_.timeline = earlier_timeline_;
  add_timeline(record_, job_.world, job_.input.options.model, *training_);
}

void RecordedTraining::write() const {
  const auto& output = job_.input.options.output;
  if (job_.world.rank() == 0 && !output.empty()) results::write_snapshot(output, record_);
}

void RecordedTraining::snapshot() {
  update();
  write();
}

}  // namespace partita::job
