/// A placement for the nominal batch first, then the partition of the layers as they are placed.
#include "partita/plan/plan.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

#include "partita/plan/grid.hpp"
#include "partita/plan/partition.hpp"

namespace partita::plan {
namespace {

/// Of each stage; empty where all ranks are as the machine says.
std::vector<Paces> paces_of_stages(const topology::GridExtent& grid, const machine::Machine& machine,
                                   const std::map<int, double>& speed) {
  if (speed.empty() && machine.parts.empty()) return {};
  std::vector<Paces> slowest(static_cast<std::size_t>(grid.pipeline));
  for (int rank = 0; rank < grid.size(); ++rank) {
    const auto found = speed.find(rank);
    auto& of_stage = slowest[static_cast<std::size_t>(topology::coordinate_of(grid, rank).pipeline)];
    auto& of_part = of_stage.try_emplace(machine.part_of(rank), INFINITY).first->second;
    of_part = std::min(of_part, found == speed.end() ? 1 : found->second);
  }
  return slowest;
}

}  // namespace

step::Plan choose(const model::ModelSpec& model, const Request& request, const machine::Machine& machine,
                  std::vector<base::Violation>& violations) {
  return choose(model, request, place(model, request.grid, request.batch, machine, request.outputs), machine,
                violations);
}

step::Plan choose(const model::ModelSpec& model, const Request& request, step::ModelPlacement placement,
                  const machine::Machine& machine, std::vector<base::Violation>& violations) {
  const auto& pipeline = request.pipeline;
  step::Plan plan{.grid = request.grid,
                  .pipeline = pipeline,
                  .placement = std::move(placement),
                  .bucket_bytes = request.bucket_bytes,
                  .grains = request.grains,
                  .all_reduces = {.algorithm = request.algorithm, .nearest_first = request.grains > 0}};
  const auto samples = largest_share(request.grid, request.batch);
  const Cut cut{.stages = request.grid.pipeline,
                .chunks_of_stage = pipeline.chunks,
                .samples = (samples + pipeline.microbatches - 1) / pipeline.microbatches,
                .paces = paces_of_stages(request.grid, machine, request.speed)};
  plan.partition = partition(model, plan.placement, cut, machine, violations);
  return plan;
}

step::Plan choose(const model::ModelSpec& model, const Request& request, const machine::Machine& machine) {
  std::vector<base::Violation> violations;
  auto plan = choose(model, request, machine, violations);
  if (!violations.empty()) throw base::ConfigError(violations);
  return plan;
}

}  // namespace partita::plan
