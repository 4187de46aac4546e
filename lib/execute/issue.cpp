/// A step on a device: the host issues the work between two communications as a whole and runs ahead; what
/// the device did when is known from events at the end.
///
/// The compute instructions between two communications are recorded when a batch size comes for the second
/// time (the first time may load code and choose algorithms) and issued as one graph from then on. Studies
/// that look at single instructions (timelines, divergence, poisoned slots) issue them one by one.
#include <algorithm>

#include "bound.hpp"
#include "partita/base/clock.hpp"

namespace partita::execute {

using step::Kind;
using Queue = kernels::Device::Queue;

namespace {

/// What `StepSpans` tells apart of the instructions between two communications.
enum class Part { load, forward, backward, update, other, communication };

Part part_of(const step::Instruction& instruction) {
  switch (instruction.kind) {
    case Kind::load:
      return Part::load;
    case Kind::forward:
    case Kind::loss:
      return Part::forward;
    case Kind::backward:
      return Part::backward;
    case Kind::update:
      return Part::update;
    case Kind::convert:
    case Kind::pack:
    case Kind::unpack:
    case Kind::combine:
    case Kind::average:
    case Kind::encode:
    case Kind::decode:
    case Kind::sum:
    case Kind::share:
    case Kind::norm:
      return Part::other;
    case Kind::start:
    case Kind::wait:
      break;
  }
  return Part::communication;
}

constexpr const char* name_of(Part part) {
  constexpr const char* names[] = {"load", "forward", "backward", "update", "move", "communicate"};
  return names[static_cast<std::size_t>(part)];
}

}  // namespace

bool Executor::marks(std::size_t boundary) const {
  const auto& all = program_.instructions;
  if (times_ || boundary == 0 || boundary == all.size()) return true;
  const auto before = part_of(all[boundary - 1]), behind = part_of(all[boundary]);
  return before != behind || before == Part::communication;
}

void Executor::mark(Bound& bound, std::size_t boundary) {
  if (!marks(boundary)) return;
  auto& event = bound.marks[boundary];
  if (!event) event = device_.make_event();
  device_.record(*event, Queue::compute);
}

void Executor::issue_one_by_one(Bound& bound, const Batch& batch, std::size_t first, std::size_t end) {
  for (std::size_t i = first; i < end; ++i) {
    const auto& instruction = program_.instructions[i];
    position_.set(positions_[i]);
    mark(bound, i);
    device_.begin_range(name_of(part_of(instruction)));
    do_compute(instruction, bound, batch);
    device_.end_range();
    if (options_.poison_released) poison(i, bound);
  }
}

void Executor::issue_segment(Bound& bound, const Batch& batch, std::size_t first, std::size_t end) {
  const bool looks_closer = times_ || inspects_ || non_finite_step_ || options_.poison_released ||
                            options_.instead_of_kernels || options_.on_outputs;
  if (looks_closer || !device_.records() || bound.runs == 0)
    return issue_one_by_one(bound, batch, first, end);
  position_.set(positions_[first]);
  auto& graph = bound.graphs[{first, batch.divisor}];
  if (!graph) {
    device_.begin_recording();
    issue_one_by_one(bound, batch, first, end);
    graph = device_.end_recording();
  }
  device_.begin_range("segment");
  device_.issue(*graph);
  device_.end_range();
}

void Executor::issue(Bound& bound, const Batch& batch, double begin, StepSpans& spans) {
  const auto& all = program_.instructions;
  bound.marks.resize(all.size() + 1);
  const double issued = base::now_seconds();
  int in_flight = 0;
  for (std::size_t i = 0; i < all.size();) {
    std::size_t next = i + 1;
    if (communicates(all[i])) {
      position_.set(positions_[i]);
      mark(bound, i);
      if (options_.instead_of_kernels) options_.instead_of_kernels(all[i]);
      auto& operation = transfer(bound, *all[i].transfer);
      if (all[i].kind == Kind::start)
        operation.start(), ++in_flight;
      else
        operation.wait(), --in_flight;
      if (options_.poison_released) poison(i, bound);
    } else {
      while (next < all.size() && !communicates(all[next]))
        ++next;
      issue_segment(bound, batch, i, next);
    }
    if (in_flight > 0) axes_.world().progress();
    i = next;
  }
  mark(bound, all.size());
  step_memory_.end();
  device_.record(*done_, Queue::compute);
  axes_.world().wait_until([this] { return device_.reached(*done_); });
  ++bound.runs;
  spans.other += issued - begin;
  read_marks(bound, issued, spans);
}

/// The device's clock is tied to the host's where the first mark was issued; what lies between the last mark
/// and now went into the report.
void Executor::read_marks(const Bound& bound, double issued, StepSpans& spans) {
  const auto& all = program_.instructions;
  const auto time_of = [&](std::size_t boundary) {
    return boundary == 0 ? issued : issued + device_.seconds_between(*bound.marks[0], *bound.marks[boundary]);
  };
  double from = issued;
  for (std::size_t i = 0; i < all.size();) {
    std::size_t next = i + 1;
    while (!marks(next))
      ++next;
    const double to = time_of(next);
    keep_time(all[i], from, to, spans);
    if (times_) times_->push_back({from, to});
    from = to, i = next;
  }
  spans.end = std::max(from, base::now_seconds());
  spans.other += spans.end - from;
}

}  // namespace partita::execute
