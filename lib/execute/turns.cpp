/// An asynchronous server: one part of a turn at a time, and what of a push has come. Who is next decides
/// whoever calls.
#include "bound.hpp"

namespace partita::execute {

void Executor::run_turn(const step::Turn& turn, const kernels::StepValues& values, StepSpans& spans) {
  Bound& bound = bind(options_.largest_batch);
  spans.transfers.resize(program_.transfers.size());
  const comm::VirtualClock::Run runs(clock_);
  double begin = axes_.world().now_seconds();
  if (times_) times_->resize(program_.instructions.size());
  step_memory_.begin(values, {});
  for (std::size_t i = 0; i < program_.instructions.size(); ++i) {
    if (program_.instructions[i].turn != turn) continue;
    position_.set(positions_[i]);
    begin = carry_out(i, bound, {}, begin, spans);
  }
  step_memory_.end();
  if (!non_finite_step_) non_finite_step_ = step_memory_.reported_non_finite_step();
}

template <class Act>
void Executor::for_each_of_push(int worker, const Act& act) {
  Bound& bound = bind(options_.largest_batch);
  for (const auto& instruction : program_.instructions)
    if (instruction.turn == step::Turn{worker, step::TurnPart::receive})
      act(transfer(bound, *instruction.transfer));
}

comm::Collective* Executor::missing_of_push(int worker) {
  comm::Collective* missing = nullptr;
  for_each_of_push(worker, [&](comm::Collective& receive) {
    if (missing == nullptr && !receive.test()) missing = &receive;
  });
  return missing;
}

double Executor::meet_push(int worker) {
  const double begin = axes_.world().now_seconds();
  for_each_of_push(worker, [](comm::Collective& receive) { receive.catch_up(); });
  return axes_.world().now_seconds() - begin;
}

bool Executor::has_push(int worker) { return missing_of_push(worker) == nullptr; }

double Executor::wait_for_push(int worker, const std::function<bool()>& done) {
  const double begin = axes_.world().now_seconds();
  if (auto* const missing = missing_of_push(worker)) missing->wait_until(done);
  return axes_.world().now_seconds() - begin;
}

}  // namespace partita::execute
