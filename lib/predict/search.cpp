/// Best first: what a rank takes by itself says what is looked at more closely next, unless a bound says that
/// it does not come before the best that was simulated: a plan is bounded by one of its stages, by all of
/// them, simulated. Of equal plans the first among the candidates is the best, in whatever order they come.
/// Beyond few ranks, where full depth alone knows the machine, a look comes between: a simulation in which
/// messages do not meet and transfers move on by themselves, which takes no longer. Plans of many ranks are
/// long: those that are looked at closely are together no longer than the options allow.
#include "partita/predict/search.hpp"

#include <algorithm>
#include <array>
#include <limits>
#include <map>
#include <set>
#include <utility>

#include "bound.hpp"
#include "partita/step/roles.hpp"

namespace partita::predict {
namespace {

using kernels::Bytes;

Bytes most_memory(const Subject& subject, const step::Roles& roles) {
  Bytes most{};
  const auto ranks = ranks_that_differ(roles, subject.split.batch);
  for (const auto& m : memory_of(subject, roles, std::array{subject.split.batch}, ranks))
    most = std::max(most, m.total());
  return most;
}

/// All ranks on the data axis; as many on the tensor axis as a node has, and the others on the data axis;
/// both as a run places them, with even shares.
std::string_view known_as(const Candidate& candidate, const machine::Machine& machine) {
  const auto& grid = candidate.grid;
  const auto node = machine.levels.empty() ? grid.size() : machine.levels.front().ranks;
  if (grid.pipeline > 1 || candidate.placement > 1 || candidate.split || !candidate.weights.empty())
    return "";
  if (grid.tensor == 1) return "data alone";
  return grid.tensor == std::min(node, grid.size()) ? "tensor within a node" : "";
}

/// How many times as long as one of its stages a pipeline takes, were all alike: the first micro-batch has to
/// come through, or each.
double filling(const Candidate& candidate) {
  const double stages = candidate.grid.pipeline,
               passes = candidate.pipeline.microbatches * candidate.pipeline.chunks;
  return candidate.pipeline.schedule == step::Schedule::naive ? stages : (passes + stages - 1) / passes;
}

constexpr double rounding = 1e-9;  ///< of times that are whole picoseconds
constexpr int few_ranks = 8;       ///< every plan that is simulated is in full depth
constexpr int some_ranks = 64;     ///< every contender is, however many rounds it has

class Search {
 public:
  Search(const config::RunOptions& run, int ranks, const machine::Machine& machine,
         const collective::AlgorithmTable& table, const SearchOptions& options)
      : run_(run),
        ranks_(ranks),
        machine_{.machine = machine, .speed = options.speed},
        table_(table),
        options_(options),
        kernels_(machine_.machine, execution_of(run, ranks, machine), ranks),
        splitter_(run, machine_.machine, machine_.speed, options.choices),
        rank_bound_(machine_, kernels_) {
    plans_.ranks_share_cores = kernels_.execution().crowding > 1;
  }

