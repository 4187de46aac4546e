/// What follows what: the steps of an epoch (`steps.cpp`), what is due between two of them
/// (`checkpoints.cpp`), and an epoch's end (evaluation, divergence, target).
#include "partita/run/training.hpp"

#include <algorithm>
#include <cmath>

#include "partita/data/sampler.hpp"
#include "partita/step/build.hpp"

namespace partita::run {

using collective::Activity;
using collective::Purpose;

Training::Training(const model::ModelSpec& model, const step::Plan& plan, const TrainingOptions& options,
                   kernels::Backend& backend, comm::Communicator& world, const data::DataPair& data)
    : model_(model),
      options_(options),
      backend_(backend),
      world_(world),
      data_(data),
      plan_(plan),
      axes_(world, plan_.grid, step::used_axes(model, plan_)),
      format_{.type = backend.type(), .layout = backend.image_layout()},
      training_program_(step::build_training_program(model, plan_, axes_.at(), format_)),
      parameters_(std::make_unique<state::Parameters>(training_program_, backend.device(),
                                                      axes_.along(topology::Axis::data), options.optimizer)) {
  replay_ = PushLog(options.replay, axes_.at().data);
  parameters_->initialize(training_program_, model, options.initializer, options.seed);
  executor_ = std::make_unique<execute::Executor>(
      training_program_, model, backend, axes_, *parameters_,
      execute::Executor::Options{.largest_batch = std::min(options.batch, data.train.samples.value()),
                                 .device_messages = options.device_messages,
                                 .execution = options.execution,
                                 .config_hash = options.config_hash,
                                 .poison_released = options.poison_released});
  for (const auto size : batch_sizes(options.batch, data.train.samples.value()))
    executor_->prepare(size);
  evaluator_ = std::make_unique<Evaluator>(model, plan_, format_, backend, axes_, *parameters_, data.test,
                                           Evaluator::Options{.samples = data.test.samples.value(),
                                                              .batch = evaluation_batch * plan.grid.data,
                                                              .device_messages = options.device_messages});
  if (!options.checkpoint.dir.empty())
    checkpointer_ =
        std::make_unique<state::Checkpointer>(world, model, *parameters_, options.checkpoint,
                                              step::owned_pieces(roles()), step::carried_by(roles()));
}

Training::~Training() = default;

void Training::release_spans() {
  for (; released_ < steps_.size(); ++released_)
    steps_[released_].spans.transfers = {};
}

void Training::calibrate() { executor_->calibrate(std::min(options_.batch, data_.train.samples.value())); }

const step::Roles& Training::roles() const {
  if (!roles_)
    roles_ = std::make_unique<step::Roles>(plan_.grid, [this](const topology::Coordinate& role) {
      return step::build_training_program(model_, plan_, role, format_);
    });
  return *roles_;
}

std::vector<state::LogicalTensor> Training::gather_parameters(state::Receivers receivers) const {
  auto& ledger = world_.ledger();
  const auto activity = ledger.activity();
  ledger.set_activity(Activity::record);
  auto tensors = state::gather_logical(world_, model_, parameters_->weights_on_host(),
                                       step::owned_pieces(roles()), receivers);
  ledger.set_activity(activity);
  return tensors;
}

void Training::set_parameter(const state::LogicalTensor& tensor) {
  const auto held = step::held_pieces(training_program_, axes_.at().data);
  parameters_->edit([&](kernels::View weights, std::span<const kernels::View>) {
    state::scatter_logical(tensor, model_, held, weights);
  });
}

/// Of the epoch under way. A ReLU inside the library may turn NaN into 0 and so keep the loss finite: the
/// parameters tell. `finite`: whether all parameters of all ranks are.
EpochRow Training::summarize(std::int64_t epoch, bool& finite) {
  EpochRow row{.epoch = epoch, .learning_rate = steps_.back().learning_rate};
  world_.ledger().set_activity(Activity::record);
  add_local_losses();
  double most[] = {
      progress_.epoch_seconds,
      execute::all_finite(parameters_->weights_on_host()) && !executor_->non_finite_step() ? 0.0 : 1.0};
  world_.all_reduce(std::span(most), comm::Combine::max, Purpose::metric);
  finite = most[1] == 0;
  const auto samples = static_cast<double>(progress_.samples);
  row.seconds = most[0];
  row.train_loss = progress_.loss_sum / samples;
  row.samples_per_second = samples / row.seconds;
  return row;
}

Evaluator::Means Training::evaluate() {
  world_.ledger().set_activity(Activity::evaluate);
  return evaluator_->evaluate();
}

bool Training::finish_epoch(data::Sampler& sampler, std::int64_t limit, Boundary& boundary,
                            const Observer& observer) {
  const auto order = sampler.order(progress_.step / steps_per_epoch());
  observer.on_epoch_begin(progress_.step / steps_per_epoch() + 1);
  world_.ledger().set_activity(Activity::train);
  while (true) {
    const auto of_epoch = progress_.step % steps_per_epoch();
    const step::StepPlace place{.step = progress_.step,
                                .step_of_epoch = of_epoch,
                                .is_last = of_epoch + 1 == steps_per_epoch() || progress_.step + 1 == limit,
                                .before = waiting_};
    last_batch_ = samples_of(progress_.step, order);
    const bool is_asynchronous = kind_of(plan_.cadence, place) == step::StepKind::asynchronous;
    if (is_asynchronous && progress_.step >= quiescence_) {
      quiescence_ = step::next_quiescence(progress_.step, steps_per_epoch(),
                                          checkpointer_ ? options_.checkpoint.every : 0, limit);
      pushes_to_come_ = quiescence_ - progress_.step;
    }
    if (is_asynchronous && training_program_.serves())
      serve(quiescence_, order);
    else
      one_step(place, last_batch_);
    // Servers have made as many updates as all workers pushed, not as there were steps.
    if (is_asynchronous && progress_.step == quiescence_)
      parameters_->set_first_update(parameters_->first_update() -
                                    pushes_to_come_ * (training_program_.workers() - 1));
    const auto& row = steps_.back();
    // An epoch's last step is followed by the epoch's end first: what that adds belongs to the state after
    // the step.
    const bool diverged = !knows_own_loss(row.kind) && !std::isfinite(row.loss);  // as all ranks know
    if (progress_.step % steps_per_epoch() == 0 || progress_.step == limit || diverged) return true;
    if (!between_steps(boundary, observer)) return false;
  }
}

/// Sums up the epoch, evaluates where that is due, and says how the run ends if it does.
std::optional<Outcome> Training::end_epoch(std::int64_t limit, const Observer& observer) {
  bool finite = true;
  if (progress_.step >= limit && std::isfinite(steps_.back().loss)) drain();
  const auto epoch = (progress_.step + steps_per_epoch() - 1) / steps_per_epoch();
  EpochRow row = summarize(epoch, finite);
  const double last_loss = knows_own_loss(steps_.back().kind) ? row.train_loss : steps_.back().loss;
  const double training_seconds = progress_.training_seconds + row.seconds;
  if (progress_.step % steps_per_epoch() == 0)  // an epoch that a limit of steps cut off may yet go on
    progress_ = {.step = progress_.step, .training_seconds = training_seconds};
  const bool last = progress_.step >= limit;
  bool diverged = !std::isfinite(last_loss) || !finite;
  if (diverged)
    failure_ = execute::explain_divergence(
        world_, *executor_, *parameters_, training_program_, model_, batch_of(last_batch_),
        execute::step_values(*parameters_, 0, options_.seed, progress_.step - 1));
  if (!diverged && options_.evaluate_every > 0 && (last || epoch % options_.evaluate_every == 0)) {
    observer.on_evaluation_begin(epoch);
    const auto evaluation = evaluate();
    row.test_loss = evaluation.loss;
    if (model_.loss == model::Loss::cross_entropy) row.test_accuracy = evaluation.accuracy;
    diverged = !std::isfinite(evaluation.loss);
    if (diverged) failure_ = "the test loss is not finite after epoch " + std::to_string(epoch);
  }
  epochs_.push_back(row);
  if (progress_.samples == 0) progress_.test_accuracy = row.test_accuracy.value_or(results::not_measured);
  const bool reached =
      !diverged && options_.target_accuracy && row.test_accuracy.value_or(0) >= *options_.target_accuracy;
  if (reached) seconds_to_target_ = training_seconds;
  world_.ledger().set_activity(Activity::record);
  observer.on_epoch(row);
  if (diverged) return Outcome::diverged;
  if (reached) return Outcome::target_reached;
  if (last) return Outcome::complete;
  return std::nullopt;
}

Outcome Training::run(const Observer& observer) {
  Boundary boundary(world_, {.snapshot_seconds = options_.snapshot_seconds,
                             .checkpoint_seconds = checkpointer_ ? options_.checkpoint.seconds : 0,
                             .interrupted = options_.interrupted,
                             .is_writing = [this] { return checkpointer_ && checkpointer_->is_writing(); }});
  if (checkpointer_) checkpointer_->on_report = observer.on_report;
  data::Sampler sampler({.samples = data_.train.samples, .seed = options_.seed, .shuffle = options_.shuffle});
  // A limit of steps wins over epochs.
  const std::int64_t limit = options_.steps.value_or(options_.epochs * steps_per_epoch());
  auto outcome = Outcome::complete;
  if (options_.target_accuracy && progress_.test_accuracy >= *options_.target_accuracy) {
    seconds_to_target_ = progress_.training_seconds;
    return Outcome::target_reached;
  }
  while (progress_.step < limit) {
    const bool stopped = !finish_epoch(sampler, limit, boundary, observer);
    const auto end = stopped ? std::optional(Outcome::interrupted) : end_epoch(limit, observer);
    if (end || !between_steps(boundary, observer)) {
      outcome = end.value_or(Outcome::interrupted);
      break;
    }
    world_.ledger().set_activity(Activity::record);
    if (observer.leaves()) {
      outcome = Outcome::left;
      break;
    }
  }
  const bool wanted =
      options_.checkpoint.every > 0 || options_.checkpoint.seconds > 0 || outcome == Outcome::left;
  if (checkpointer_ && wanted && outcome != Outcome::diverged && checkpointed_step_ != progress_.step)
    begin_checkpoint(observer);
  finish_checkpoint();
  executor_->settle();
  return outcome;
}

}  // namespace partita::run
