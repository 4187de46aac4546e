#include "partita/run/training.hpp"

#include <algorithm>
#include <cmath>

#include "partita/base/clock.hpp"
#include "partita/data/sampler.hpp"
#include "partita/run/snapshot_clock.hpp"
#include "partita/step/build.hpp"

namespace partita::run {
namespace {

using collective::Activity;
using collective::Purpose;

/// Samples of a data rank in one evaluation pass; any number gives the same sums up to rounding.
constexpr std::int64_t evaluation_batch = 256;

}  // namespace

Training::Training(const model::ModelSpec& model, const TrainingOptions& options, kernels::Backend& backend,
                   comm::Communicator& world, const data::DataPair& data)
    : model_(model),
      options_(options),
      backend_(backend),
      world_(world),
      data_(data),
      plan_(step::plan(model, options.split)),
      axes_(world, model, plan_),
      format_{.type = backend.type(), .layout = backend.image_layout()},
      training_program_(step::build_training_program(model, plan_, axes_.at(), format_)),
      parameters_(std::make_unique<Parameters>(training_program_, axes_.along(topology::Axis::data))) {
  parameters_->initialize(training_program_, model, options.initializer, options.seed);
  executor_ = std::make_unique<Executor>(
      training_program_, model, backend, axes_, *parameters_,
      Executor::Options{
          .largest_batch = std::min(options.split.batch, data.train.samples.value()),
          // In the deterministic mode ranks combine nearest first.
          .algorithm = options.split.grains > 0 ? comm::Algorithm::recursive_doubling : options.algorithm,
          .poison_released = options.poison_released});
  const std::int64_t n = data.train.samples.value();
  executor_->prepare(std::min(n, options.split.batch));
  if (n > options.split.batch && n % options.split.batch != 0) executor_->prepare(n % options.split.batch);
  evaluator_ =
      std::make_unique<Evaluator>(model, plan_, format_, backend, axes_, *parameters_, data.test,
                                  Evaluator::Options{.samples = data.test.samples.value(),
                                                     .batch = evaluation_batch * options.split.grid.data});
}

Training::~Training() = default;

void Training::release_spans() {
  for (; released_ < steps_.size(); ++released_)
    steps_[released_].spans.transfers = {};
}

void Training::calibrate() {
  executor_->calibrate(std::min(options_.split.batch, data_.train.samples.value()));
}

step::Program Training::program_of(int rank) const {
  return step::build_training_program(model_, plan_, topology::coordinate_of(plan_.grid, rank), format_);
}

std::vector<LogicalTensor> Training::gather_parameters() const {
  return gather_logical(world_, model_, parameters_->weights(),
                        [this](int rank) { return program_of(rank); });
}

void Training::set_parameter(const LogicalTensor& tensor) {
  scatter_logical(tensor, training_program_, parameters_->weights());
}

namespace {

/// A ReLU inside the library may turn NaN into 0, so that a lost model still has a finite loss: the
/// parameters tell.
bool all_finite(View values) {
  const auto check = [](auto span) {
    return std::all_of(span.begin(), span.end(), [](auto value) { return std::isfinite(value); });
  };
  return values.type() == kernels::DataType::float64 ? check(values.as<double>()) : check(values.as<float>());
}

}  // namespace

void Training::one_step(std::int64_t step, std::span<const std::int64_t> batch) {
  StepRow row{.samples = static_cast<std::int64_t>(batch.size()),
              .learning_rate = options_.learning_rate.at(step)};
  const double begin = base::now_seconds();
  const Batch all{
      .dataset = &data_.train, .indices = batch, .divisor = row.samples, .seed = options_.seed, .step = step};
  const kernels::SgdStep optimizer{.learning_rate = row.learning_rate,
                                   .momentum = options_.momentum,
                                   .weight_decay = options_.weight_decay};
  const bool recorded =
      step >= options_.timeline_first && step < options_.timeline_first + options_.timeline_steps;
  if (recorded) {
    recorded_.push_back({.step = step, .batch = row.samples});
    recorded_.back().instructions.reserve(training_program_.instructions.size());
  }
  executor_->record_times(recorded ? &recorded_.back().instructions : nullptr);
  row.spans.other += base::now_seconds() - begin;
  const auto sums = executor_->run(all, optimizer, row.spans);
  row.loss = sums.loss / static_cast<double>(row.samples);
  row.seconds = base::now_seconds() - begin;
  steps_.push_back(std::move(row));
}

/// `finite`: whether all parameters of all ranks are.
EpochRow Training::summarize(std::int64_t epoch, std::size_t first_step, bool& finite) {
  EpochRow row{.epoch = epoch};
  double samples = 0, seconds = 0;
  for (std::size_t i = first_step; i < steps_.size(); ++i) {
    row.train_loss += steps_[i].loss * static_cast<double>(steps_[i].samples);
    seconds += steps_[i].seconds;
    samples += static_cast<double>(steps_[i].samples);
  }
  world_.ledger().set_activity(Activity::record);
  double most[] = {seconds, all_finite(parameters_->weights()) ? 0.0 : 1.0};
  world_.all_reduce(std::span(most), comm::Combine::max, Purpose::metric);
  finite = most[1] == 0;
  row.seconds = most[0];
  row.train_loss /= samples;
  row.samples_per_second = samples / row.seconds;
  row.learning_rate = steps_.back().learning_rate;
  return row;
}

Evaluator::Means Training::evaluate() {
  world_.ledger().set_activity(Activity::evaluate);
  return evaluator_->evaluate();
}

Outcome Training::run(const Observer& observer) {
  SnapshotClock snapshots(world_, options_.snapshot_seconds);
  data::Sampler sampler({.samples = data_.train.samples, .seed = options_.seed, .shuffle = options_.shuffle});
  const std::int64_t n = data_.train.samples.value();
  const std::int64_t limit = options_.steps.value_or(INT64_MAX);
  double training_seconds = 0;
  std::int64_t step = 0;
  // With a limit of steps the epochs follow from it.
  for (std::int64_t epoch = 0; step < limit && (options_.steps || epoch < options_.epochs); ++epoch) {
    const auto order = sampler.order(epoch);
    const std::size_t first_step = steps_.size();
    observer.on_epoch_begin(epoch + 1);
    world_.ledger().set_activity(Activity::train);
    for (std::int64_t begin = 0; begin < n && step < limit; begin += options_.split.batch, ++step) {
      one_step(step, order.subspan(static_cast<std::size_t>(begin),
                                   static_cast<std::size_t>(std::min(options_.split.batch, n - begin))));
      if (!std::isfinite(steps_.back().loss)) break;
      if (!snapshots.due()) continue;
      world_.ledger().set_activity(Activity::record);
      observer.on_snapshot();
      world_.ledger().set_activity(Activity::train);
    }
    bool finite = true;
    EpochRow row = summarize(epoch + 1, first_step, finite);
    training_seconds += row.seconds;
    const bool diverged = !std::isfinite(steps_.back().loss) || !finite;
    const bool last = step >= limit || (!options_.steps && epoch + 1 == options_.epochs);
    if (!diverged && options_.evaluate_every > 0 && (last || (epoch + 1) % options_.evaluate_every == 0)) {
      observer.on_evaluation_begin(epoch + 1);
      const auto evaluation = evaluate();
      row.test_loss = evaluation.loss;
      if (model_.loss == model::Loss::cross_entropy) row.test_accuracy = evaluation.accuracy;
    }
    epochs_.push_back(row);
    const bool reached =
        options_.target_accuracy && row.test_accuracy.value_or(0) >= *options_.target_accuracy;
    if (reached) seconds_to_target_ = training_seconds;
    world_.ledger().set_activity(Activity::record);
    observer.on_epoch(row);
    if (diverged) return Outcome::diverged;
    if (reached) return Outcome::target_reached;
  }
  return Outcome::complete;
}

}  // namespace partita::run
