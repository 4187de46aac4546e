#include "partita/run/training.hpp"

#include <algorithm>
#include <cmath>

#include "partita/base/clock.hpp"
#include "partita/data/batch.hpp"
#include "partita/data/sampler.hpp"
#include "partita/run/snapshot_clock.hpp"
#include "partita/step/build.hpp"
#include "partita/topology/cut.hpp"

namespace partita::run {
namespace {

using collective::Activity;
using collective::Purpose;

/// Samples a rank evaluates at once; any number gives the same sums up to rounding.
constexpr std::int64_t evaluation_batch = 256;

step::BuildOptions build_options(const TrainingOptions& options, const kernels::Backend& backend) {
  return {.grid = options.grid,
          .type = backend.type(),
          .layout = backend.image_layout(),
          .bucket_bytes = options.bucket_bytes};
}

/// The largest share of n that any of p ranks has.
std::int64_t largest_share(std::int64_t n, std::int64_t p) { return (n + p - 1) / p; }

}  // namespace

Training::Training(const model::ModelSpec& model, const TrainingOptions& options, kernels::Backend& backend,
                   comm::Communicator& world, const data::DataPair& data)
    : model_(model),
      options_(options),
      backend_(backend),
      world_(world),
      data_(data),
      axis_(world.along(topology::Axis::data, options.grid)),
      at_(topology::coordinate_of(options.grid, world.rank())),
      training_program_(step::build_training_program(model, build_options(options, backend))),
      evaluation_program_(step::build_evaluation_program(model, build_options(options, backend))),
      parameters_(std::make_unique<Parameters>(training_program_, axis_)) {
  parameters_->initialize(training_program_, model, options.initializer, options.seed);
  const auto share = largest_share(std::min(options.batch, data.train.samples.value()), options.grid.data);
  executor_ =
      std::make_unique<Executor>(training_program_, model, backend, axis_, *parameters_,
                                 Executor::Options{.largest_share = share, .algorithm = options.algorithm});
  evaluator_ = std::make_unique<Executor>(evaluation_program_, model, backend, axis_, *parameters_,
                                          Executor::Options{.largest_share = evaluation_batch});
  calibrate();
}

Training::~Training() = default;

/// Runs each reduction of the program alone a few times: what of this duration a step does not wait for is
/// hidden.
void Training::calibrate() {
  for (const auto& reduction : executor_->reductions()) {
    double fastest = INFINITY;
    for (int repetition = 0; repetition < 5; ++repetition) {
      axis_.barrier();
      const double begin = base::now_seconds();
      reduction->start();
      reduction->wait();
      fastest = std::min(fastest, base::now_seconds() - begin);
    }
    reduction->set_alone_seconds(fastest);
  }
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
  const auto mine = topology::share(at_.data, options_.grid.data, row.samples);
  const BatchShare share{
      .dataset = &data_.train,
      .indices = batch.subspan(static_cast<std::size_t>(mine.begin), static_cast<std::size_t>(mine.size())),
      .global_batch = row.samples,
      .position = {.seed = options_.seed, .step = step, .first_sample = kernels::Samples(mine.begin)}};
  const kernels::SgdStep optimizer{.learning_rate = row.learning_rate,
                                   .momentum = options_.momentum,
                                   .weight_decay = options_.weight_decay};
  row.spans.other += base::now_seconds() - begin;
  const auto sums = executor_->run(share, optimizer, row.spans);
  row.loss = sums.loss / static_cast<double>(row.samples);
  row.seconds = base::now_seconds() - begin;
  steps_.push_back(std::move(row));
}

EpochRow Training::summarize(std::int64_t epoch, std::size_t first_step) {
  EpochRow row{.epoch = epoch};
  double samples = 0;
  for (std::size_t i = first_step; i < steps_.size(); ++i) {
    row.train_loss += steps_[i].loss * static_cast<double>(steps_[i].samples);
    row.seconds += steps_[i].seconds;
    samples += static_cast<double>(steps_[i].samples);
  }
  world_.ledger().set_activity(Activity::record);
  world_.all_reduce(std::span(&row.seconds, 1), comm::Combine::max, Purpose::metric);
  row.train_loss /= samples;
  row.samples_per_second = samples / row.seconds;
  row.learning_rate = steps_.back().learning_rate;
  return row;
}

Training::Evaluation Training::evaluate() {
  world_.ledger().set_activity(Activity::evaluate);
  const auto mine = topology::share(at_.data, options_.grid.data, data_.test.samples.value());
  double sums[2] = {};
  std::vector<std::int64_t> indices;
  for (std::int64_t begin = mine.begin; begin < mine.end; begin += evaluation_batch) {
    indices.clear();
    for (std::int64_t i = begin; i < std::min(mine.end, begin + evaluation_batch); ++i)
      indices.push_back(i);
    StepSpans spans;
    const auto batch = evaluator_->run(
        {.dataset = &data_.test, .indices = indices, .global_batch = data_.test.samples.value()}, {}, spans);
    sums[0] += batch.loss;
    sums[1] += static_cast<double>(batch.correct);
  }
  axis_.all_reduce(std::span(sums), comm::Combine::sum, Purpose::metric);
  const auto samples = static_cast<double>(data_.test.samples.value());
  return {.loss = sums[0] / samples, .accuracy = sums[1] / samples};
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
    world_.ledger().set_activity(Activity::train);
    for (std::int64_t begin = 0; begin < n && step < limit; begin += options_.batch, ++step) {
      one_step(step, order.subspan(static_cast<std::size_t>(begin),
                                   static_cast<std::size_t>(std::min(options_.batch, n - begin))));
      if (!std::isfinite(steps_.back().loss)) break;
      if (!snapshots.due()) continue;
      world_.ledger().set_activity(Activity::record);
      observer.on_snapshot();
      world_.ledger().set_activity(Activity::train);
    }
    EpochRow row = summarize(epoch + 1, first_step);
    training_seconds += row.seconds;
    const bool diverged = !std::isfinite(steps_.back().loss) || !all_finite(parameters_->weights());
    const bool last = step >= limit || (!options_.steps && epoch + 1 == options_.epochs);
    if (!diverged && options_.evaluate_every > 0 && (last || (epoch + 1) % options_.evaluate_every == 0)) {
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
