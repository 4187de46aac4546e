/// A step on a host: its instructions in order, each done when the next begins, and where its time goes.
#include <algorithm>
#include <cstring>
#include <utility>

#include "bound.hpp"
#include "partita/base/error.hpp"
#include "secure_sums.hpp"

namespace partita::execute {

using step::Kind;

kernels::LossSums Executor::run(const Batch& batch, const kernels::StepValues& values, StepSpans& spans,
                                step::StepKind kind) {
  Bound& bound = bind(static_cast<std::int64_t>(batch.indices.size()));
  spans.transfers.resize(program_.transfers.size());
  spans.progress = 0;
  if (times_) times_->clear();
  const comm::VirtualClock::Run runs(clock_);
  const double begin = spans.begin = axes_.world().now_seconds();
  step_memory_.begin(values, batch.indices);
  if (secure_sums_) secure_sums_->begin_pass();
  if (non_finite_step_) step_memory_.invalidate_sums();
  if (device_.is_host()) {
    walk(bound, batch, kind, begin, spans);
    if (clock_) clock_->pass_overhead(clock_->own().overheads.step_seconds);
    step_memory_.end();
  } else {
    issue(bound, batch, begin, spans);
  }
  if (!non_finite_step_) non_finite_step_ = step_memory_.reported_non_finite_step();
  return step_memory_.sums();
}

void Executor::start(Bound& bound, step::TransferId id) {
  transfer(bound, id).start();
  under_way_[id] = 1;
  ++count_under_way_;
}

/// What the step before started may have been waited for between the two.
void Executor::wait(Bound& bound, step::TransferId id) {
  if (std::exchange(under_way_[id], 0) == 0) {
    base::expect(program_.is_carried(program_.transfers[id]), "what is waited for was started", id);
    return;
  }
  transfer(bound, id).wait();
  --count_under_way_;
}

void Executor::settle() {
  if (count_under_way_ == 0) return;
  Bound& bound = bind(options_.largest_batch);  // what is under way between steps is of slots of the run
  for (const auto id : under_way_.ids())
    if (under_way_[id]) wait(bound, id);
  decode_what_waits(bound);
}

void Executor::walk(Bound& bound, const Batch& batch, step::StepKind kind, double begin, StepSpans& spans) {
  if (times_) times_->resize(program_.instructions.size());
  for (std::size_t i = 0; i < program_.instructions.size(); ++i) {
    const auto& instruction = program_.instructions[i];
    position_.set(positions_[i]);
    // Who looks for what is not finite changes nothing that stays.
    const bool averages =
        inspects_ && communicates(instruction) &&
        program_.transfers[*instruction.transfer].operation == collective::Operation::all_reduce &&
        program_.transfers[*instruction.transfer].purpose == collective::Purpose::parameter;
    if (!instruction.in.has(kind) || averages) {
      if (times_) (*times_)[i] = {begin, begin};
    } else {
      begin = carry_out(i, bound, batch, begin, spans);
    }
    if (options_.poison_released) poison(i, bound);
  }
  spans.end = begin;
}

double Executor::carry_out(std::size_t number, Bound& bound, const Batch& batch, double begin,
                           StepSpans& spans) {
  const auto& instruction = program_.instructions[number];
  const auto& world = axes_.world();
  double progressed = 0;
  if (communicates(instruction) && options_.instead_of_kernels) options_.instead_of_kernels(instruction);
  if (instruction.kind == Kind::start) {
    start(bound, *instruction.transfer);
  } else if (instruction.kind == Kind::wait) {
    wait(bound, *instruction.transfer);
  } else {
    do_compute(instruction, bound, batch);
    if (count_under_way_ > 0) {
      progressed = -world.now_seconds();
      world.progress();
    }
  }
  const double now = world.now_seconds();
  if (progressed < 0) progressed += now;
  const double end = now - progressed;  // moving data is no part of the kernel before
  spans.progress += progressed;
  keep_time(instruction, begin, end, spans);
  if (times_) (*times_)[number] = {begin, end};
  return now;
}

void Executor::let_pass(const step::Instruction& instruction, const Bound& bound) {
  const auto samples = program_.samples_of(instruction.microbatch, axes_.world().rank(), bound.batch);
  auto& of_batch =
      program_times_.try_emplace(bound.batch, *kernel_times_, program_, bound.batch).first->second;
  clock_->pass(of_batch.of(instruction, samples).time);
}

void Executor::do_compute(const step::Instruction& instruction, Bound& bound, const Batch& batch) {
  if (options_.instead_of_kernels) {
    options_.instead_of_kernels(instruction);
  } else {
    compute(instruction, bound, batch);
    if (clock_) let_pass(instruction, bound);
  }
  if (inspects_) inspect(instruction, bound);
}

void Executor::keep_time(const step::Instruction& instruction, double begin, double end, StepSpans& spans) {
  switch (instruction.kind) {
    case Kind::load:
      spans.load += end - begin;
      return;
    case Kind::forward:
    case Kind::loss:
      spans.forward += end - begin;
      return;
    case Kind::backward:
      spans.backward += end - begin;
      return;
    case Kind::update:
      spans.update += end - begin;
      return;
    case Kind::wait: {
      if (instruction.turn) {
        spans.awaiting += end - begin;
        return;
      }
      auto& times = spans.transfers[*instruction.transfer];
      times.wait_begin = begin;
      times.wait_end = end;
      return;
    }
    case Kind::start:
      spans.transfers[*instruction.transfer].started = begin;
      break;
    case Kind::convert:
    case Kind::pack:
    case Kind::unpack:
    case Kind::combine:
    case Kind::sum:
    case Kind::share:
    case Kind::average:
    case Kind::norm:
      break;
    case Kind::encode:
      spans.encode += end - begin;
      break;
    case Kind::decode:
      spans.decode += end - begin;
      break;
  }
  spans.other += end - begin;
}

void Executor::poison(std::size_t instruction, const Bound& bound) {
  const auto now = static_cast<int>(instruction);
  const auto lives = [&](step::SlotId s) {
    return program_.slots[s].lifetime == step::Lifetime::step && bound.lives[s];
  };
  for (const auto s : program_.slots.ids())
    if (lives(s) && bound.lives[s]->first == now) live_ += bound.slots[s].bytes();
  peak_live_ = std::max(peak_live_, live_);
  for (const auto s : program_.slots.ids())
    if (lives(s) && bound.lives[s]->last == now) {
      live_ -= bound.slots[s].bytes();
      fill_with_nan(bound.slots[s]);
    }
}

void Executor::fill_with_nan(View slot) {
  if (slot.empty()) return;
  if (slot.bytes() > nan_.size()) {
    device_.synchronize();
    nan_ = memory::PinnedBuffer(device_, slot.bytes());
    std::memset(nan_.bytes().data(), 0xFF, nan_.bytes().size());
  }
  device_.copy(kernels::Device::Queue::compute, slot, nan_.view(slot.type(), slot.size()));
}

}  // namespace partita::execute
