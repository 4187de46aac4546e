/// Brings the spans of all ranks to one clock. A wait is divided in two: until the last party had started the
/// transfer (`dependency` for messages, `straggler` for collectives), and from then on.
#include "partita/run/record.hpp"

#include <algorithm>
#include <map>
#include <string>

#include "partita/base/error.hpp"
#include "partita/step/counterparts.hpp"

namespace partita::run {
namespace {

/// Numbers of one step on the wire: five spans, the step's seconds, progress, waiting for pushes, three times
/// a transfer.
constexpr std::size_t fixed_numbers = 8;

std::vector<double> pack(const std::vector<StepRow>& steps, std::size_t first) {
  std::vector<double> numbers;
  for (std::size_t i = first; i < steps.size(); ++i) {
    const auto& s = steps[i].spans;
    numbers.insert(numbers.end(), {s.load, s.forward, s.backward, s.update, s.other, steps[i].seconds,
                                   s.progress, s.awaiting});
    for (const auto& t : s.transfers)
      numbers.insert(numbers.end(), {t.started, t.wait_begin, t.wait_end});
  }
  return numbers;
}

}  // namespace

std::vector<GatheredStep> gather_steps(comm::Communicator& world, const step::ProgramsByRank& programs,
                                       const std::vector<StepRow>& steps, const comm::Clocks& clocks,
                                       std::size_t first) {
  const auto numbers = world.gather_rows(pack(steps, first), 0, collective::Purpose::metric);
  std::vector<GatheredStep> gathered;
  if (world.rank() != 0 || first >= steps.size()) return gathered;
  const int ranks = world.size();
  const step::Counterparts counterparts(programs);
  for (std::size_t i = 0; first + i < steps.size(); ++i) {
    const auto& row = steps[first + i];
    GatheredStep step{.loss = row.loss,
                      .learning_rate = row.learning_rate,
                      .gradient_norm = row.gradient_norm,
                      .kind = row.kind,
                      .ends_stretch = row.ends_stretch,
                      .samples = row.samples};
    const auto number = [&](int r, std::size_t k) {
      const auto& of_rank = numbers[static_cast<std::size_t>(r)];
      const auto width = fixed_numbers + 3 * programs[static_cast<std::size_t>(r)]->transfers.size();
      return of_rank[i * width + k];
    };
    // started, wait begin or wait end of a transfer, on rank 0's clock
    const auto time = [&](int r, step::TransferId transfer, std::size_t which) {
      return number(r, fixed_numbers + 3 * transfer.index() + which) -
             clocks.offset_seconds[static_cast<std::size_t>(r)];
    };
    for (int r = 0; r < ranks; ++r) {
      PhaseSeconds phases{.load = number(r, 0),
                          .forward = number(r, 1),
                          .backward = number(r, 2),
                          .update = number(r, 3),
                          .exposed_transfer = number(r, 6),
                          .dependency = number(r, 7),
                          .other = number(r, 4)};
      const auto& transfers = programs[static_cast<std::size_t>(r)]->transfers;
      for (const auto t : transfers.ids()) {
        const double begin = time(r, t, 1), waited = time(r, t, 2) - begin;
        if (row.kind == step::StepKind::asynchronous) {  // whose turn it was no step of others says
          phases.dependency += waited;
          continue;
        }
        double ready = begin;  // when the last had come
        for (const auto& other : counterparts.members(*counterparts.group(r, t)))
          ready = std::max(ready, time(other.rank, other.transfer, 0));
        const double late = std::clamp(ready - begin, 0.0, std::max(0.0, waited));
        (is_message(transfers[t]) ? phases.dependency : phases.straggler) += late;
        phases.exposed_transfer += waited - late;
      }
      step.phases.push_back(phases);
      step.rank_seconds.push_back(number(r, 5));
      step.seconds = std::max(step.seconds, number(r, 5));
    }
    gathered.push_back(std::move(step));
  }
  return gathered;
}

TimelineSpans::TimelineSpans(const step::ProgramsByRank& programs)
    : programs_(programs), counterparts_(programs) {}

void TimelineSpans::append(int rank, std::int64_t step, std::int64_t batch, step::StepKind kind, int worker,
                           const std::function<execute::InstructionTimes(std::size_t instruction)>& times) {
  const auto& program = *programs_[static_cast<std::size_t>(rank)];
  for (std::size_t i = 0; i < program.instructions.size(); ++i) {
    const auto& instruction = program.instructions[i];
    if (!instruction.in.has(kind)) continue;
    if (worker >= 0 && instruction.turn && instruction.turn->worker != worker) continue;
    const auto [begin, end] = times(i);
    spans_.push_back({.rank = rank,
                      .step = step,
                      .begin_seconds = begin,
                      .end_seconds = end,
                      .instruction = static_cast<int>(i)});
    if (instruction.kind == step::Kind::start) started_[{rank, *instruction.transfer}] = {i, begin};
    if (instruction.kind != step::Kind::wait) continue;
    const auto start = started_.find({rank, *instruction.transfer});
    if (start == started_.end()) continue;  // in a step that was not recorded
    spans_.push_back(in_flight(rank, step, batch, start->second.first, start->second.second, end));
    started_.erase(start);
  }
}

TimelineSpan TimelineSpans::in_flight(int rank, std::int64_t step, std::int64_t batch, std::size_t start,
                                      double begin, double end) {
  const auto& program = *programs_[static_cast<std::size_t>(rank)];
  const auto transfer = *program.instructions[start].transfer;
  const auto& t = program.transfers[transfer];
  const auto samples = program.samples_of(t.microbatch, rank, batch);
  TimelineSpan span{.rank = rank,
                    .step = step,
                    .begin_seconds = begin,
                    .end_seconds = end,
                    .instruction = static_cast<int>(start),
                    .in_flight = true,
                    .bytes = bytes_of(program.slots[t.slot].type, program.payload(t, samples))};
  if (is_message(t) && span.bytes.value() > 0) {
    const auto& sender = counterparts_.members(*counterparts_.group(rank, transfer)).front();
    const std::tuple key{step, sender.rank, sender.transfer};
    span.flow = flows_.emplace(key, static_cast<std::int64_t>(flows_.size())).first->second;
  }
  return span;
}

std::vector<PushRow> gather_pushes(comm::Communicator& world, const Training& training, std::size_t first) {
  const auto& all = training.pushes();
  const std::vector<PushRow> mine(all.begin() + static_cast<std::ptrdiff_t>(std::min(first, all.size())),
                                  all.end());
  std::vector<PushRow> gathered;
  for (const auto& rows : world.gather_rows(mine, 0, collective::Purpose::metric))
    gathered.insert(gathered.end(), rows.begin(), rows.end());
  return gathered;
}

std::vector<TimelineSpan> gather_timeline(comm::Communicator& world, const Training& training,
                                          const comm::Clocks& clocks) {
  std::vector<double> mine;
  for (const auto& recorded : training.recorded()) {
    mine.push_back(static_cast<double>(recorded.step));
    mine.push_back(static_cast<double>(recorded.batch));
    mine.push_back(static_cast<double>(recorded.kind));
    mine.push_back(static_cast<double>(recorded.worker));
    for (const auto& times : recorded.instructions)
      mine.insert(mine.end(), {times.begin, times.end});
  }
  const auto gathered = world.gather_rows(mine, 0, collective::Purpose::metric);
  if (world.rank() != 0 || training.recorded().empty()) return {};
  const auto& programs = training.roles().by_rank;
  TimelineSpans spans(programs);
  for (int r = 0; r < world.size(); ++r) {
    const auto& numbers = gathered[static_cast<std::size_t>(r)];
    const std::size_t width = 4 + 2 * programs[static_cast<std::size_t>(r)]->instructions.size();
    const double offset = clocks.offset_seconds[static_cast<std::size_t>(r)];
    for (std::size_t s = 0; s + width <= numbers.size(); s += width)
      spans.append(r, static_cast<std::int64_t>(numbers[s]), static_cast<std::int64_t>(numbers[s + 1]),
                   static_cast<step::StepKind>(static_cast<int>(numbers[s + 2])),
                   static_cast<int>(numbers[s + 3]), [&](std::size_t i) -> execute::InstructionTimes {
                     return {numbers[s + 4 + 2 * i] - offset, numbers[s + 5 + 2 * i] - offset};
                   });
  }
  return spans.take();
}

}  // namespace partita::run
