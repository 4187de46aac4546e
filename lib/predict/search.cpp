/// Best first: candidates in the order of their bounds, until the next bound lies above the best that was
/// simulated.
#include "partita/predict/search.hpp"

#include <algorithm>
#include <array>
#include <numeric>

#include "partita/sim/costs.hpp"

namespace partita::predict {
namespace {

using kernels::Bytes;
using machine::Picoseconds;

Bytes most_memory(const Subject& subject, const step::Roles& roles) {
  Bytes most{};
  std::vector<int> ranks;
  for (const auto& program : roles.programs)  // the first data rank has the largest share
    ranks.push_back(topology::rank_of(program.grid, program.at));
  for (const auto& m : memory_of(subject, roles, std::array{subject.split.batch}, ranks))
    most = std::max(most,
                    m.parameters + m.gradients + m.optimizer_state + m.activations + m.communication_buffers);
  return most;
}

/// What the busiest rank computes in a step: no step is shorter.
double busiest_seconds(const Subject& subject, const step::Roles& roles, const Supposed& supposed,
                       const cost::KernelTimes& kernels) {
  const auto costs = costs_of(subject, supposed, roles, subject.split.batch, &kernels);
  Picoseconds most = 0;
  for (std::size_t r = 0; r < roles.by_rank.size(); ++r)
    most = std::max(most, computing_time(costs, *roles.by_rank[r], static_cast<int>(r)));
  return machine::seconds_of(most);
}

/// All ranks on the data axis; as many on the tensor axis as a node has, and the others on the data axis.
std::string_view known_as(const Candidate& candidate, const machine::Machine& machine) {
  const auto& grid = candidate.grid;
  const auto node = machine.levels.empty() ? grid.size() : machine.levels.front().ranks;
  if (grid.pipeline > 1) return "";
  if (grid.tensor == 1) return "data alone";
  return grid.tensor == std::min(node, grid.size()) ? "tensor within a node" : "";
}

class Search {
 public:
  Search(const config::RunOptions& run, int ranks, const machine::Machine& machine,
         const collective::AlgorithmTable& table, const SearchOptions& options)
      : run_(run),
        machine_{.machine = machine, .speed = options.speed},
        table_(table),
        options_(options),
        kernels_(machine_.machine, execution_of(run, ranks, machine)) {}

  Plans find(const std::vector<Candidate>& candidates) && {
    for (const auto& candidate : candidates)
      plans_.outcomes.push_back(bounded(candidate));
    const auto simulated_first = [](const Outcome& o) { return o.fate != Fate::simulated; };
    std::ranges::stable_sort(plans_.outcomes, {}, [&](const Outcome& o) {
      return std::pair(simulated_first(o), value_of_bound(o));
    });
    std::size_t simulated = 0;
    for (auto& outcome : plans_.outcomes) {
      if (outcome.fate != Fate::simulated) break;
      const bool may_win = !best_ || value_of_bound(outcome) < *best_;
      if (!may_win && simulated >= options_.top && outcome.known_as.empty()) {
        outcome.fate = Fate::bounded;
        continue;
      }
      simulate(outcome);
      ++simulated;
    }
    std::ranges::stable_sort(plans_.outcomes, {}, [&](const Outcome& o) {
      return std::tuple(static_cast<int>(o.fate), o.step_seconds ? value_of(o) : value_of_bound(o));
    });
    plans_.is_certain = best_.has_value();
    return std::move(plans_);
  }

 private:
  /// Whether memory decides which candidates are simulated; else those alone are planned so far.
  [[nodiscard]] bool asks_for_memory() const {
    return options_.memory || options_.objective == Objective::memory;
  }
  [[nodiscard]] double value_of_bound(const Outcome& o) const {
    return options_.objective == Objective::memory ? static_cast<double>(o.memory.value()) : o.bound_seconds;
  }
  [[nodiscard]] double value_of(const Outcome& o) const {
    return options_.objective == Objective::memory ? static_cast<double>(o.memory.value()) : *o.step_seconds;
  }
  [[nodiscard]] std::optional<Subject> subject(const Candidate& candidate,
                                               std::vector<base::Violation>& violations) const {
    const auto run = with(run_, candidate);
    auto split = config::split_for_training(run, machine_.machine, violations);
    if (!split || !violations.empty()) return {};
    return subject_of(run, std::move(*split), machine_.machine, table_);
  }

  [[nodiscard]] Outcome bounded(const Candidate& candidate) const {
    Outcome outcome{.candidate = candidate, .known_as = known_as(candidate, machine_.machine)};
    std::vector<base::Violation> violations;
    const auto subject = this->subject(candidate, violations);
    if (!subject) {
      outcome.fate = Fate::impossible;
      outcome.why = violations.empty() ? "" : to_string(violations.front());
      return outcome;
    }
    const auto roles = roles_of(*subject);
    if (asks_for_memory()) outcome.memory = most_memory(*subject, roles);
    outcome.bound_seconds = busiest_seconds(*subject, roles, machine_, kernels_);
    if (options_.memory && outcome.memory > *options_.memory) outcome.fate = Fate::too_large;
    return outcome;
  }

  void simulate(Outcome& outcome) {
    std::vector<base::Violation> none;
    const auto subject = this->subject(outcome.candidate, none);
    const auto prediction =
        predict(*subject, machine_, subject->split.batch, 3, sim::Depth::automatic, &kernels_);
    if (!asks_for_memory()) outcome.memory = most_memory(*subject, prediction.roles);
    outcome.step_seconds = prediction.step_seconds();
    outcome.idle_fraction = prediction.idle_fraction();
    outcome.bubble_fraction = prediction.bubble_fraction();
    if (!best_ || value_of(outcome) < *best_) best_ = value_of(outcome);
  }

  const config::RunOptions& run_;
  const Supposed machine_;
  const collective::AlgorithmTable& table_;
  const SearchOptions& options_;
  const cost::KernelTimes kernels_;
  Plans plans_;
  std::optional<double> best_;
};

}  // namespace

std::size_t Plans::count(Fate fate) const {
  return static_cast<std::size_t>(std::ranges::count(outcomes, fate, &Outcome::fate));
}

Plans search(const config::RunOptions& run, int ranks, const machine::Machine& machine,
             const collective::AlgorithmTable& table, const SearchOptions& options) {
  return Search(run, ranks, machine, table, options).find(candidates_of(run, ranks));
}

}  // namespace partita::predict
