/// Where not every step of a run does the same: which kinds of steps there are, and which step is of which.
///
/// A program holds the instructions of all kinds, and each says of which it is: they have the same slots, and
/// a transfer that one step starts may be waited for in the next.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string_view>
#include <vector>

namespace partita::step {

enum class StepKind : std::uint8_t {
  synchronous,   ///< all ranks update by the gradients of all
  local,         ///< each data rank updates by its own gradients
  averaging,     ///< the same, and then parameters are averaged over the data ranks
  first,         ///< gradients are taken, into the first of two buffers, and nothing is updated
  odd,           ///< into the second, and the update is by those of the step before, in the first
  even,          ///< the other way round
  drain_first,   ///< nothing but the update, by those in the first buffer; no samples are taken
  drain_second,  ///< the same of the second
  asynchronous   ///< workers push their gradients, and go on when their servers answer
};
std::string_view to_string(StepKind);
/// Whether a data rank knows the loss of its own samples only.
constexpr bool knows_own_loss(StepKind kind) {
  return kind == StepKind::local || kind == StepKind::asynchronous;
}

/// A set of them; all, unless some are named.
class StepKinds {
 public:
  constexpr StepKinds() = default;
  constexpr StepKinds(std::initializer_list<StepKind> kinds) : bits_(0) {
    for (const auto kind : kinds)
      bits_ |= bit_of(kind);
  }
  [[nodiscard]] static constexpr StepKinds none() {
    StepKinds kinds;
    kinds.bits_ = 0;
    return kinds;
  }
  [[nodiscard]] constexpr bool has(StepKind kind) const { return (bits_ & bit_of(kind)) != 0; }
  /// Different for different sets.
  [[nodiscard]] constexpr int number() const { return bits_; }
  friend constexpr StepKinds operator&(StepKinds a, StepKinds b) {
    a.bits_ &= b.bits_;
    return a;
  }
  friend constexpr StepKinds operator|(StepKinds a, StepKinds b) {
    a.bits_ |= b.bits_;
    return a;
  }
  friend constexpr auto operator<=>(StepKinds, StepKinds) = default;

