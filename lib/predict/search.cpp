/// Best first: what has the lowest bound is looked at more closely, until that bound lies above the best that
/// was simulated. Beyond few ranks, where full depth alone knows the machine, a look comes between: a
/// simulation in which messages do not meet and transfers move on by themselves, which takes no longer.
#include "partita/predict/search.hpp"

#include <algorithm>
#include <array>
#include <limits>
#include <map>
#include <set>
#include <utility>

#include "partita/step/roles.hpp"

namespace partita::predict {
namespace {

using kernels::Bytes;
using machine::Picoseconds;

Bytes most_memory(const Subject& subject, const step::Roles& roles) {
  Bytes most{};
  const auto ranks = ranks_that_differ(roles, subject.split.batch);
  for (const auto& m : memory_of(subject, roles, std::array{subject.split.batch}, ranks))
    most = std::max(most,
                    m.parameters + m.gradients + m.optimizer_state + m.activations + m.communication_buffers);
  return most;
}

/// What the last rank of some stage computes in a step: no step is shorter. None has a larger share of
/// channels and rows, and of the last micro-batch.
double busiest_seconds(const Subject& subject, const Supposed& supposed, std::int64_t batch,
                       const cost::KernelTimes& kernels) {
  Picoseconds most = 0;
  for (int stage = 0; stage < subject.split.plan.grid.pipeline; ++stage) {
    const auto& grid = subject.split.plan.grid;
    const topology::Coordinate last{.data = grid.data - 1, .pipeline = stage, .tensor = grid.tensor - 1};
    const auto program = program_of(subject, last);
    const int rank = topology::rank_of(grid, last);
    const cost::ProgramTimes times(kernels, program, batch);
    const auto known = supposed.speed.find(rank);
    const double speed = known == supposed.speed.end() ? 1 : known->second;
    Picoseconds busy = 0;
    for (const auto& instruction : program.instructions)
      if (instruction.kind != step::Kind::start && instruction.kind != step::Kind::wait)
        busy += sim::at_speed(
            times.of(instruction, program.samples_of(instruction.microbatch, rank, batch)).time, speed);
    most = std::max(most, busy);
  }
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

constexpr int few_ranks = 64;  ///< every plan is simulated in full depth

class Search {
 public:
  Search(const config::RunOptions& run, int ranks, const machine::Machine& machine,
         const collective::AlgorithmTable& table, const SearchOptions& options)
      : run_(run),
        ranks_(ranks),
        machine_{.machine = machine, .speed = options.speed},
        table_(table),
        options_(options),
        kernels_(machine_.machine, execution_of(run, ranks, machine)) {
    plans_.ranks_share_cores = full_alone_.cores;
  }

  Plans find(const std::vector<Candidate>& candidates) && {
    for (const auto& candidate : candidates)
      plans_.outcomes.push_back(bounded(candidate));
    for (std::size_t o = 0; o < plans_.outcomes.size(); ++o)
      if (plans_.outcomes[o].fate == Fate::bounded) open_.emplace(bound_of(plans_.outcomes[o]), o);
    while (!open_.empty()) {
      const auto [bound, number] = *open_.begin();
      open_.erase(open_.begin());
      auto& outcome = plans_.outcomes[number];
      if (outcome.fate == Fate::unshared) {
        if (bound < least_) share(outcome, number);
      } else if (bound < std::min(least_, contested_) || is_shown(outcome)) {
        simulate(outcome, number);
      }
    }
    conclude();
    return std::move(plans_);
  }

 private:
  /// Whether memory decides which candidates are simulated; else those alone are planned so far.
  [[nodiscard]] bool asks_for_memory() const {
    return options_.memory || options_.objective == Objective::memory;
  }
  [[nodiscard]] double bound_of(const Outcome& o) const {
    if (options_.objective == Objective::memory) return static_cast<double>(o.memory.value());
    return options_.objective == Objective::epoch ? o.epoch_bound_seconds : o.bound_seconds;
  }
  [[nodiscard]] double value_of(const Outcome& o) const {
    if (options_.objective == Objective::memory) return static_cast<double>(o.memory.value());
    return options_.objective == Objective::epoch ? *o.epoch_seconds : *o.step_seconds;
  }
  /// Of a step of the run's batch; where an epoch decides, of all its steps in `epoch`, too.
  template <class OfBatch>
  [[nodiscard]] double seconds(double& epoch, const OfBatch& of_batch) const {
    const auto batch = run_.train.batch;
    const double step = of_batch(batch);
    if (options_.objective != Objective::epoch) return step;
    const auto whole = options_.samples / batch, rest = options_.samples % batch;
    epoch = static_cast<double>(whole) * step + (rest > 0 ? of_batch(rest) : 0);
    return step;
  }
  [[nodiscard]] std::optional<Subject> subject(const Candidate& candidate,
                                               std::vector<base::Violation>& violations) {
    const auto run = with(run_, candidate);
    const std::pair plane(candidate.grid.data, candidate.grid.tensor);
    const auto known = placements_.find(plane);
    auto split = config::split_for_training(
        run, machine_.machine, violations,
        {.placement = known == placements_.end() ? nullptr : &known->second, .speed = machine_.speed});
    if (!split || !violations.empty()) return {};
    placements_.try_emplace(plane, split->plan.placement);
    return subject_of(run, std::move(*split), machine_.machine, table_);
  }

  [[nodiscard]] Outcome bounded(const Candidate& candidate) {
    Outcome outcome{
        .candidate = candidate, .known_as = known_as(candidate, machine_.machine), .fate = Fate::bounded};
    std::vector<base::Violation> violations;
    const auto subject = this->subject(candidate, violations);
    if (!subject) {
      outcome.fate = Fate::impossible;
      outcome.why = violations.empty() ? "" : to_string(violations.front());
      return outcome;
    }
    if (asks_for_memory()) outcome.memory = most_memory(*subject, roles_of(*subject));
    outcome.bound_seconds = seconds(outcome.epoch_bound_seconds, [&](std::int64_t batch) {
      return busiest_seconds(*subject, machine_, batch, kernels_);
    });
    if (options_.memory && outcome.memory > *options_.memory) outcome.fate = Fate::too_large;
    return outcome;
  }

  /// Whatever its bound.
  [[nodiscard]] bool is_shown(const Outcome& outcome) const {
    return simulated_ < options_.top || (ranks_ <= few_ranks && !outcome.known_as.empty());
  }

  /// A step of the run's batch, its prediction left in `outcome`.
  step::Roles predict_to(Outcome& outcome, double& step, double& epoch, const Subject& subject,
                         sim::Depth depth) {
    std::optional<step::Roles> roles;
    step = seconds(epoch, [&](std::int64_t batch) {
      auto prediction = predict(subject, machine_, batch, 3, depth, &kernels_);
      if (batch != run_.train.batch) return prediction.step_seconds();
      outcome.idle_fraction = prediction.idle_fraction();
      outcome.bubble_fraction = prediction.bubble_fraction();
      const double of_step = prediction.step_seconds();
      roles = std::move(prediction.roles);
      return of_step;
    });
    return std::move(*roles);
  }

  void finish(Outcome& outcome, double step, double epoch) {
    outcome.fate = Fate::simulated;
    outcome.step_seconds = step;
    if (options_.objective == Objective::epoch) outcome.epoch_seconds = epoch;
    least_ = std::min(least_, value_of(outcome));
  }

  /// For the first time: where full depth alone knows the machine, and ranks are many, without what it knows.
  void simulate(Outcome& outcome, std::size_t number) {
    std::vector<base::Violation> none;
    const auto subject = *this->subject(outcome.candidate, none);
    double step = 0, epoch = 0;
    const auto depth = ranks_ <= few_ranks ? sim::Depth::full : sim::Depth::classes;
    const auto roles = predict_to(outcome, step, epoch, subject, depth);
    if (!asks_for_memory()) outcome.memory = most_memory(subject, roles);
    ++simulated_;
    if (depth == sim::Depth::full || !full_alone_.any()) return finish(outcome, step, epoch);
    outcome.fate = Fate::unshared;
    outcome.bound_seconds = std::max(outcome.bound_seconds, step);
    outcome.epoch_bound_seconds = std::max(outcome.epoch_bound_seconds, epoch);
    rounds_[number] = sim::rounds_of_step(roles.by_rank,
                                          costs_of(subject, machine_, roles, subject.split.batch, &kernels_));
    open_.emplace(bound_of(outcome), number);
  }

  /// In full depth, where its rounds still have room. If not, what is slower without sharing cannot be said
  /// to win.
  void share(Outcome& outcome, std::size_t number) {
    if (ranks_ > static_cast<int>(sim::most_full_ranks) || rounds_.at(number) > left_rounds_) {
      contested_ = std::min(contested_, bound_of(outcome));
      return;
    }
    left_rounds_ -= rounds_.at(number);
    std::vector<base::Violation> none;
    double step = 0, epoch = 0;
    predict_to(outcome, step, epoch, *this->subject(outcome.candidate, none), sim::Depth::full);
    finish(outcome, step, epoch);
  }

  void conclude() {
    if (plans_.count(Fate::simulated) == 0)
      for (auto& outcome : plans_.outcomes)
        if (outcome.fate == Fate::unshared) {
          plans_.left_out = full_alone_;
          finish(outcome, outcome.bound_seconds, outcome.epoch_bound_seconds);
        }
    std::ranges::stable_sort(plans_.outcomes, {}, [&](const Outcome& o) {
      return std::pair(static_cast<int>(o.fate), o.step_seconds ? value_of(o) : bound_of(o));
    });
    if (plans_.count(Fate::simulated) == 0) return;
    const double best = value_of(plans_.outcomes.front());
    double least = best;
    for (const auto& outcome : plans_.outcomes)
      if (outcome.fate == Fate::unshared || outcome.fate == Fate::bounded)
        least = std::min(least, bound_of(outcome));
    plans_.is_certain = least >= best && !plans_.left_out.any();
    plans_.gap = 1 - least / best;
  }

  const config::RunOptions& run_;
  const int ranks_;
  const Supposed machine_;
  const collective::AlgorithmTable& table_;
  const SearchOptions& options_;
  const cost::KernelTimes kernels_;
  const sim::LeftOut full_alone_{
      .meetings = machine_.machine.messages_meet(),
      .polling = machine_.machine.progress == machine::Progress::polled,
      .cores = machine_.machine.shares_cores(ranks_, kernels_.execution().threads)};
  std::map<std::pair<int, int>, step::ModelPlacement> placements_;  ///< by data and tensor ranks
  Plans plans_;
  std::set<std::pair<double, std::size_t>> open_;  ///< what may be simulated next, by bounds
  std::size_t simulated_ = 0;
  double least_ = std::numeric_limits<double>::infinity();  ///< what reaches it cannot win
  /// The least bound of a plan for whose rounds no room was left: what reaches it is not looked at.
  double contested_ = std::numeric_limits<double>::infinity();
  std::map<std::size_t, std::int64_t> rounds_;  ///< of unshared ones
  std::int64_t left_rounds_ = options_.most_full_rounds;
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
