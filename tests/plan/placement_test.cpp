/// The placement search against all chains of placements of small models.
#include "partita/plan/placement.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>

#include "models.hpp"
#include "partita/step/conversion.hpp"

namespace partita::plan {
namespace {

using step::Pair;
using step::Placement;
using step::Spread;
using step::Variant;

Pair both(const Placement& placement) { return {placement, placement}; }

/// What the search weighs, by hand: seconds of layers, conversions, gradients and updates.
class Weighing {
 public:
  Weighing(const model::ModelSpec& model, const topology::GridExtent& grid, std::int64_t batch,
           const step::MachineRates& rates)
      : model_(model),
        t_(grid.tensor),
        d_(grid.data),
        samples_(static_cast<double>((batch + grid.data - 1) / grid.data)),
        rates_(rates) {}

  [[nodiscard]] double seconds(const std::vector<step::LayerPlacement>& chain, const Placement& loss) const {
    double total = 0;
    bool above = false;
    for (std::size_t l = 0; l < chain.size(); ++l) {
      const auto& layer = model_.layers[l];
      const bool trained = layer.has_parameters() && !layer.frozen;
      if (l > 0) total += converted(chain[l - 1].out, chain[l].in, layer.input, above);
      const int passes = 1 + (trained ? 1 : 0) + (above ? 1 : 0);
      total += passes * samples_ * layer.forward_flops() * busiest(layer, chain[l]) / rates_.flops_per_second;
      if (trained) total += gradients(layer, chain[l].variant);
      above = above || trained;
    }
    return total + converted(chain.back().out, both(loss), model_.layers.back().output, true) +
           (loss.spread == Spread::channel ? rates_.latency_seconds : 0);
  }

 private:
  [[nodiscard]] double moved(const Placement& from, const Placement& to, const kernels::Shape& shape) const {
    const auto elements =
        static_cast<double>(step::moved_elements({from, to, shape}, t_, static_cast<std::int64_t>(samples_)));
    return elements == 0 ? 0 : rates_.latency_seconds + elements * 4 / t_ / rates_.tensor_bytes_per_second;
  }
  [[nodiscard]] double converted(const Pair& from, const Pair& to, const kernels::Shape& shape,
                                 bool backward) const {
    return moved(from.value, to.value, shape) + (backward ? moved(to.gradient, from.gradient, shape) : 0);
  }
  /// The share of a layer that the busiest rank computes: the widest of its cut.
  [[nodiscard]] double busiest(const model::Layer& layer, const step::LayerPlacement& choice) const {
    const auto widest = [&](std::int64_t n) {
      return static_cast<double>((n + t_ - 1) / t_) / static_cast<double>(n);
    };
    const auto of = [&](const Placement& placement) {
      std::int64_t most = 0;
      for (std::size_t r = 0; r + 1 < placement.offsets.size(); ++r)
        most = std::max(most, placement.offsets[r + 1] - placement.offsets[r]);
      return static_cast<double>(most) / static_cast<double>(placement.offsets.back());
    };
    switch (choice.variant) {
      case Variant::batch:
        return 1.0 / t_;
      case Variant::column:
        return layer.has_parameters() ? widest(layer.out) : of(choice.out.value);
      case Variant::row:
        return layer.has_parameters() ? of(choice.in.value) : 1;
      case Variant::height:
        return of(choice.out.value);
      default:
        return 1;
    }
  }
  [[nodiscard]] double gradients(const model::Layer& layer, Variant variant) const {
    const bool cut = variant == Variant::column || variant == Variant::row;
    const bool summed = variant == Variant::lazy || variant == Variant::batch || variant == Variant::height;
    const double bytes =
        4.0 * static_cast<double>((layer.weight_elements() + layer.bias_elements()).value()) / (cut ? t_ : 1);
    const double ranks = d_ * (summed ? t_ : 1);
    return (ranks > 1
                ? rates_.latency_seconds + 2 * (ranks - 1) / ranks * bytes / rates_.data_bytes_per_second
                : 0) +
           5 * bytes / rates_.memory_bytes_per_second;
  }

  const model::ModelSpec& model_;
  int t_, d_;
  double samples_;
  step::MachineRates rates_;
};

/// The cheapest of all chains, found by trying each.
class Exhaustive {
 public:
  Exhaustive(const model::ModelSpec& model, int ranks, Outputs outputs, const Weighing& weighing)
      : model_(model), ranks_(ranks), weighing_(weighing) {
    losses_ = {{}, {.spread = Spread::batch}};
    const auto classes = model.layers.back().output.elements().value();
    if (model.loss == model::Loss::cross_entropy && outputs == Outputs::any)
      losses_.push_back({.spread = Spread::channel, .offsets = step::even_offsets(ranks, classes)});
    extend(both({}));
    extend(both({.spread = Spread::batch}));
  }
  [[nodiscard]] double seconds() const { return best_; }
  [[nodiscard]] int tried() const { return tried_; }

