/// What a training would cost on a machine, before it runs: when every instruction of every rank begins and
/// ends, which bytes it moves and which it holds. The programs are those that a run executes.
#pragma once

#include <array>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "partita/cost/kernel_times.hpp"
#include "partita/kernels/optimizer.hpp"
#include "partita/plan/plan.hpp"
#include "partita/predict/what_if.hpp"
#include "partita/results/record.hpp"
#include "partita/sim/simulate.hpp"
#include "partita/step/build.hpp"

namespace partita::predict {

/// One line on what a prediction leaves out of its machine, and why; empty where nothing is.
std::string text_of(const sim::LeftOut&);
/// One line on what predicted seconds are where ranks share cores.
std::string_view text_of_shared_cores();

/// What is predicted.
struct Subject {
  plan::Split split;
  step::TensorFormat format;
  kernels::OptimizerRule optimizer = kernels::OptimizerRule::sgd;
  cost::Execution execution;  ///< how ranks run the programs
  step::Site site;
};

struct Prediction {
  std::int64_t batch = 0;
  step::Roles roles;
  sim::Simulation simulation;      ///< one step after the other
  bool ranks_share_cores = false;  ///< then times put plans in order, and are not what steps will take

  /// Of a step in the steady state; where steps differ, the mean of a period.
  [[nodiscard]] double step_seconds() const;
  /// Shares of the ranks' time in the last step: waiting, and waiting for another stage.
  [[nodiscard]] double idle_fraction() const;
  [[nodiscard]] double bubble_fraction() const;
};

/// The program of a role.
step::Program program_of(const Subject&, const topology::Coordinate& role);
/// The programs of all ranks.
step::Roles roles_of(const Subject&);

/// What instructions and rounds of a batch cost there. Programs and what is supposed outlive the costs.
sim::Costs costs_of(const Subject&, const Supposed&, const step::Roles&, std::int64_t batch,
                    const cost::JobTimes* = nullptr);

/// Data ranks of a role that are one part of the machine.
struct RolePart {
  int part = 0;
  int first = 0;  ///< rank
  int count = 0;
};
/// Of the role that has this program, for each part of the machine that any of its ranks is.
std::vector<RolePart> parts_of(const step::Program&, const machine::Machine&);

/// What a rank computes and copies in a step, of those of which there are most; starts and waits are left
/// out.
machine::Picoseconds computing_time(const sim::Costs&, const step::Program&, int rank);

/// Simulates `steps` steps, at least three, of `batch` samples; more, whose mean the step is, where the last
/// two are not equally long and have at most 100,000 rounds of transfers. Instructions have spans on every
/// rank where the depth is full, else on the first data rank of each role. Who predicts often has times of
/// kernels ready, of this machine, the subject's execution and as many ranks.
Prediction predict(const Subject&, const Supposed&, std::int64_t batch, int steps,
                   sim::Depth = sim::Depth::full, const cost::JobTimes* = nullptr);

/// What a step gains, in percent of its time, where a figure of the machine is one percent better.
struct Sensitivity {
  std::string_view figure;
  double percent = 0;
};
/// Of every figure on which a step depends, the strongest first.
std::vector<Sensitivity> sensitivities_of(const Subject&, const Supposed&, std::int64_t batch, sim::Depth);

/// Shares of the ranks' computing time by how it is known, indexed by `cost::Basis`.
using BasisShares = std::array<double, 4>;
BasisShares bases_of(const Subject&, const step::Roles&, const machine::Machine&, std::int64_t batch);

/// Seconds of one rank in one step, as a run's record has them, from the spans of its instructions.
results::PhaseSeconds phases_of(const step::Program&, const sim::RankStep&);

/// Of each role a rank for every way in which data ranks share the samples of the micro-batches: all others
/// have the memory of one of them.
std::vector<int> ranks_that_differ(const step::Roles&, std::int64_t batch);

/// Peak bytes of these ranks, as a run of batches of these sizes finds them, the largest first.
std::vector<results::MemoryRow> memory_of(const Subject&, const step::Roles&,
                                          std::span<const std::int64_t> batches, std::span<const int> ranks);

/// What steps that exchange the same have in common; and how many there are.
struct StepOfRun {
  std::int64_t batch = 1;
  step::StepKind kind = step::StepKind::synchronous;
  friend auto operator<=>(const StepOfRun&, const StepOfRun&) = default;
};
using StepCounts = std::map<StepOfRun, std::int64_t>;

/// What every rank exchanges in so many steps of each.
std::vector<collective::TrafficRow> traffic_of(const Subject&, const step::Roles&, const StepCounts&);

}  // namespace partita::predict
