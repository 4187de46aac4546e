/// A placement for the nominal batch first, then the partition of the layers as they are placed.
#include "partita/plan/plan.hpp"

#include "partita/plan/partition.hpp"

namespace partita::plan {

step::Plan choose(const model::ModelSpec& model, const Request& request,
                  std::vector<base::Violation>& violations) {
  step::Plan plan{.grid = request.grid,
                  .pipeline = request.pipeline,
                  .placement = place(model, request.grid, request.batch, {}, request.outputs),
                  .bucket_bytes = request.bucket_bytes,
                  .grains = request.grains,
                  .all_reduces = {.algorithm = request.algorithm, .nearest_first = request.grains > 0}};
  plan.partition =
      partition(model, plan.placement, request.grid.pipeline, request.pipeline.chunks, violations);
  return plan;
}

step::Plan choose(const model::ModelSpec& model, const Request& request) {
  std::vector<base::Violation> violations;
  auto plan = choose(model, request, violations);
  if (!violations.empty()) throw base::ConfigError(violations);
  return plan;
}

}  // namespace partita::plan
