/// Training under every decomposition equals training on one rank: differences are measured against how far
/// training moved, tensor by tensor, and a tensor that did not move fails as vacuous.
#include <gtest/gtest.h>

#include <cmath>

#include "../mpi_main.hpp"
#include "cases.hpp"

namespace partita::tests {
namespace {

using kernels::DataType;
using kernels::View;

double norm(const std::vector<double>& v) {
  double sum = 0;
  for (const double x : v)
    sum += x * x;
  return std::sqrt(sum);
}

std::vector<double> difference(std::vector<double> a, const std::vector<double>& b) {
  for (std::size_t i = 0; i < a.size(); ++i)
    a[i] -= b[i];
  return a;
}

/// The largest ‖w_p − w₁‖ / ‖w₁ − w₀‖ over tensors; infinity when a tensor moved less than 1e-4 of its norm.
double largest_drift(const std::vector<run::LogicalTensor>& start, const std::vector<run::LogicalTensor>& one,
                     const std::vector<run::LogicalTensor>& many) {
  double worst = 0;
  for (std::size_t i = 0; i < one.size(); ++i) {
    const double moved = norm(difference(one[i].values, start[i].values));
    if (moved < 1e-4 * norm(start[i].values)) return INFINITY;
    worst = std::max(worst, norm(difference(many[i].values, one[i].values)) / moved);
  }
  return worst;
}

comm::Communicator& alone_on_this_rank() {
  static auto* self = new comm::Communicator(comm::Communicator::self(environment()));
  return *self;
}

using Tensors = std::vector<run::LogicalTensor>;

Tensors trained(const Case& c, const run::TrainingOptions& options, kernels::Backend& backend,
                comm::Communicator& ranks) {
  run::Training training(c.model, options, backend, ranks, c.data);
  training.run({});
  return training.gather_parameters();
}

TEST(Quick, EveryGrid) {
  const auto backend = kernels::make_reference_backend(DataType::float64);
  auto& world = tests::world();
  for (const auto& c : cases()) {
    const auto one = trained(c, options_for(c, {}), *backend, alone_on_this_rank());
    auto none = options_for(c, {});
    none.steps = 0;
    const auto start = trained(c, none, *backend, alone_on_this_rank());
    for (const auto& grid : topology::nearest_grids({}, world.size(), 1000))
      for (const std::string placement : {"", "replicated", "batch", "column", "row", "height"})
      for (const auto schedule : {step::Schedule::naive, step::Schedule::gpipe, step::Schedule::one_f_one_b,
                                  step::Schedule::interleaved, step::Schedule::zb_h1})
        for (const int microbatches : {1, 2, 5}) {
          if (grid.tensor == 1 && !placement.empty()) continue;
          if (grid.pipeline == 1 && schedule != step::Schedule::one_f_one_b) continue;
          if (grid.tensor > 1 && grid.pipeline > 1 && microbatches != 2) continue;
          auto split = c;
          for (auto& layer : split.model.layers) {
            const bool sums = layer.has_parameters(), image = layer.input.rank() == 3 && layer.kind != model::LayerKind::flatten;
            if (placement == "row" && !sums) continue;
            if (placement == "height" && !image) continue;
            layer.placement = placement;
          }
          auto options = options_for(split, grid);
          options.pipeline = {.schedule = schedule, .microbatches = microbatches, .chunks = schedule == step::Schedule::interleaved ? 2 : 1};
          if (grid.pipeline * options.pipeline.chunks > static_cast<int>(c.model.layers.size())) continue;
          const auto what = c.name + " " + to_string(grid) + " " + std::string(to_string(schedule)) + " m " + std::to_string(microbatches) + " " + placement;
          if (std::getenv("TRACE") && world.rank() == 0) std::cerr << what << std::endl;
          const auto many = trained(split, options, *backend, world);
          EXPECT_LE(largest_drift(start, one, many), 1e-10) << what;
        }
  }
}

}  // namespace
}  // namespace partita::tests
