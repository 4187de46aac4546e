/// Builds the programs of all roles, simulates them, and says of the outcome what a run's record says.
#include "partita/predict/prediction.hpp"

#include <algorithm>
#include <cmath>
#include <functional>
#include <map>
#include <set>
#include <utility>

#include "partita/base/error.hpp"
#include "partita/memory/arena.hpp"
#include "partita/sim/costs.hpp"
#include "partita/step/alike.hpp"
#include "partita/step/compression.hpp"
#include "partita/step/memory.hpp"
#include "partita/step/traffic.hpp"

namespace partita::predict {
namespace {

using machine::Picoseconds;
using machine::seconds_of;
using results::Phase;
using step::Kind;

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

/// In the last period.
double share_of_time(const Prediction& prediction, Picoseconds sim::RankStep::*what) {
  double part = 0, whole = 0;
  const auto& steps = prediction.simulation.steps;
  for (auto step = steps.end() - prediction.simulation.steady.period; step != steps.end(); ++step)
    for (const auto& rank : *step) {
      part += static_cast<double>(rank.*what);
      whole += static_cast<double>(rank.end - rank.begin);
    }
  return whole > 0 ? part / whole : 0;
}

/// Whether the last two steps do not take equally long, from when the last rank ends one to when the last
/// ends the next, or a rank has lost or caught up something: messages that meet, and cores that poll, can
/// delay one step and let the next one do so.
bool are_uneven(const sim::Simulation& simulation) {
  constexpr double even = 0.002;
  const int last = static_cast<int>(simulation.steps.size()) - 1;
  const auto duration = [&](int step) {
    return static_cast<double>(simulation.end_of(step) - simulation.end_of(step - 1));
  };
  const auto step = static_cast<double>(simulation.step_duration());
  return std::max(std::abs(duration(last) - duration(last - 1)), std::abs(duration(last) - step)) >
         even * step;
}

/// At least so many steps, of which all but the first ones count.
step::SteadySteps many_steps(const step::Cadence& cadence, int steps) {
  constexpr int run_in = 3, period = 8;
  auto steady = step::steady_steps(cadence, std::max(steps, run_in + period));
  steady.period = std::ssize(steady.kinds) - run_in;
  return steady;
}

}  // namespace

std::string text_of(const sim::LeftOut& left_out) {
  if (!left_out.any()) return "";
  std::string what;
  const auto add = [&what](bool is_left_out, const char* instead) {
    if (is_left_out) what += (what.empty() ? "" : ", ") + std::string(instead);
  };
  add(left_out.meetings, "links are not shared");
  add(left_out.polling, "transfers move on by themselves");
  return what + " in this prediction: beyond " + std::to_string(sim::most_full_ranks) + " ranks or " +
         std::to_string(sim::most_full_rounds) +
         " rounds of transfers a step that is left out of the machine, unless enough ranks are alike";
}

std::string_view text_of_shared_cores() {
  return "ranks share cores: predicted seconds put plans in order, and are not what steps will take";
}

double Prediction::step_seconds() const { return seconds_of(simulation.step_duration()); }
double Prediction::bubble_fraction() const { return share_of_time(*this, &sim::RankStep::dependency); }
double Prediction::idle_fraction() const {
  return bubble_fraction() + share_of_time(*this, &sim::RankStep::straggler) +
         share_of_time(*this, &sim::RankStep::exposed_transfer);
}

step::Program program_of(const Subject& subject, const topology::Coordinate& role) {
  return step::build_training_program(subject.split.model, subject.split.plan, role, subject.format);
}

step::Roles roles_of(const Subject& subject) {
  return {subject.split.plan.grid,
          [&](const topology::Coordinate& role) { return program_of(subject, role); }};
}

sim::Costs costs_of(const Subject& subject, const Supposed& supposed, const step::Roles& roles,
                    std::int64_t batch, const cost::JobTimes* kernels) {
  const auto& machine = supposed.machine;
  auto costs = kernels ? sim::costs_on(machine, roles.by_rank, batch, subject.site, *kernels)
                       : sim::costs_on(machine, roles.by_rank, batch, subject.site, subject.execution);
  if (supposed.speed.empty()) return costs;
  std::vector<double> speeds(roles.by_rank.size(), 1);
  for (const auto& [rank, speed] : supposed.speed)
    speeds[static_cast<std::size_t>(rank)] = speed;
  return sim::with_speeds(std::move(costs), std::move(speeds));
}

std::vector<RolePart> parts_of(const step::Program& program, const machine::Machine& machine) {
  std::map<int, RolePart> found;
  const int first = program.serves() ? program.at.data : 0,
            end = program.serves() ? first + 1 : program.workers();
  for (int data = first; data < end; ++data) {
    auto at = program.at;
    at.data = data;
    const int rank = topology::rank_of(program.grid, at), part = machine.part_of(rank);
    ++found.try_emplace(part, RolePart{.part = part, .first = rank}).first->second.count;
  }
  std::vector<RolePart> parts;
  for (const auto& [part, of_part] : found)
    parts.push_back(of_part);
  return parts;
}

Picoseconds computing_time(const sim::Costs& costs, const step::Program& program, int rank) {
  Picoseconds busy = 0;
  const auto usual = step::kinds_by_use(program.cadence).front();
  for (const auto& instruction : program.instructions)
    if (instruction.in.has(usual) && instruction.kind != Kind::start && instruction.kind != Kind::wait)
      busy += costs.instruction(rank, instruction);
  return busy;
}

Prediction predict(const Subject& subject, const Supposed& supposed, std::int64_t batch, int steps,
                   sim::Depth depth, const cost::JobTimes* kernels) {
  base::expect(steps >= 3, "a steady state wants three steps", steps);
  auto roles = roles_of(subject);
  const auto costs = costs_of(subject, supposed, roles, batch, kernels);
  std::vector<int> first_of_roles;
  for (const auto& program : roles.programs)
    first_of_roles.push_back(topology::rank_of(program.grid, program.at));
  const auto simulated = [&](const step::SteadySteps& steady) {
    return sim::simulate(roles.by_rank, costs, static_cast<int>(steady.kinds.size()),
                         {.depth = depth, .spans_of = first_of_roles, .steady = steady});
  };
  const auto& cadence = subject.split.plan.cadence;
  auto simulation = simulated(step::steady_steps(cadence, steps));
  constexpr std::int64_t most_rounds = 100'000;  // of steps of which more are taken
  if (cadence.is_uniform() && are_uneven(simulation) &&
      sim::rounds_of_step(roles.by_rank, costs) <= most_rounds)
    simulation = simulated(many_steps(cadence, steps));
  return {.batch = batch,
          .roles = std::move(roles),
          .simulation = std::move(simulation),
          .ranks_share_cores = subject.execution.crowding > 1};
}

std::vector<Sensitivity> sensitivities_of(const Subject& subject, const Supposed& supposed,
                                          std::int64_t batch, sim::Depth depth) {
  constexpr double better = 1.01;
  const double step = predict(subject, supposed, batch, 3, depth).step_seconds();
  std::vector<Sensitivity> all;
  for (const auto& knob : knobs()) {
    auto changed = supposed;
    knob.turn(changed.machine, knob.more_is_better ? better : 1 / better);
    const double gain = 100 * (1 - predict(subject, changed, batch, 3, depth).step_seconds() / step);
    if (gain != 0) all.push_back({knob.name, gain});
  }
  std::ranges::stable_sort(all, std::greater<>(), &Sensitivity::percent);
  return all;
}

BasisShares bases_of(const Subject& subject, const step::Roles& roles, const machine::Machine& machine,
                     std::int64_t batch) {
  const cost::JobTimes times(machine, subject.execution, std::ssize(roles.by_rank));
  BasisShares shares{};
  double whole = 0;
  for (const auto& program : roles.programs)
    for (const auto& ranks : parts_of(program, machine)) {  // the first of them stands for the others
      const cost::ProgramTimes of_program(times.of_part(ranks.part), program, batch);
      const auto usual = step::kinds_by_use(program.cadence).front();
      for (const auto& instruction : program.instructions) {
        if (instruction.kind == Kind::start || instruction.kind == Kind::wait || !instruction.in.has(usual))
          continue;
        const auto samples = program.samples_of(instruction.microbatch, ranks.first, batch);
        const auto [time, basis] = of_program.of(instruction, samples);
        const double seconds = ranks.count * seconds_of(time);
        shares[static_cast<std::size_t>(basis)] += seconds;
        whole += seconds;
      }
    }
  for (auto& share : shares)
    share = whole > 0 ? share / whole : 0;
  return shares;
}

std::vector<int> ranks_that_differ(const step::Roles& roles, std::int64_t batch) {
  std::vector<int> ranks;
  for (const auto& program : roles.programs) {
    std::set<std::vector<std::int64_t>> seen;
    for (int data = 0; data < program.grid.data; ++data) {
      std::vector<std::int64_t> samples;
      for (const auto j : program.microbatch_ids())
        samples.push_back(program.microbatch(j, data, batch).size());
      auto at = program.at;
      at.data = data;
      if (seen.insert(std::move(samples)).second) ranks.push_back(topology::rank_of(program.grid, at));
    }
  }
  return ranks;
}

results::PhaseSeconds phases_of(const step::Program& program, const sim::RankStep& rank) {
  results::PhaseSeconds phases{};
  const auto phase = [&](Phase p) -> double& { return phases[static_cast<std::size_t>(p)]; };
  for (std::size_t i = 0; i < program.instructions.size(); ++i) {
    const auto& instruction = program.instructions[i];
    const auto& span = rank.instructions[i];
    if (instruction.kind != Kind::wait)
      phase(phase_of(instruction.kind)) += seconds_of(span.end - span.begin);
  }
  phase(Phase::dependency) = seconds_of(rank.dependency);
  phase(Phase::straggler) = seconds_of(rank.straggler);
  double others = 0;
  for (const double p : phases)
    others += p;
  phase(Phase::exposed_transfer) = seconds_of(rank.end - rank.begin) - others;
  return phases;
}

namespace {

/// Of transfers on slots that outlive a step there is one plan, of the others one for each size of a batch.
kernels::Bytes communication_bytes(const Subject& subject, const step::Program& program, int rank,
                                   std::span<const std::int64_t> batches) {
  const auto alike = step::alike(program);
  std::map<std::pair<int, std::int64_t>, kernels::Bytes> known;  // by samples of those that are alike
  kernels::Bytes bytes{};
  for (const auto id : program.transfers.ids()) {
    const auto& t = program.transfers[id];
    const bool once = program.slots[t.slot].lifetime == step::Lifetime::run;
    for (const auto batch : once ? batches.first(1) : batches) {
      const auto samples = program.samples_of(t.microbatch, rank, batch);
      const auto [found, is_new] = known.try_emplace({alike.transfers[id], samples});
      if (is_new) {
        const auto [spec, at] = step::resolve(program, t, rank, batch, subject.site);
        found->second = collective::memory_of(spec, at);
      }
      bytes += found->second;
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
    rows.push_back(
        {.parameters = bytes_of(program.type, program.held_count),
         .gradients = bytes_of(program.type, program.gradient_count),
         .optimizer_state = bytes_of(program.type, program.state_count) * states +
                            bytes_of(program.type, program.outer_count) * 2,
         .activations = step::plan_memory(program, at.data, batches.front(), memory::alignment).total,
         .communication_buffers = communication_bytes(subject, program, rank, batches),
         .codec_state = step::codec_state(program)});
  }
  return rows;
}

std::vector<collective::TrafficRow> traffic_of(const Subject& subject, const step::Roles& roles,
                                               const StepCounts& counts_of_steps) {
  std::vector<collective::TrafficRow> rows;
  for (std::size_t r = 0; r < roles.by_rank.size(); ++r) {
    const int rank = static_cast<int>(r);
    std::map<collective::TrafficKey, collective::TrafficCounts> of_rank;
    for (const auto& [step, count] : counts_of_steps)
      for (auto [key, of_step] :
           step::traffic_of_step(*roles.by_rank[r], rank, step.batch, subject.site, step.kind))
        of_rank[key] += of_step.counts *= count;
    for (const auto& [key, counts] : of_rank)
      rows.push_back({.rank = rank, .key = key, .counts = counts});
  }
  return rows;
}

}  // namespace partita::predict
