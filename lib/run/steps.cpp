/// One step after the other: its batch, its values, and its row; a server's turns, by round of all workers.
#include <algorithm>
#include <map>
#include <utility>

#include "partita/run/training.hpp"
#include "service.hpp"

namespace partita::run {

using collective::Purpose;

std::int64_t Training::steps_per_epoch() const {
  return (data_.train.samples.value() + options_.batch - 1) / options_.batch;
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
  for (const auto& push : replay_.take(first, end))
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

}  // namespace partita::run
