/// Walks the programs in an order in which every wait finds its transfer started, and adds up time, waiting
/// and idleness on each rank.
#include "partita/sim/simulate.hpp"

#include <algorithm>
#include <limits>

#include "partita/base/error.hpp"
#include "partita/sim/deadlock.hpp"
#include "walk.hpp"

namespace partita::sim {
namespace {

/// One step: a transfer is started and waited for within a step, so that steps share nothing but clocks.
class Step {
 public:
  Step(const step::ProgramsByRank& programs, const step::Counterparts& counterparts, const Costs& costs,
       std::vector<double>& now)
      : programs_(programs),
        counterparts_(counterparts),
        costs_(costs),
        now_(now),
        last_start_(counterparts.groups().size(), -std::numeric_limits<double>::infinity()) {
    for (const auto* program : programs)
      ranks_.emplace_back().instructions.resize(program->instructions.size());
  }

  void visit(int rank, int index) {
    const auto r = static_cast<std::size_t>(rank), i = static_cast<std::size_t>(index);
    const auto& instruction = programs_[r]->instructions[i];
    auto& span = ranks_[r].instructions[i];
    span.begin_seconds = now_[r];
    switch (instruction.kind) {
      case step::Kind::start: {
        auto& last = last_start_[*counterparts_.group(rank, *instruction.transfer)];
        last = std::max(last, now_[r]);
        break;
      }
      case step::Kind::wait:
        wait(rank, *instruction.transfer);
        break;
      default: {
        const double seconds = costs_.instruction_seconds(rank, instruction);
        ranks_[r].busy_seconds += seconds;
        now_[r] += seconds;
      }
    }
    span.end_seconds = now_[r];
  }

  std::vector<RankStep> result() && { return std::move(ranks_); }

 private:
  void wait(int rank, step::TransferId transfer) {
    const auto r = static_cast<std::size_t>(rank);
    const auto& t = programs_[r]->transfers[transfer];
    if (costs_.eager_sends && t.operation == collective::Operation::send) return;
    const double begin = now_[r];
    const double ready = last_start_[*counterparts_.group(rank, transfer)];
    now_[r] = std::max(begin, ready + costs_.transfer_seconds(rank, t));
    const double waited = now_[r] - begin, late = std::clamp(ready - begin, 0.0, waited);
    (is_message(t) ? ranks_[r].dependency_seconds : ranks_[r].straggler_seconds) += late;
    ranks_[r].exposed_transfer_seconds += waited - late;
  }

  const step::ProgramsByRank& programs_;
  const step::Counterparts& counterparts_;
  const Costs& costs_;
  std::vector<double>& now_;  ///< by rank
  base::IdVector<step::Counterparts::GroupId, double> last_start_;
  std::vector<RankStep> ranks_;
};

}  // namespace

double Simulation::end_seconds(int step) const {
  double end = 0;
  for (const auto& rank : steps[static_cast<std::size_t>(step)])
    if (!rank.instructions.empty()) end = std::max(end, rank.instructions.back().end_seconds);
  return end;
}

double Simulation::step_seconds() const {
  const int count = static_cast<int>(steps.size());
  base::expect(count >= 3, "a steady state wants three steps", count);
  return end_seconds(count - 1) - end_seconds(count - 2);
}

double Simulation::idle_fraction() const {
  double idle = 0;
  for (const auto& rank : steps.back())
    idle += rank.idle_seconds();
  return idle / (static_cast<double>(steps.back().size()) * step_seconds());
}

Simulation simulate(const step::ProgramsByRank& programs, const Costs& costs, int steps) {
  const step::Counterparts counterparts(programs);
  std::vector<double> now(programs.size(), 0);
  Simulation simulation;
  for (int s = 0; s < steps; ++s) {
    Step step(programs, counterparts, costs, now);
    const auto position =
        walk(programs, counterparts, costs.eager_sends, [&](int r, int i) { step.visit(r, i); });
    for (std::size_t r = 0; r < programs.size(); ++r)
      if (position[r] < static_cast<int>(programs[r]->instructions.size())) {
        const auto deadlock = find_deadlock(programs);
        base::expect(false, "programs to simulate end", deadlock ? to_string(*deadlock, programs) : "");
      }
    simulation.steps.push_back(std::move(step).result());
  }
  return simulation;
}

}  // namespace partita::sim
