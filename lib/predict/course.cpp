/// Walks a program with a clock for the rank and an end for each of its transfers.
#include "course.hpp"

#include <algorithm>
#include <limits>
#include <map>
#include <utility>
#include <variant>

#include "partita/machine/transfer_times.hpp"

namespace partita::predict {
namespace {

using machine::Picoseconds;

/// What rounds of a rank take if all others come early.
class Early {
 public:
  Early(machine::TransferTimes times, int rank) : times_(times), rank_(rank) {}

  /// A message that waits for its receiver leaves a latency after this one has asked for it, and arrives
  /// another one later.
  Picoseconds operator()(const sim::TimedMessages& round) const {
    Picoseconds sent = 0, received = 0;
    if (round.send_to) sent = round.sent.send + (round.sent.rendezvous ? round.sent.bytes : 0);
    if (round.receive_from) {
      const auto message = times_.message(*round.receive_from, rank_, round.received_bytes);
      if (message.rendezvous) received = 2 * message.latency + message.bytes;
    }
    return std::max(sent, received) + round.receive + round.combine;
  }
  Picoseconds operator()(const sim::TimedAccess& round) const { return round.time.stage + round.time.access; }
  Picoseconds operator()(const sim::TimedWhole& round) const { return round.duration; }

 private:
  machine::TransferTimes times_;
  int rank_;
};

}  // namespace

Role::Role(const Supposed& supposed, const cost::JobTimes& kernels, const Subject& subject,
           const topology::Coordinate& role, std::int64_t batch)
    : supposed_(supposed),
      batch_(batch),
      program_(program_of(subject, role)),
      alike_(step::alike(program_)),
      by_rank_(static_cast<std::size_t>(program_.grid.size()), &program_),
      costs_(sim::costs_on(supposed.machine, by_rank_, batch, subject.site, kernels)) {}

Rounds Role::rounds_of(int rank, const step::Transfer& transfer) const {
  Rounds rounds;
  const Early early({supposed_.machine, costs_.setting->crowding}, rank);
  std::map<std::pair<int, bool>, kernels::Bytes> sent;
  for (const auto& round : costs_.rounds(rank, transfer)) {
    rounds.time += std::visit(early, round);
    ++rounds.count;
    if (const auto* messages = std::get_if<sim::TimedMessages>(&round); messages && messages->send_to)
      sent[{*messages->send_to, messages->sent.rendezvous}] += messages->sent_bytes;
  }
  for (const auto& [message, bytes] : sent)
    rounds.sent.push_back({.to = message.first, .rendezvous = message.second, .bytes = bytes});
  return rounds;
}

Course Role::course(int rank) const {
  const auto& core = costs_.core_of(rank);
  const auto known = supposed_.speed.find(rank);
  const double speed = known == supposed_.speed.end() ? 1 : known->second;
  Course course{
      .busy = core.step, .time = core.step, .length = {.instructions = std::ssize(program_.instructions)}};
  std::map<std::pair<int, std::int64_t>, std::size_t> rounds;  // by samples of those that are alike
  base::IdVector<step::TransferId, Picoseconds> ends(program_.transfers.size());
  base::IdVector<step::TransferId, std::size_t> started(program_.transfers.size());
  constexpr auto never = std::numeric_limits<Picoseconds>::max();
  for (const auto& instruction : program_.instructions)
    if (instruction.kind == step::Kind::start) {
      const auto id = *instruction.transfer;
      const auto samples = program_.samples_of(instruction.microbatch, rank, batch_);
      const auto [transfer, is_new] =
          rounds.try_emplace({alike_.transfers[id], samples}, course.rounds.size());
      if (is_new) course.rounds.push_back(rounds_of(rank, program_.transfers[id]));
      course.busy += core.start;
      course.time += core.start;
      ends[id] = course.time + course.rounds[transfer->second].time;
      course.length.rounds += course.rounds[transfer->second].count;
      started[id] = course.started.size();
      course.started.push_back({.rounds = transfer->second, .start = course.time, .rest = never});
    } else if (instruction.kind == step::Kind::wait) {
      course.busy += core.wait;
      course.time = std::max(course.time, ends[*instruction.transfer]) + core.wait;
      // What the core has done so far; in the end what is left of all.
      course.started.at(started[*instruction.transfer]).rest = course.busy - core.wait;
    } else {
      const auto time = sim::at_speed(costs_.instruction(rank, instruction), speed);
      course.busy += time;
      course.time += time;
    }
  for (auto& transfer : course.started)
    transfer.rest = std::max<Picoseconds>(0, course.busy - transfer.rest);
  return course;
}

}  // namespace partita::predict
