/// Builds the programs of all roles, simulates them, and says of the outcome what a run's record says.
#include "partita/predict/prediction.hpp"

#include <algorithm>
#include <cmath>
#include <functional>
#include <map>

#include "partita/base/error.hpp"
#include "partita/memory/arena.hpp"
#include "partita/sim/costs.hpp"
#include "partita/step/memory.hpp"
#include "partita/step/traffic.hpp"

namespace partita::predict {
namespace {

using machine::Picoseconds;
using results::Phase;
using step::Kind;

double seconds(Picoseconds time) { return static_cast<double>(time) * 1e-12; }

Phase phase_of(Kind kind) {
  switch (kind) {
    case Kind::load:
      return Phase::load;
    case Kind::forward:
    case Kind::loss:
      return Phase::forward;
    case Kind::backward:
      return Phase::backward;
    case Kind::update:
      return Phase::update;
    default:
      return Phase::other;
  }
}

double share_of_time(const Prediction& prediction, Picoseconds sim::RankStep::*what) {
  double part = 0, whole = 0;
  for (const auto& rank : prediction.simulation.steps.back()) {
    part += static_cast<double>(rank.*what);
    whole += static_cast<double>(rank.end - rank.begin);
  }
  return whole > 0 ? part / whole : 0;
}

}  // namespace

double Prediction::step_seconds() const { return seconds(simulation.step_duration()); }
double Prediction::bubble_fraction() const { return share_of_time(*this, &sim::RankStep::dependency); }
double Prediction::idle_fraction() const {
  return bubble_fraction() + share_of_time(*this, &sim::RankStep::straggler) +
         share_of_time(*this, &sim::RankStep::exposed_transfer);
}

step::Roles roles_of(const Subject& subject) {
  const auto& model = subject.split.model;
  const auto& plan = subject.split.plan;
  return {plan.grid, [&](const topology::Coordinate& at) {
            return step::build_training_program(model, plan, at, subject.format);
          }};
}

sim::Costs costs_of(const Subject& subject, const Supposed& supposed, const step::Roles& roles,
                    std::int64_t batch) {
  auto costs = sim::costs_on(supposed.machine, roles.by_rank, batch, subject.site, subject.execution);
  if (supposed.speed.empty()) return costs;
  std::vector<double> speeds(roles.by_rank.size(), 1);
  for (const auto& [rank, speed] : supposed.speed)
    speeds[static_cast<std::size_t>(rank)] = speed;
  return sim::with_speeds(std::move(costs), std::move(speeds));
}

Prediction predict(const Subject& subject, const Supposed& supposed, std::int64_t batch, int steps,
                   sim::Depth depth) {
  base::expect(steps >= 3, "a steady state wants three steps", steps);
  auto roles = roles_of(subject);
  const auto costs = costs_of(subject, supposed, roles, batch);
  std::vector<int> first_of_roles;
  for (const auto& program : roles.programs)
    first_of_roles.push_back(topology::rank_of(program.grid, program.at));
  auto simulation = sim::simulate(roles.by_rank, costs, steps, {.depth = depth, .spans_of = first_of_roles});
  return {.batch = batch, .roles = std::move(roles), .simulation = std::move(simulation)};
}

std::vector<Sensitivity> sensitivities_of(const Subject& subject, const Supposed& supposed,
                                          std::int64_t batch) {
  constexpr double better = 1.01;
  const double step = predict(subject, supposed, batch, 3).step_seconds();
  std::vector<Sensitivity> all;
  for (const auto& knob : knobs()) {
    auto changed = supposed;
    knob.turn(changed.machine, knob.more_is_better ? better : 1 / better);
    const double gain = 100 * (1 - predict(subject, changed, batch, 3).step_seconds() / step);
    if (gain != 0) all.push_back({knob.name, gain});
  }
  std::ranges::stable_sort(all, std::greater<>(), &Sensitivity::percent);
  return all;
}

BasisShares bases_of(const Subject& subject, const step::Roles& roles, const machine::Machine& machine,
                     std::int64_t batch) {
  const cost::KernelTimes times(machine, subject.execution);
  BasisShares shares{};
  double whole = 0;
  for (const auto& program : roles.programs) {  // the first data rank of each role stands for the others
    const int rank = topology::rank_of(program.grid, program.at);
    for (const auto& instruction : program.instructions) {
      if (instruction.kind == Kind::start || instruction.kind == Kind::wait) continue;
      const auto [time, basis] =
          times.of(program, instruction, program.samples_of(instruction.microbatch, rank, batch));
      shares[static_cast<std::size_t>(basis)] += seconds(time);
      whole += seconds(time);
    }
  }
  for (auto& share : shares)
    share = whole > 0 ? share / whole : 0;
  return shares;
}

results::PhaseSeconds phases_of(const step::Program& program, const sim::RankStep& rank) {
  results::PhaseSeconds phases{};
  const auto phase = [&](Phase p) -> double& { return phases[static_cast<std::size_t>(p)]; };
  for (std::size_t i = 0; i < program.instructions.size(); ++i) {
    const auto& instruction = program.instructions[i];
    const auto& span = rank.instructions[i];
    if (instruction.kind != Kind::wait) phase(phase_of(instruction.kind)) += seconds(span.end - span.begin);
  }
  phase(Phase::dependency) = seconds(rank.dependency);
  phase(Phase::straggler) = seconds(rank.straggler);
  double others = 0;
  for (const double p : phases)
    others += p;
  phase(Phase::exposed_transfer) = seconds(rank.end - rank.begin) - others;
  return phases;
}

namespace {

/// Of transfers on slots that outlive a step there is one plan, of the others one for each size of a batch.
kernels::Bytes communication_bytes(const Subject& subject, const step::Program& program, int rank,
                                   std::span<const std::int64_t> batches) {
  kernels::Bytes bytes{};
  for (const auto& t : program.transfers) {
    const bool once = program.slots[t.slot].lifetime == step::Lifetime::run;
    for (const auto batch : once ? batches.first(1) : batches) {
      const auto [spec, at] = step::resolve(program, t, rank, batch, subject.site);
      bytes += collective::memory_of(spec, at);
    }
  }
  return bytes;
}

}  // namespace

std::vector<results::MemoryRow> memory_of(const Subject& subject, const step::Roles& roles,
                                          std::span<const std::int64_t> batches, std::span<const int> ranks) {
  std::vector<results::MemoryRow> rows;
  const auto states = std::ssize(kernels::states_of(subject.optimizer));
  for (const int rank : ranks) {
    const auto& program = *roles.by_rank[static_cast<std::size_t>(rank)];
    const auto at = topology::coordinate_of(program.grid, rank);
    const auto trained = bytes_of(program.type, program.trained_count);
    rows.push_back(
        {.parameters = bytes_of(program.type, program.parameter_count),
         .gradients = trained * program.gradient_levels,
         .optimizer_state = trained * states,
         .activations = step::plan_memory(program, at.data, batches.front(), memory::alignment).total,
         .communication_buffers = communication_bytes(subject, program, rank, batches)});
  }
  return rows;
}

void add_traffic(std::vector<collective::TrafficRow>& rows, const Subject& subject, const step::Roles& roles,
                 std::int64_t batch, std::int64_t steps) {
  for (std::size_t r = 0; r < roles.by_rank.size(); ++r) {
    const int rank = static_cast<int>(r);
    for (const auto& [key, of_step] : step::traffic_of_step(*roles.by_rank[r], rank, batch, subject.site)) {
      auto row = std::ranges::find_if(
          rows, [&, k = key](const auto& known) { return known.rank == rank && known.key == k; });
      if (row == rows.end()) row = rows.insert(rows.end(), {.rank = rank, .key = key, .counts = {}});
      for (std::int64_t s = 0; s < steps; ++s)
        row->counts += of_step.counts;
    }
  }
}

namespace {

/// The rows of one rank.
class RankTimeline {
 public:
  RankTimeline(const Subject& subject, const step::Program& program, int rank, std::int64_t batch, int step,
               Picoseconds origin)
      : subject_(subject), program_(program), rank_(rank), batch_(batch), step_(step), origin_(origin) {}