 private:
  using Bits = std::uint16_t;
  static constexpr Bits all = 0xFFFF;
  static constexpr Bits bit_of(StepKind kind) { return static_cast<Bits>(1U << static_cast<unsigned>(kind)); }
  Bits bits_ = all;
};

/// What becomes of the states of the optimizer when parameters are averaged: every data rank keeps its own,
/// they are averaged too, or begin again as zeros.
enum class LocalStates { keep, average, reset };
constexpr std::string_view to_string(LocalStates states) {
  constexpr std::string_view words[] = {"keep", "average", "reset"};
  return words[static_cast<int>(states)];
}

/// Local steps: data ranks update by their own gradients, and average their parameters every `period` steps
/// and where an epoch or the run ends (local SGD: Stich 2019, arXiv:1805.09767; its outer momentum: Wang et
/// al. 2020, SlowMo, arXiv:1910.00643).
struct LocalSteps {
  std::int64_t period = 0;  ///< steps; 0: every step is synchronous
  std::int64_t start = 0;   ///< the first steps of the run that are synchronous (post-local SGD: Lin et al.
                            ///< 2020, arXiv:1808.07217)
  LocalStates states = LocalStates::keep;
  int state_vectors = 0;         ///< of the optimizer
  std::int64_t epoch_steps = 0;  ///< where it is known: no period is longer than an epoch
  /// With d = w0 − w̄, by which the mean w̄ left what was averaged last: u ← µu + d, w ← w0 − η(d + µu).
  double outer_rate = 1;      ///< η
  double outer_momentum = 0;  ///< µ
  [[nodiscard]] bool is_on() const { return period > 0; }
  /// Whether w is another one than w̄.
  [[nodiscard]] bool has_outer_step() const { return is_on() && (outer_rate != 1 || outer_momentum != 0); }
  friend bool operator==(const LocalSteps&, const LocalSteps&) = default;
};

/// Parameter servers: the last ranks of the data axis, which take no samples. Each holds an even share of the
/// parameters, and updates it by the gradients that the others, the workers, push; the answer to a push is
/// the share as it is then (Li et al. 2014, OSDI).
struct Servers {
  int count = 0;                 ///< 0: none
  bool is_asynchronous = false;  ///< a push is applied by itself, as soon as it has come; else all together
  /// Of asynchronous ones: a worker is answered once no other is more than so many steps behind it (stale
  /// synchronous parallel: Ho et al. 2013, NIPS); none: at once.
  std::optional<std::int64_t> bound = {};
  std::int64_t synchronous_steps = 0;  ///< the first ones of the run, of asynchronous servers
  [[nodiscard]] bool is_on() const { return count > 0; }
  friend bool operator==(const Servers&, const Servers&) = default;
};

/// What steps of a run do: all the same, or not.
struct Cadence {
  LocalSteps local;
  /// Gradients are added up while the next step computes, which begins before they are used (as Zinkevich,
  /// Langford and Smola 2009 delay them by one step).
  bool is_delayed = false;
  Servers servers = {};
  std::int64_t run_steps = 0;  ///< where it is known: no start is longer than the run
  /// The first steps of the run, which are synchronous where later ones are not.
  [[nodiscard]] std::int64_t start() const {
    return servers.is_asynchronous ? servers.synchronous_steps : local.is_on() ? local.start : 0;
  }
  /// Whether the run ends before any other step.
  [[nodiscard]] bool ends_in_start() const { return run_steps > 0 && start() >= run_steps; }
  [[nodiscard]] bool is_uniform() const { return !local.is_on() && !is_delayed && !servers.is_asynchronous; }
  friend bool operator==(const Cadence&, const Cadence&) = default;
};

/// Where a step lies in a run.
struct StepPlace {
  std::int64_t step = 0;                ///< from 0
  std::int64_t step_of_epoch = 0;       ///< from 0
  bool is_last = false;                 ///< of its epoch, or of the run
  std::optional<StepKind> before = {};  ///< of the step before it, whose gradients wait; none: none do
};
StepKind kind_of(const Cadence&, const StepPlace&);

/// Of asynchronous servers: the next step, behind this one, at whose beginning all ranks have the same
/// parameters: where an epoch or the run ends, and every so many steps (0: not so).
std::int64_t next_quiescence(std::int64_t step, std::int64_t steps_of_epoch, std::int64_t every,
                             std::int64_t limit);

/// Of the first steps of a run, of whose epochs each has so many; of delayed updates also what comes behind
/// the last.
std::vector<StepKind> kinds_of_run(const Cadence&, std::int64_t steps, std::int64_t steps_of_epoch);

/// Of what follows the last step: the kind that uses the gradients of a step of this one.
StepKind drain_of(StepKind);

/// The kinds that occur, in the order in which they do first.
std::vector<StepKind> kinds_of(const Cadence&);

/// The same, but that those come first of which there are most.
std::vector<StepKind> kinds_by_use(const Cadence&);

/// One of those kinds that exchange the same, in the steady state.
std::vector<StepKind> different_kinds(const Cadence&);

/// Kinds that follow each other in a run: all that there are, and most of them twice.
std::vector<StepKind> two_periods_of(const Cadence&);

/// The kinds of steps in a steady state, of which the last `period` come again and again; at least `steps`,
/// and before them two of the run's start, where it has one. Of a run that ends in it: those of the start.
/// Of a period of very many local steps `left_out` more would follow each other, which are as the one before
/// the last.
struct SteadySteps {
  std::vector<StepKind> kinds;
  std::int64_t period = 1, left_out = 0;
};
SteadySteps steady_steps(const Cadence&, int steps);

}  // namespace partita::step
