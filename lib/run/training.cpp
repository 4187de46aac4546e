/// What follows what: the steps of an epoch, what is due between two of them (checkpoint, snapshot, stop),
/// and an epoch's end (evaluation, divergence, target).
#include "partita/run/training.hpp"

#include <algorithm>
#include <cmath>
#include <map>

#include "partita/data/sampler.hpp"
#include "partita/state/restore.hpp"
#include "partita/step/build.hpp"
#include "service.hpp"

namespace partita::run {

using collective::Activity;
using collective::Purpose;

namespace {

/// Whether a data rank knows the loss of its own samples only.
bool knows_own_loss(step::StepKind kind) {
  return kind == step::StepKind::local || kind == step::StepKind::asynchronous;
}

}  // namespace

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
  parameters_->initialize(training_program_, model, options.initializer, options.seed);
  executor_ = std::make_unique<execute::Executor>(
      training_program_, model, backend, axes_, *parameters_,
      execute::Executor::Options{.largest_batch = std::min(options.batch, data.train.samples.value()),
                                 .device_messages = options.device_messages,
                                 .execution = options.execution,
                                 .run = options.run,
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

execute::Batch Training::batch_of(std::span<const std::int64_t> samples) const {
  return {.dataset = &data_.train, .indices = samples, .divisor = static_cast<std::int64_t>(samples.size())};
}

std::int64_t Training::own_samples(std::int64_t batch) const {
  std::int64_t own = 0;
  for (const auto j : training_program_.microbatch_ids())
    own += training_program_.microbatch(j, axes_.at().data, batch).size();
  return own;
}

kernels::StepValues Training::values_of(const step::StepPlace& place, step::StepKind kind) const {
  using enum step::StepKind;
  const std::int64_t delay = plan_.cadence.is_delayed ? 1 : 0;
  auto values = execute::step_values(*parameters_,
                                     options_.learning_rate.at(std::max<std::int64_t>(0, place.step - delay)),
                                     options_.seed, place.step, delay);
  if (kind == averaging)
    values.sample_share = static_cast<double>(own_samples_since_) / static_cast<double>(samples_since_);
  return values;
}

void Training::one_step(const step::StepPlace& place, std::span<const std::int64_t> batch) {
  using enum step::StepKind;
  const auto kind = kind_of(plan_.cadence, place);
  StepRow row{.kind = kind,
              .samples = static_cast<std::int64_t>(batch.size()),
              .learning_rate = options_.learning_rate.at(place.step)};
  const double begin = world_.now_seconds();
  execute::Batch all = batch_of(batch);
  const bool is_alone = kind == local || kind == averaging;
  const auto own = std::max<std::int64_t>(1, own_samples(row.samples));
  if (is_alone) {
    all.divisor = own;
    if (!has_anchors_) parameters_->set_anchors(training_program_);
    samples_since_ += row.samples, own_samples_since_ += own_samples(row.samples);
  }
  has_anchors_ = is_alone;
  const auto values = values_of(place, kind);
  if (is_recorded(place.step)) {
    recorded_.push_back({.step = place.step, .batch = row.samples, .kind = kind});
    recorded_.back().instructions.reserve(training_program_.instructions.size());
  }
  executor_->record_times(is_recorded(place.step) ? &recorded_.back().instructions : nullptr);
  const auto sums = executor_->run(all, values, row.spans, kind);
  row.spans.other += row.spans.begin - begin;
  row.loss = sums.loss / static_cast<double>(knows_own_loss(kind) ? own : row.samples);
  if (kind != first) row.gradient_norm = executor_->gradient_norm();  // else nothing has one yet
  row.seconds = row.spans.end - begin;
  (knows_own_loss(kind) ? local_loss_sum_ : progress_.loss_sum) += sums.loss;
  if (kind == averaging) samples_since_ = own_samples_since_ = 0;
  if (kind == averaging && plan_.cadence.local.states == step::LocalStates::reset)
    parameters_->set_first_update(place.step + 1);  // states that begin again count from there
  if (plan_.cadence.is_delayed) waiting_ = kind;
  finish_step(std::move(row));
}

void Training::finish_step(StepRow row) {
  ++progress_.step;
  progress_.samples += row.samples;
  progress_.epoch_seconds += row.seconds;
  row.ends_stretch = row.kind != step::StepKind::local &&
                     (row.kind != step::StepKind::asynchronous || progress_.step == quiescence_);
  steps_.push_back(std::move(row));
}

void Training::serve(std::int64_t end, std::span<const std::int64_t> order) {
  const auto first = progress_.step;
  double begin = world_.now_seconds();
  std::map<std::pair<int, std::int64_t>, std::size_t> record_of;
  Service service(*executor_, training_program_,
                  {.values =
                       [&](std::int64_t step, std::int64_t update) {
                         auto values = execute::step_values(*parameters_, options_.learning_rate.at(step),
                                                            options_.seed, first + update);
                         values.step = step;
                         return values;
                       },
                   .times = [&](int worker, std::int64_t step) -> std::vector<execute::InstructionTimes>* {
                     if (!is_recorded(step)) return nullptr;
                     const auto [known, is_new] = record_of.try_emplace({worker, step}, recorded_.size());
                     if (is_new)
                       recorded_.push_back({.step = step,
                                            .batch = std::ssize(samples_of(step, order)),
                                            .kind = step::StepKind::asynchronous,
                                            .worker = worker});
                     return &recorded_[known->second].instructions;
                   },
                   .round_is_over =
                       [&](execute::StepSpans spans) {
                         const double now = world_.now_seconds();
                         StepRow row{.kind = step::StepKind::asynchronous,
                                     .samples = std::ssize(samples_of(progress_.step, order)),
                                     .seconds = now - begin,
                                     .learning_rate = options_.learning_rate.at(progress_.step),
                                     .spans = std::move(spans)};
                         row.spans.begin = begin, row.spans.end = now;
                         row.spans.other =
                             row.seconds - row.spans.update - row.spans.awaiting - row.spans.progress;
                         begin = now;
                         finish_step(std::move(row));
                         if (checkpointer_ && !steps_.back().ends_stretch)  // else it is between steps
                           checkpointer_->after_step(steps_.back().seconds);
                       }});
  std::vector<int> replayed;
  for (const auto& push : options_.replay)
    if (push.server == axes_.at().data && push.step >= first && push.step < end)
      replayed.push_back(static_cast<int>(push.worker));
  auto taken = service.serve(first, end, replayed);
  for (auto& push : taken) {
    push.server = axes_.at().data;
    pushes_.push_back(push);
  }
}

std::span<const std::int64_t> Training::samples_of(std::int64_t step,
                                                   std::span<const std::int64_t> order) const {
  const std::int64_t begin = step % steps_per_epoch() * options_.batch;
  return order.subspan(static_cast<std::size_t>(begin),
                       static_cast<std::size_t>(std::min(options_.batch, std::ssize(order) - begin)));
}

void Training::drain() {
  if (!waiting_) return;
  const auto kind = drain_of(*std::exchange(waiting_, std::nullopt));
  execute::StepSpans spans;
  executor_->record_times(nullptr);
  executor_->run(batch_of(last_batch_), values_of({.step = progress_.step}, kind), spans, kind);
}

void Training::add_local_losses() {
  if (!plan_.cadence.local.is_on() && !plan_.cadence.servers.is_asynchronous) return;
  // All ranks of a data coordinate know the same.
  double sum = local_loss_sum_ / static_cast<double>(plan_.grid.pipeline * plan_.grid.tensor);
  world_.all_reduce(std::span(&sum, 1), comm::Combine::sum, Purpose::metric);
  progress_.loss_sum += sum;
  local_loss_sum_ = 0;
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

void Training::restore(const std::filesystem::path& folder, const results::Manifest& manifest,
                       std::vector<EpochRow> epochs) {
  state::restore(folder, manifest, model_, training_program_, *parameters_);
  if (plan_.compression.is_on() || !manifest.own_states.empty()) {
    auto carried = step::carried_by(roles());
    if (const auto rank = static_cast<std::size_t>(world_.rank()); carried.states[rank].empty())
      carried.states[rank] = step::as_carried_states(step::updated_pieces(training_program_, axes_.at().data),
                                                     static_cast<int>(manifest.states.size()));
    state::restore_carried(folder, manifest, model_, carried, world_.rank(), *parameters_);
  }
  progress_ = manifest.progress;
  checkpointed_step_ = committed_step_ = considered_step_ = progress_.step;
  if (parameters_->is_waiting()) waiting_ = step::StepKind::first;
  epochs_ = std::move(epochs);
  // An epoch that the checkpoint lies inside of gets its row when it is over.
  std::erase_if(epochs_, [&](const auto& row) { return row.epoch > progress_.step / steps_per_epoch(); });
}

std::int64_t Training::steps_per_epoch() const {
  return (data_.train.samples.value() + options_.batch - 1) / options_.batch;
}

void Training::begin_checkpoint(const Observer& observer) {
  const double begun = world_.now_seconds();
  world_.ledger().set_activity(Activity::record);
  double diverged = executor_->non_finite_step() ? 1 : 0;
  world_.all_reduce(std::span(&diverged, 1), comm::Combine::max, Purpose::metric);
  if (diverged > 0)
    return world_.ledger().set_activity(Activity::train);  // as the next step's loss tells all ranks
  checkpointed_step_ = progress_.step;
  add_local_losses();
  executor_->settle();
  parameters_->keep_waiting(training_program_, waiting_);
  checkpointer_->begin(progress_, observer.on_checkpoint());
  world_.ledger().set_activity(Activity::train);
  checkpoint_seconds_ += world_.now_seconds() - begun;
}

void Training::finish_checkpoint() {
  if (!checkpointer_) return;
  const double begun = world_.now_seconds();
  committed_step_ = std::max(committed_step_, checkpointer_->finish());
  checkpoint_seconds_ += world_.now_seconds() - begun;
}

/// What is due once a step, or the epoch that it ends, is over. False when somebody asked to stop.
bool Training::between_steps(Boundary& boundary, const Observer& observer) {
  if (checkpointer_) {
    const double begun = world_.now_seconds();
    checkpointer_->after_step(steps_.back().seconds);
    checkpoint_seconds_ += world_.now_seconds() - begun;
  }
  // Ranks have parameters of their own.
  if (!steps_.back().ends_stretch) return true;
  const auto due = boundary.after_step();
  if (checkpointer_) {
    const auto every = options_.checkpoint.every;
    const auto before = std::exchange(considered_step_, progress_.step);
    if (due.stop || due.checkpoint || (every > 0 && progress_.step / every > before / every)) {
      begin_checkpoint(observer);
      boundary.restart_checkpoint();
    }
  }
  if (due.stop) return false;
  if (due.snapshot) {
    world_.ledger().set_activity(Activity::record);
    observer.on_snapshot();
    world_.ledger().set_activity(Activity::train);
  }
  return true;
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