  Plans find(const std::vector<Candidate>& candidates) && {
    for (const auto& candidate : candidates)
      for (const auto& variant : splitter_.variants_of(candidate))
        plans_.outcomes.push_back(bounded(variant));
    for (std::size_t o = 0; o < plans_.outcomes.size(); ++o)
      if (plans_.outcomes[o].fate == Fate::bounded) put(o);
    while (!open_.empty()) {
      const auto number = open_.begin()->second;
      open_.erase(open_.begin());
      auto& outcome = plans_.outcomes[number];
      if (outcome.fate == Fate::unshared) {
        if (may_win(number) || is_known(outcome) || is_missing(finished_, outcome)) share(outcome, number);
      } else if (has_room() && ((may_win(number) && bound_of(outcome) < contested_) || is_shown(outcome))) {
        if (refined_.insert(number).second)
          refine(outcome, number);
        else
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
  /// What looks best comes next: by memory where that decides, else by a step of the run's batch.
  void put(std::size_t number) {
    const auto& o = plans_.outcomes[number];
    const double of_step =
        o.fate == Fate::unshared ? o.bound_seconds : o.alone_seconds * filling(o.candidate);
    open_.emplace(options_.objective == Objective::memory ? bound_of(o) : of_step, number);
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
    auto split = splitter_.split(candidate, violations);
    if (!split) return {};
    return subject_of(run_, std::move(*split), machine_.machine, table_);
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
      return rank_bound_.of_one_stage(candidate, *subject, batch).alone;
    });
    outcome.alone_seconds = rank_bound_.of_one_stage(candidate, *subject, run_.train.batch).alone;
    if (options_.memory && outcome.memory > *options_.memory) outcome.fate = Fate::too_large;
    return outcome;
  }

  /// Bounds it by all of its stages.
  void refine(Outcome& outcome, std::size_t number) {
    std::vector<base::Violation> none;
    const auto subject = *this->subject(outcome.candidate, none);
    outcome.bound_seconds = seconds(outcome.epoch_bound_seconds, [&](std::int64_t batch) {
      return rank_bound_.seconds(outcome.candidate, subject, batch).alone;
    });
    outcome.alone_seconds = rank_bound_.seconds(outcome.candidate, subject, run_.train.batch).alone;
    put(number);
    const auto [instructions, rounds] = length_of(outcome, subject);
    left_length_ -= (instructions + rounds) * outcome.candidate.grid.pipeline / ranks_;
  }
  Length length_of(const Outcome& outcome, const Subject& subject) {
    return rank_bound_.length(outcome.candidate, subject, subject.split.batch);
  }

  /// Whether anything may be looked at more closely: whatever it is, the first plan is simulated.
  [[nodiscard]] bool has_room() const { return ranks_ <= some_ranks || simulated_ == 0 || left_length_ > 0; }
  bool takes_room(const Outcome& outcome, const Subject& subject) {
    if (ranks_ <= some_ranks) return true;
    const auto [instructions, rounds] = length_of(outcome, subject);
    if (simulated_ > 0 && instructions + rounds > left_length_) return false;
    left_length_ -= instructions + rounds;
    return true;
  }

  [[nodiscard]] bool may_win(std::size_t number) const {
    return std::pair(bound_of(plans_.outcomes[number]), number) < best_;
  }
  /// Whatever its bound.
  [[nodiscard]] bool is_shown(const Outcome& outcome) const {
    return simulated_ < options_.top || is_known(outcome) || is_missing(looked_at_, outcome);
  }
  [[nodiscard]] bool is_known(const Outcome& outcome) const {
    return ranks_ <= some_ranks && !outcome.known_as.empty();
  }

  using Pipelines = std::set<std::string>;  ///< by their names without placements and cuts
  static std::string pipeline_of(const Outcome& outcome) {
    return outcome.candidate.without_variant().name();
  }
  /// Whether too few pipelines are among these, and not its own.
  [[nodiscard]] bool is_missing(const Pipelines& pipelines, const Outcome& outcome) const {
    return pipelines.size() < options_.pipelines && !pipelines.contains(pipeline_of(outcome));
  }

  /// A step of the run's batch, its prediction left in `outcome`.
  step::Roles predict_to(Outcome& outcome, double& step, double& epoch, const Subject& subject,
                         sim::Depth depth) {
    std::optional<step::Roles> roles;
    running_ = 0;
    is_shared_ = true;
    step = seconds(epoch, [&](std::int64_t batch) {
      auto prediction = predict(subject, machine_, batch, 3, depth, &kernels_);
      running_ = std::max(running_, prediction.simulation.running_ranks());
      is_shared_ = is_shared_ && !prediction.simulation.left_out.any();
      if (batch != run_.train.batch) return prediction.step_seconds();
      outcome.idle_fraction = prediction.idle_fraction();
      outcome.bubble_fraction = prediction.bubble_fraction();
      const double of_step = prediction.step_seconds();
      roles = std::move(prediction.roles);
      return of_step;
    });
    return std::move(*roles);
  }

  void finish(Outcome& outcome, std::size_t number, double step, double epoch) {
    outcome.fate = Fate::simulated;
    outcome.step_seconds = step;
    if (options_.objective == Objective::epoch) outcome.epoch_seconds = epoch;
    best_ = std::min(best_, std::pair(value_of(outcome), number));
    finished_.insert(pipeline_of(outcome));
  }

  /// What is shown of a simulated plan besides its times.
  void remember(Outcome& outcome, const Subject& subject, const step::Roles& roles) const {
    if (!asks_for_memory()) outcome.memory = most_memory(subject, roles);
  }

  /// Bounds it by what links carry; whether it may still win, or is simulated in any case.
  bool carries_in_time(Outcome& outcome, std::size_t number, const Subject& subject) {
    double epoch = 0;
    const double step = seconds(epoch, [&](std::int64_t batch) {
      return rank_bound_.seconds_of_links(subject, batch) * (1 - rounding);
    });
    outcome.bound_seconds = std::max(outcome.bound_seconds, step);
    outcome.epoch_bound_seconds = std::max(outcome.epoch_bound_seconds, epoch);
    return may_win(number) || is_known(outcome) || is_missing(finished_, outcome);
  }

  /// For the first time: where events alone know the machine, and ranks are many, without what they know.
  void simulate(Outcome& outcome, std::size_t number) {
    std::vector<base::Violation> none;
    const auto subject = *this->subject(outcome.candidate, none);
    if (!takes_room(outcome, subject)) return;
    double step = 0, epoch = 0;
    const auto depth = ranks_ <= few_ranks ? sim::Depth::full : sim::Depth::unshared;
    const auto roles = predict_to(outcome, step, epoch, subject, depth);
    ++simulated_;
    looked_at_.insert(pipeline_of(outcome));
    if (depth == sim::Depth::full || !events_alone_.any()) {
      finish(outcome, number, step, epoch);
      return remember(outcome, subject, roles);
    }
    outcome.fate = Fate::unshared;
    outcome.bound_seconds = std::max(outcome.bound_seconds, step);
    outcome.epoch_bound_seconds = std::max(outcome.epoch_bound_seconds, epoch);
    put(number);
  }

  /// With all of the machine, where rounds still have room. If not, what is slower without sharing cannot be
  /// said to win.
  void share(Outcome& outcome, std::size_t number) {
    std::vector<base::Violation> none;
    double step = 0, epoch = 0;
    const auto subject = *this->subject(outcome.candidate, none);
    if (ranks_ <= some_ranks) {
      if (!carries_in_time(outcome, number, subject)) return;
      const auto roles = predict_to(outcome, step, epoch, subject, sim::Depth::full);
      finish(outcome, number, step, epoch);
      return remember(outcome, subject, roles);
    }
    const auto rounds = length_of(outcome, subject).rounds;
    const bool may_be_full = ranks_ <= static_cast<int>(sim::most_full_ranks) && rounds <= left_rounds_;
    if (may_be_full || left_rounds_ > 0) {
      const auto roles = predict_to(outcome, step, epoch, subject,
                                    may_be_full ? sim::Depth::automatic : sim::Depth::classes);
      left_rounds_ -= rounds * running_ / ranks_;
      if (is_shared_) {
        finish(outcome, number, step, epoch);
        return remember(outcome, subject, roles);
      }
    }
    contested_ = std::min(contested_, bound_of(outcome));
  }

  void conclude() {
    if (plans_.count(Fate::simulated) == 0)
      for (std::size_t o = 0; o < plans_.outcomes.size(); ++o)
        if (auto& outcome = plans_.outcomes[o]; outcome.fate == Fate::unshared) {
          plans_.left_out = events_alone_;
          finish(outcome, o, outcome.bound_seconds, outcome.epoch_bound_seconds);
          std::vector<base::Violation> none;
          const auto subject = *this->subject(outcome.candidate, none);
          remember(outcome, subject, roles_of(subject));
        }
    std::ranges::stable_sort(plans_.outcomes, {}, [&](const Outcome& o) {
      // Memory is known of plans that are not simulated, too.
      const bool is_known = options_.objective == Objective::memory && o.fate < Fate::too_large;
      return std::pair(is_known ? 0 : static_cast<int>(o.fate), o.step_seconds ? value_of(o) : bound_of(o));
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
  const cost::JobTimes kernels_;
  const sim::LeftOut events_alone_{.meetings = machine_.machine.messages_meet(),
                                   .polling = machine::polls(machine_.machine, ranks_)};
  Splitter splitter_;
  RankBound rank_bound_;
  Plans plans_;
  std::set<std::pair<double, std::size_t>> open_;  ///< what may be simulated next, the best-looking first
  std::set<std::size_t> refined_;                  ///< those bounded by all of their stages
  std::size_t simulated_ = 0;
  Pipelines looked_at_, finished_;  ///< of plans simulated, with all of the machine
  /// The value and the number of the best: what does not come before it cannot win.
  std::pair<double, std::size_t> best_{std::numeric_limits<double>::infinity(), 0};
  /// The least bound of a plan for whose rounds no room was left: what reaches it is not looked at.
  double contested_ = std::numeric_limits<double>::infinity();
  /// Of the last prediction: how many ranks were simulated by themselves, whether nothing was left out.
  std::int64_t running_ = 0;
  bool is_shared_ = true;
  std::int64_t left_rounds_ = options_.most_full_rounds, left_length_ = options_.most_length;
};
}  // namespace

std::size_t Plans::count(Fate fate) const {
  return static_cast<std::size_t>(std::ranges::count(outcomes, fate, &Outcome::fate));
}

std::vector<const Outcome*> contenders(const Plans& plans, std::size_t most) {
  std::vector<const Outcome*> chosen, others;
  std::set<std::string> pipelines;
  for (const auto& outcome : plans.outcomes) {
    if (outcome.fate != Fate::simulated) continue;
    const bool is_first = pipelines.insert(outcome.candidate.without_variant().name()).second;
    (is_first ? chosen : others).push_back(&outcome);
  }
  chosen.resize(std::min(chosen.size(), most));
  others.resize(std::min(others.size(), most - chosen.size()));
  chosen.insert(chosen.end(), others.begin(), others.end());
  std::ranges::sort(chosen);  // outcomes lie in their order
  return chosen;
}

Plans search(const config::RunOptions& run, int ranks, const machine::Machine& machine,
             const collective::AlgorithmTable& table, const SearchOptions& options) {
  return Search(run, ranks, machine, table, options).find(candidates_of(run, ranks, options.shares()));
}

}  // namespace partita::predict
