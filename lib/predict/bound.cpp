/// Sums up the instructions of a stage's last rank; cuts that differ share the stages in which they do not.
#include "bound.hpp"

#include <algorithm>

#include "partita/model/passes.hpp"

namespace partita::predict {
namespace {

/// Forward and backward, of a sample.
double flops_of_stage(const plan::Split& split, int stage) {
  const auto& [model, plan, batch] = split;
  double flops = 0;
  for (auto k = static_cast<std::size_t>(stage); k + 1 < plan.partition.size();
       k += static_cast<std::size_t>(plan.grid.pipeline))
    for (int l = plan.partition[k]; l < plan.partition[k + 1]; ++l)
      flops += model::passes_over(model, l) * model.layers[static_cast<std::size_t>(l)].forward_flops();
  return flops;
}

/// How long the last rank of a stage computes, starts transfers, takes up what they brought and begins anew.
machine::Picoseconds computed(const Subject& subject, const Supposed& supposed, int stage, std::int64_t batch,
                              const cost::KernelTimes& kernels) {
  const auto& grid = subject.split.plan.grid;
  const topology::Coordinate last{.data = grid.data - 1, .pipeline = stage, .tensor = grid.tensor - 1};
  const auto program = program_of(subject, last);
  const int rank = topology::rank_of(grid, last);
  const cost::ProgramTimes times(kernels, program, batch);
  const auto known = supposed.speed.find(rank);
  const double speed = known == supposed.speed.end() ? 1 : known->second;
  const auto& overheads = supposed.machine.overheads;
  const auto start = machine::picoseconds(overheads.start_seconds),
             wait = machine::picoseconds(overheads.wait_seconds);
  machine::Picoseconds busy = machine::picoseconds(overheads.step_seconds);
  for (const auto& instruction : program.instructions)
    if (instruction.kind == step::Kind::start)
      busy += start;
    else if (instruction.kind == step::Kind::wait)
      busy += wait;
    else
      busy += sim::at_speed(
          times.of(instruction, program.samples_of(instruction.microbatch, rank, batch)).time, speed);
  return busy;
}

}  // namespace

machine::Picoseconds ComputeBound::busy(const Candidate& candidate, const Subject& subject, int stage,
                                        std::int64_t batch) {
  auto uncut = candidate;
  uncut.cut.clear();
  const auto& plan = subject.split.plan;
  Stage key{stage, batch};
  for (auto k = static_cast<std::size_t>(stage); k + 1 < plan.partition.size();
       k += static_cast<std::size_t>(plan.grid.pipeline))
    key.insert(key.end(), {plan.partition[k], plan.partition[k + 1]});
  const auto [found, is_new] = busy_[uncut.name()].try_emplace(std::move(key));
  if (is_new) found->second = computed(subject, supposed_, stage, batch, kernels_);
  return found->second;
}

double ComputeBound::seconds(const Candidate& candidate, const Subject& subject, std::int64_t batch) {
  machine::Picoseconds most = 0;
  for (int stage = 0; stage < subject.split.plan.grid.pipeline; ++stage)
    most = std::max(most, busy(candidate, subject, stage, batch));
  return machine::seconds_of(most);
}

double ComputeBound::of_one_stage(const Candidate& candidate, const Subject& subject, std::int64_t batch) {
  int most = 0;
  for (int stage = 1; stage < subject.split.plan.grid.pipeline; ++stage)
    if (flops_of_stage(subject.split, stage) > flops_of_stage(subject.split, most)) most = stage;
  return machine::seconds_of(busy(candidate, subject, most, batch));
}

}  // namespace partita::predict