 private:
  static bool may(const model::Layer& layer, Variant variant) {
    const auto& wanted = layer.placement;
    return wanted.empty() || wanted == to_string(variant) ||
           (wanted == "replicated" && variant == Variant::lazy);
  }
  void extend(const Pair& producer) {
    if (chain_.size() == model_.layers.size()) {
      for (const auto& loss : losses_)
        best_ = std::min(best_, weighing_.seconds(chain_, loss));
      ++tried_;
      return;
    }
    const auto& layer = model_.layers[chain_.size()];
    for (const auto& choice : choices_of(layer, producer, ranks_)) {
      if (!may(layer, choice.variant)) continue;
      // Samples are loaded as the first layer wants them.
      if (chain_.empty() &&
          (choice.in.value.spread == Spread::batch) != (producer.value.spread == Spread::batch))
        continue;
      chain_.push_back(choice);
      extend(choice.out);
      chain_.pop_back();
    }
  }

  const model::ModelSpec& model_;
  int ranks_;
  const Weighing& weighing_;
  std::vector<Placement> losses_;
  std::vector<step::LayerPlacement> chain_;
  double best_ = std::numeric_limits<double>::infinity();
  int tried_ = 0;
};

void expect_cheapest(const model::ModelSpec& model, const topology::GridExtent& grid, std::int64_t batch,
                     const step::MachineRates& rates, Outputs outputs = Outputs::any) {
  const auto found = place(model, grid, batch, rates, outputs);
  const Weighing weighing(model, grid, batch, rates);
  const Exhaustive all(model, grid.tensor, outputs, weighing);
  EXPECT_GT(all.tried(), 0);
  const std::string where = model.layers.front().line() + " … on " + to_string(grid);
  EXPECT_NEAR(weighing.seconds(found.layers, found.loss), all.seconds(), 1e-9 * all.seconds()) << where;
  EXPECT_NEAR(found.seconds, all.seconds(), 1e-9 * all.seconds()) << where;
}

const std::vector<model::ModelSpec>& models() {
  static const std::vector<model::ModelSpec> all{
      model_of("13", {"linear 11", "relu", "linear 7", "linear 5"}),
      model_of("3", {"linear 2", "tanh", "linear 3"}, "mse"),
      model_of("2x7x5", {"conv 7 kernel=3 padding=1", "maxpool 2", "flatten", "linear 5"}),
      model_of("4", {"linear 300 frozen", "relu", "linear 200", "linear 10"}),
      model_of("4", {"linear 300", "linear 300 placement=replicated", "linear 10 placement=row"}),
  };
  return all;
}

/// Machines on which different things are dear: as shipped, slow to compute, slow to talk, slow to begin to.
const step::MachineRates machines[] = {
    {},
    {.flops_per_second = 1e6},
    {.tensor_bytes_per_second = 1e5, .data_bytes_per_second = 1e5},
    {.latency_seconds = 1},
};

TEST(Placement, IsTheBestOfAllChains) {
  for (const auto& model : models())
    for (int tensor = 2; tensor <= 6; ++tensor)
      for (const auto& rates : machines)
        for (const int data : {1, 2})
          expect_cheapest(model, {.data = data, .tensor = tensor}, 7, rates);
}

TEST(Placement, OfWholeOutputsSharesNoClasses) {
  for (const auto& rates : machines) {
    expect_cheapest(models()[0], {.tensor = 3}, 7, rates, Outputs::whole);
    EXPECT_NE(place(models()[0], {.tensor = 3}, 7, rates, Outputs::whole).loss.spread, Spread::channel);
  }
}

TEST(Placement, OfOneTensorRankIsReplicated) {
  for (const auto& model : models())
    for (const auto& layer : place(model, {.data = 3, .pipeline = 2}, 7).layers)
      EXPECT_EQ(layer.variant, Variant::replicated);
}

/// A wide layer is cut where computing is dear, and left whole where talking is.
TEST(Placement, FollowsTheMachine) {
  const auto model = model_of("64", {"linear 64", "linear 64"});
  const auto variants = [&](const step::MachineRates& rates) {
    std::vector<Variant> all;
    for (const auto& layer : place(model, {.tensor = 2}, 64, rates).layers)
      all.push_back(layer.variant);
    return all;
  };
  EXPECT_EQ(variants({.flops_per_second = 1e15, .latency_seconds = 1}),
            (std::vector{Variant::replicated, Variant::replicated}));
  EXPECT_NE(variants({.flops_per_second = 1e6}), (std::vector{Variant::replicated, Variant::replicated}));
}

}  // namespace
}  // namespace partita::plan
