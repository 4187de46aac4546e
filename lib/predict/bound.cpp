/// Walks the programs of a stage's last ranks; cuts that differ share the stages in which they do not.
#include "bound.hpp"

#include <algorithm>
#include <utility>

#include "partita/model/passes.hpp"

namespace partita::predict {
namespace {

using machine::Picoseconds;

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

}  // namespace

const RankBound::Alone& RankBound::last_of(const Candidate& candidate, const Subject& subject, int stage,
                                           std::int64_t batch) {
  auto uncut = candidate;
  uncut.cut.clear();
  const auto& plan = subject.split.plan;
  Stage key{stage, batch};
  for (auto k = static_cast<std::size_t>(stage); k + 1 < plan.partition.size();
       k += static_cast<std::size_t>(plan.grid.pipeline))
    key.insert(key.end(), {plan.partition[k], plan.partition[k + 1]});
  const auto [found, is_new] = known_[uncut.name()].try_emplace(std::move(key));
  if (is_new)
    for (const auto& [part, rank] : last_ranks(plan.grid, stage, supposed_.machine)) {
      const Role role(supposed_, kernels_, subject, topology::coordinate_of(plan.grid, rank), batch);
      const auto course = role.course(rank);
      if (course.time >= found->second.time) found->second = {.time = course.time, .length = course.length};
    }
  return found->second;
}

double RankBound::seconds(const Candidate& candidate, const Subject& subject, std::int64_t batch) {
  Picoseconds time = 0;
  for (int stage = 0; stage < subject.split.plan.grid.pipeline; ++stage)
    time = std::max(time, last_of(candidate, subject, stage, batch).time);
  return machine::seconds_of(time);
}

double RankBound::of_one_stage(const Candidate& candidate, const Subject& subject, std::int64_t batch) {
  int most = 0;
  for (int stage = 1; stage < subject.split.plan.grid.pipeline; ++stage)
    if (flops_of_stage(subject.split, stage) > flops_of_stage(subject.split, most)) most = stage;
  return machine::seconds_of(last_of(candidate, subject, most, batch).time);
}

Length RankBound::length(const Candidate& candidate, const Subject& subject, std::int64_t batch) {
  const auto& grid = subject.split.plan.grid;
  const std::int64_t ranks = std::int64_t{grid.data} * grid.tensor;
  Length all;
  for (int stage = 0; stage < grid.pipeline; ++stage) {
    const auto& of_rank = last_of(candidate, subject, stage, batch).length;
    all.instructions += of_rank.instructions * ranks;
    all.rounds += of_rank.rounds * ranks;
  }
  return all;
}

}  // namespace partita::predict
