/// Sums up the instructions of a stage's last ranks; cuts that differ share the stages in which they do not.
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

/// Of each part of the machine that ranks of a stage are, the last one.
std::map<int, int> last_ranks(const topology::GridExtent& grid, int stage, const machine::Machine& machine) {
  const auto rank_at = [&](int data, int tensor) {
    return topology::rank_of(grid, {.data = data, .pipeline = stage, .tensor = tensor});
  };
  if (machine.parts.empty()) return {{0, rank_at(grid.data - 1, grid.tensor - 1)}};
  std::map<int, int> last;
  for (int data = 0; data < grid.data; ++data)
    for (int tensor = 0; tensor < grid.tensor; ++tensor)
      last[machine.part_of(rank_at(data, tensor))] = rank_at(data, tensor);
  return last;
}

/// How long a rank computes, starts transfers, takes up what they brought and begins anew.
machine::Picoseconds computed(const Subject& subject, const Supposed& supposed, int rank, std::int64_t batch,
                              const cost::KernelTimes& kernels) {
  const auto program = program_of(subject, topology::coordinate_of(subject.split.plan.grid, rank));
  const cost::ProgramTimes times(kernels, program, batch);
  const auto known = supposed.speed.find(rank);
  const double speed = known == supposed.speed.end() ? 1 : known->second;
  const auto& overheads = supposed.machine.of_rank(rank).overheads;
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
  if (is_new)
    for (const auto& [part, rank] : last_ranks(plan.grid, stage, supposed_.machine))
      found->second =
          std::max(found->second, computed(subject, supposed_, rank, batch, kernels_.of_part(part)));
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
