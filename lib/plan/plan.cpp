/// A placement for the nominal batch first, then the partition of the layers as they are placed.
#include "partita/plan/plan.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

#include "partita/plan/grid.hpp"
#include "partita/plan/partition.hpp"

namespace partita::plan {
namespace {

/// Of each stage, for samples of the busiest data rank: who has fewer is as much faster. Empty where all
/// ranks are as the machine says.
std::vector<Paces> paces_of_stages(const topology::GridExtent& grid, const step::Weights& weights,
                                   const machine::Machine& machine, const std::map<int, double>& speed) {
  if (speed.empty() && machine.parts.empty()) return {};
  const auto most = weights.empty() ? 1 : *std::ranges::max_element(weights);
  std::vector<Paces> slowest(static_cast<std::size_t>(grid.pipeline));
  for (int rank = 0; rank < grid.size(); ++rank) {
    const auto at = topology::coordinate_of(grid, rank);
    const auto weight = weights.empty() ? 1 : weights[static_cast<std::size_t>(at.data)];
    if (weight == 0) continue;
    const auto found = speed.find(rank);
    auto& of_stage = slowest[static_cast<std::size_t>(at.pipeline)];
    auto& of_part = of_stage.try_emplace(machine.part_of(rank), INFINITY).first->second;
    of_part = std::min(of_part, (found == speed.end() ? 1 : found->second) * static_cast<double>(most) /
                                    static_cast<double>(weight));
  }
  return slowest;
}

/// What is cut for a batch of the whole grid.
Cut cut_of(const topology::GridExtent& grid, const step::PipelineOptions& pipeline,
           const step::Weights& weights, std::int64_t batch, const machine::Machine& machine,
           const std::map<int, double>& speed) {
  const auto samples = step::largest_share(grid, weights, batch);
  return {.stages = grid.pipeline,
          .chunks_of_stage = pipeline.chunks,
          .samples = (samples + pipeline.microbatches - 1) / pipeline.microbatches,
          .paces = paces_of_stages(grid, weights, machine, speed)};
}

/// Whether several ranks update the same parameters.
bool shares_parameters(const model::ModelSpec& model, const step::Plan& plan) {
  for (int l = 0; l < static_cast<int>(model.layers.size()); ++l)
    if (model.layers[static_cast<std::size_t>(l)].is_trained() &&
        step::gradient_axes(plan, l) != topology::Axis::none)
      return true;
  return false;
}

}  // namespace

step::Plan choose(const model::ModelSpec& model, const Request& request, const machine::Machine& machine,
                  std::vector<base::Violation>& violations) {
  return choose(model, request, Chosen{}, machine, violations);
}

step::Plan choose(const model::ModelSpec& model, const Request& request, const Chosen& chosen,
                  const machine::Machine& machine, std::vector<base::Violation>& violations) {
  step::Plan plan{.grid = request.grid,
                  .pipeline = request.pipeline,
                  .placement = chosen.placement != nullptr
                                   ? *chosen.placement
                                   : place(model, request.grid, request.batch, machine, request.outputs),
                  .bucket_bytes = request.bucket_bytes,
                  .grains = request.grains,
                  .all_reduces = {.algorithm = request.algorithm, .nearest_first = request.grains > 0},
                  .norms = request.norms,
                  .split = request.split,
                  .gather = request.gather,
                  .compression = request.compression,
                  .cadence = request.cadence,
                  .weights = request.weights};
  if (!shares_parameters(model, plan)) plan.split = step::Split::none, plan.compression = {};
  if (plan.compression.is_secure()) plan.compression.residuals = false;  // of what is rounded nothing is kept
  if (request.grid.data == 1) plan.cadence.local = {};                   // a mean of one
  plan.partition = chosen.partition != nullptr
                       ? *chosen.partition
                       : partition(model, plan.placement,
                                   cut_of(request.grid, request.pipeline, request.weights, request.batch,
                                          machine, request.speed),
                                   machine, violations);
  return plan;
}

step::Plan choose(const model::ModelSpec& model, const Request& request, const machine::Machine& machine) {
  std::vector<base::Violation> violations;
  auto plan = choose(model, request, machine, violations);
  if (!violations.empty()) throw base::ConfigError(violations);
  return plan;
}

std::vector<step::Partition> partitions_of(const Split& split, const std::map<int, double>& speed,
                                           const machine::Machine& machine, std::size_t most) {
  const auto& plan = split.plan;
  std::vector<base::Violation> none;
  return partitions(split.model, plan.placement,
                    cut_of(plan.grid, plan.pipeline, plan.weights, split.batch, machine, speed), machine,
                    most, none);
}

}  // namespace partita::plan