  void append(const sim::RankStep& done, std::vector<results::TimelineRow>& rows) const {
    std::map<step::TransferId, std::size_t> started;
    for (std::size_t i = 0; i < program_.instructions.size(); ++i) {
      const auto& instruction = program_.instructions[i];
      rows.push_back(row(instruction, done.instructions[i].begin, done.instructions[i].end));
      if (instruction.kind == Kind::start) started[*instruction.transfer] = i;
      if (instruction.kind == Kind::wait)
        rows.push_back(in_flight(program_.instructions[started.at(*instruction.transfer)],
                                 done.instructions[started.at(*instruction.transfer)].begin,
                                 done.instructions[i].end));
    }
  }

 private:
  [[nodiscard]] results::TimelineRow row(const step::Instruction& instruction, Picoseconds begin,
                                         Picoseconds end) const {
    const auto number_of = [](const auto& id) { return id ? id->value() : -1; };
    results::TimelineRow row{.rank = rank_,
                             .step = step_,
                             .start_seconds = seconds(begin - origin_),
                             .end_seconds = seconds(end - origin_),
                             .kind = std::string(to_string(instruction.kind)),
                             .phase = std::string(to_string(instruction.phase)),
                             .microbatch = number_of(instruction.microbatch),
                             .chunk = number_of(instruction.chunk),
                             .queue = "compute"};
    if (instruction.unit) row.layer = name_of(program_.units[*instruction.unit], subject_.split.model);
    if (instruction.transfer) {
      row.axis = to_string(program_.transfers[*instruction.transfer].axis);
      row.purpose = to_string(program_.transfers[*instruction.transfer].purpose);
    }
    return row;
  }
  [[nodiscard]] results::TimelineRow in_flight(const step::Instruction& start, Picoseconds begin,
                                               Picoseconds end) const {
    auto whole = row(start, begin, end);
    const auto& t = program_.transfers[*start.transfer];
    const auto samples = program_.samples_of(t.microbatch, rank_, batch_);
    whole.kind = to_string(t.operation);
    whole.queue = "communication";
    whole.bytes = bytes_of(program_.slots[t.slot].type, program_.payload(t, samples));
    return whole;
  }

  const Subject& subject_;
  const step::Program& program_;
  int rank_;
  std::int64_t batch_;
  int step_;
  Picoseconds origin_;
};

}  // namespace

std::vector<results::TimelineRow> timeline_of(const Subject& subject, const Prediction& prediction,
                                              int step) {
  const auto& ranks = prediction.simulation.steps[static_cast<std::size_t>(step)];
  Picoseconds origin = ranks.front().begin;
  for (const auto& rank : ranks)
    origin = std::min(origin, rank.begin);
  std::vector<results::TimelineRow> rows;
  for (std::size_t r = 0; r < ranks.size(); ++r)
    RankTimeline(subject, *prediction.roles.by_rank[r], static_cast<int>(r), prediction.batch, step, origin)
        .append(ranks[r], rows);
  return rows;
}

}  // namespace partita::predict
