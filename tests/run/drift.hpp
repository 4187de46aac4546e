/// How far two trainings ended from each other, in units of how far training moved.
#pragma once

#include <algorithm>
#include <cmath>
#include <map>
#include <tuple>

#include "../mpi_main.hpp"
#include "cases.hpp"

namespace partita::tests {

inline double norm(const std::vector<double>& v) {
  double sum = 0;
  for (const double x : v)
    sum += x * x;
  return std::sqrt(sum);
}

inline std::vector<double> difference(std::vector<double> a, const std::vector<double>& b) {
  for (std::size_t i = 0; i < a.size(); ++i)
    a[i] -= b[i];
  return a;
}

using Tensors = std::vector<state::LogicalTensor>;

/// The largest ‖w_p − w₁‖ / ‖w₁ − w₀‖ over trained tensors; infinity when one moved less than 1e-4 of its
/// norm, or a frozen one at all.
inline double largest_drift(const model::ModelSpec& model, const Tensors& start, const Tensors& one,
                            const Tensors& many) {
  double worst = 0;
  for (std::size_t i = 0; i < one.size(); ++i) {
    const bool frozen = model.layers[static_cast<std::size_t>(one[i].layer)].frozen;
    if (frozen && many[i].values != start[i].values) return INFINITY;
    if (frozen) continue;
    const double moved = norm(difference(one[i].values, start[i].values));
    if (moved < 1e-4 * norm(start[i].values)) return INFINITY;
    worst = std::max(worst, norm(difference(many[i].values, one[i].values)) / moved);
  }
  return worst;
}

inline comm::Communicator& alone_on_this_rank() {
  static auto* self = new comm::Communicator(comm::Communicator::self(environment()));
  return *self;
}

/// What a net becomes on one rank.
struct Reference {
  Tensors start, end;
};

inline Reference reference_of(const Case& c, kernels::Backend& backend,
                              kernels::OptimizerRule rule = kernels::OptimizerRule::sgd,
                              int microbatches = 1) {
  Reference reference;
  for (auto* tensors : {&reference.start, &reference.end}) {
    auto options = options_for(c, topology::GridExtent{}, rule);
    options.split.pipeline.microbatches = microbatches;
    if (tensors == &reference.start) options.steps = 0;
    auto training = training_of(c.model, options, backend, alone_on_this_rank(), c.data);
    training.run({});
    *tensors = training.gather_parameters(state::Receivers::all);
  }
  return reference;
}

/// What each decomposition is compared with, trained once for all that are compared with the same.
class References {
 public:
  explicit References(kernels::Backend& backend) : backend_(backend) {}
  const Reference& of(const Case& c, const Decomposition& d) {
    const int microbatches = c.model.takes_statistics() ? d.microbatches : 1;
    const std::tuple key(d.net, d.rule, microbatches);
    if (!known_.contains(key)) known_.emplace(key, reference_of(c, backend_, d.rule, microbatches));
    return known_.at(key);
  }

 private:
  kernels::Backend& backend_;
  std::map<std::tuple<std::size_t, kernels::OptimizerRule, int>, Reference> known_;
};

}  // namespace partita::tests
