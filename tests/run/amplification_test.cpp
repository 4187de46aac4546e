/// How training amplifies rounding: the same net on one rank and on all, by steps and learning rates.
///
/// Two grids add up in other orders, so that the first step already differs in the last bits. Training that
/// converges keeps the difference there; training that diverges multiplies it step by step, as it does any
/// other perturbation, until two right runs have nothing in common. Prints what
/// `results/reference/amplification.txt` keeps.
#include <gtest/gtest.h>

#include <cstdio>

#include "drift.hpp"

namespace partita::tests {
namespace {

/// A net of four layers with tanh: smooth, so that no tie is decided differently.
Case smooth_net() {
  return {.name = "13-11-7-5, tanh",
          .model = model_of("13", {"linear 11", "tanh", "linear 7", "tanh", "linear 5"}),
          .data = random_data(data::Task::classification, {13}, 24),
          .batch = 12};
}

struct Measured {
  double drift = 0;  ///< largest ‖w_p − w₁‖ / ‖w₁ − w₀‖ of a tensor
  double loss = 0;   ///< of the last step on one rank
};

Measured measure(double learning_rate, std::int64_t steps) {
  const auto backend = kernels::make_reference_backend(kernels::DataType::float64);
  const auto c = smooth_net();
  Measured measured;
  const auto train = [&](comm::Communicator& ranks, std::int64_t how_long) {
    auto options = options_for(c, topology::GridExtent{.data = ranks.size()});
    options.learning_rate.base = learning_rate;
    options.steps = how_long;
    auto training = training_of(c.model, options, *backend, ranks, c.data);
    training.run({});
    if (ranks.size() == 1 && how_long > 0) measured.loss = training.steps().back().loss;
    return training.gather_parameters(state::Receivers::all);
  };
  const auto start = train(alone_on_this_rank(), 0), one = train(alone_on_this_rank(), steps);
  measured.drift = largest_drift(c.model, start, one, train(world(), steps));
  return measured;
}

TEST(Amplification, StaysAtRoundingUnlessTrainingDiverges) {
  // The first converges; the last diverges.
  const std::vector<double> rates{0.05, 0.5, 2, 8};
  const std::vector<std::int64_t> all_steps{1, 5, 10, 20, 40, 80, 160, 320};
  if (world().rank() == 0)
    std::printf("learning rate  steps      loss  |w_p - w_1| / |w_1 - w_0| on %d data ranks\n",
                world().size());
  for (const double rate : rates)
    for (const auto steps : all_steps) {
      const auto m = measure(rate, steps);
      if (world().rank() == 0)
        std::printf("%13g  %5ld  %8.3g  %.2g\n", rate, static_cast<long>(steps), m.loss, m.drift);
      if (rate == rates.front()) {
        EXPECT_LE(m.drift, 1e-10) << steps << " steps";
      }
      if (rate == rates.back() && steps == 1) {
        EXPECT_LE(m.drift, 1e-10);
      }
      if (rate == rates.back() && steps == 40) {
        EXPECT_GE(m.drift, 1e-6);
      }
    }
}

}  // namespace
}  // namespace partita::tests
