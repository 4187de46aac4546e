/// The placement search against all chains of placements of small models.
#include "partita/plan/placement.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <map>
#include <set>

#include "../models.hpp"
#include "partita/collective/rounds.hpp"
#include "partita/model/layer_kind.hpp"
#include "partita/step/conversion.hpp"

namespace partita::plan {
namespace {

using tests::model_of;

using step::Pair;
using step::Placement;
using step::Spread;
using step::Variant;

std::int64_t widest(const std::vector<std::int64_t>& offsets) {
  std::int64_t most = 0;
  for (std::size_t r = 0; r + 1 < offsets.size(); ++r)
    most = std::max(most, offsets[r + 1] - offsets[r]);
  return most;
}

/// What the search weighs, by hand: seconds of layers, conversions, gradients and updates.
class Weighing {
 public:
  Weighing(const model::ModelSpec& model, const topology::GridExtent& grid, std::int64_t batch,
           const machine::Machine& machine)
      : model_(model),
        t_(grid.tensor),
        d_(grid.data),
        samples_((batch + grid.data - 1) / grid.data),
        machine_(machine) {}

  [[nodiscard]] double seconds(const std::vector<step::LayerPlacement>& chain, const Placement& loss) const {
    double total = 0;
    bool above = false;
    for (std::size_t l = 0; l < chain.size(); ++l) {
      const auto& layer = model_.layers[l];
      const bool trained = layer.has_parameters() && !layer.frozen;
      if (l > 0) total += converted(chain[l - 1].out, chain[l].in, layer.input, above);
      const int passes = 1 + (trained ? 1 : 0) + (above ? 1 : 0);
      total += passes * flops(layer, chain[l]) / machine_.flops_per_second;
      if (trained) total += gradients(layer, chain[l]);
      above = above || trained;
    }
    return total + converted(chain.back().out, both(loss), model_.layers.back().output, true) +
           (loss.spread == Spread::channel ? machine_.link_latency_seconds : 0);
  }

 private:
  [[nodiscard]] double moved(const Placement& from, const Placement& to, const kernels::Shape& shape) const {
    const auto elements = static_cast<double>(step::moved_elements({from, to, shape}, t_, samples_));
    return elements == 0 ? 0
                         : machine_.link_latency_seconds + elements * 4 / t_ / machine_.link_bytes_per_second;
  }
  [[nodiscard]] double converted(const Pair& from, const Pair& to, const kernels::Shape& shape,
                                 bool backward) const {
    return moved(from.value, to.value, shape) + (backward ? moved(to.gradient, from.gradient, shape) : 0);
  }

  /// The widest share of what a layer computes: of its outputs, or of its inputs.
  [[nodiscard]] double share(const model::Layer& layer, const step::LayerPlacement& choice) const {
    const bool of_inputs = choice.variant == Variant::row && layer.has_parameters();
    const auto& offsets = (of_inputs ? choice.in : choice.out).value.offsets;
    if (offsets.empty()) return 1;
    return static_cast<double>(widest(offsets)) / static_cast<double>(offsets.back());
  }
  /// Of one pass on the busiest rank.
  [[nodiscard]] double flops(const model::Layer& layer, const step::LayerPlacement& choice) const {
    const bool cuts_samples = choice.variant == Variant::batch;
    const auto samples = static_cast<double>(cuts_samples ? (samples_ + t_ - 1) / t_ : samples_);
    return samples * layer.forward_flops() * share(layer, choice);
  }
  [[nodiscard]] double gradients(const model::Layer& layer, const step::LayerPlacement& choice) const {
    const auto v = choice.variant;
    const bool summed = v == Variant::lazy || v == Variant::batch || v == Variant::height;
    const int shares = v == Variant::column || v == Variant::row ? t_ : 1;
    const auto elements = (layer.parameter_elements().value() + shares - 1) / shares;
    const double bytes = 4 * static_cast<double>(elements), ranks = d_ * (summed ? t_ : 1);
    const double reduced =
        machine_.link_latency_seconds + 2 * (ranks - 1) / ranks * bytes / machine_.link_bytes_per_second;
    const double updated =
        std::max(5 * bytes / machine_.main_bytes_per_second, 6 * bytes / 4 / machine_.flops_per_second);
    return (ranks > 1 ? reduced : 0) + updated;
  }

  const model::ModelSpec& model_;
  int t_, d_;
  std::int64_t samples_;
  machine::Machine machine_;
};

/// The cheapest of all chains, found by trying each; and of all that layer lines would name alike.
class Exhaustive {
 public:
  Exhaustive(const model::ModelSpec& model, int ranks, Outputs outputs, const Weighing& weighing)
      : model_(model), ranks_(ranks), weighing_(weighing) {
    losses_ = {{}, {.spread = Spread::batch}};
    const auto classes = model.layers.back().output.elements().value();
    if (model.loss == model::Loss::cross_entropy && outputs == Outputs::any)
      losses_.push_back({.spread = Spread::channel, .offsets = collective::even_cuts(ranks, classes)});
    extend(both(Placement{}));
    extend(both(Placement{.spread = Spread::batch}));
  }
  [[nodiscard]] double seconds() const { return std::ranges::min(of_words()); }
  /// Of the cheapest chain of each way to name one, ascending.
  [[nodiscard]] std::vector<double> of_words() const {
    std::vector<double> all;
    for (const auto& [words, seconds] : best_)
      all.push_back(seconds);
    std::ranges::sort(all);
    return all;
  }
  [[nodiscard]] int tried() const { return tried_; }

 private:
  static bool may(const model::Layer& layer, Variant variant) {
    const auto& wanted = layer.placement;
    return wanted.empty() || wanted == to_string(variant) ||
           (wanted == "replicated" && variant == Variant::lazy);
  }
  [[nodiscard]] std::vector<std::string_view> words() const {
    std::vector<std::string_view> words;
    for (std::size_t l = 0; l < chain_.size(); ++l) {
      const bool follows = model_.layers[l].kind == model::LayerKind::flatten;
      const auto v = chain_[l].variant;
      words.push_back(follows ? "" : to_string(v == Variant::lazy ? Variant::replicated : v));
    }
    return words;
  }
  void extend(const Pair& producer) {
    if (chain_.size() == model_.layers.size()) {
      for (const auto& loss : losses_) {
        auto& best = best_.try_emplace(words(), std::numeric_limits<double>::infinity()).first->second;
        best = std::min(best, weighing_.seconds(chain_, loss));
      }
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
  std::map<std::vector<std::string_view>, double> best_;
  int tried_ = 0;
};

void expect_cheapest(const model::ModelSpec& model, const topology::GridExtent& grid, std::int64_t batch,
                     const machine::Machine& machine, Outputs outputs = Outputs::any) {
  const auto found = place(model, grid, batch, machine, outputs);
  const Weighing weighing(model, grid, batch, machine);
  const Exhaustive all(model, grid.tensor, outputs, weighing);
  EXPECT_GT(all.tried(), 0);
  const std::string where = model.layers.front().line() + " … on " + to_string(grid);
  // Each of the terms is rounded to a picosecond.
  const double rounding = 0.5e-12 * 10 * static_cast<double>(model.layers.size()) + 1e-12 * all.seconds();
  EXPECT_NEAR(weighing.seconds(found.layers, found.loss), all.seconds(), rounding) << where;
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
std::vector<machine::Machine> machines() {
  std::vector<machine::Machine> all(4, machine::Machine::shipped());
  all[1].flops_per_second = 1e6;
  all[2].link_bytes_per_second = 1e5;
  all[3].link_latency_seconds = 1;
  return all;
}

TEST(Placement, IsTheBestOfAllChains) {
  for (const auto& model : models())
    for (int tensor = 2; tensor <= 6; ++tensor)
      for (const auto& machine : machines())
        for (const int data : {1, 2})
          expect_cheapest(model, {.data = data, .tensor = tensor}, 7, machine);
}

/// The cheapest ways to name a chain, each once; what they name is what is found where lines name it.
TEST(Placement, KeepsTheBestChains) {
  std::size_t lists = 0;
  for (const auto& model : models())
    for (const int tensor : {2, 3, 5})
      for (const auto& machine : machines())
        for (const std::size_t most : {1U, 3U, 20U}) {
          const topology::GridExtent grid{.data = 2, .tensor = tensor};
          const Weighing weighing(model, grid, 7, machine);
          auto expected = Exhaustive(model, tensor, Outputs::any, weighing).of_words();
          expected.resize(std::min(most, expected.size()));
          const auto found = placements(model, grid, 7, machine, Outputs::any, most);
          ASSERT_EQ(found.size(), expected.size());
          std::set<std::vector<std::string>> words;
          for (std::size_t p = 0; p < found.size(); ++p) {
            const double rounding =
                0.5e-12 * 10 * static_cast<double>(model.layers.size()) + 1e-12 * expected[p];
            EXPECT_NEAR(weighing.seconds(found[p].layers, found[p].loss), expected[p], rounding)
                << model.layers.front().line() << " … on " << to_string(grid) << ", " << p;
            words.insert(words_of(model, found[p]));
            auto named = model;
            for (std::size_t l = 0; l < named.layers.size(); ++l)
              if (named.layers[l].placement.empty()) named.layers[l].placement = words_of(model, found[p])[l];
            const auto again = place(named, grid, 7, machine);
            EXPECT_EQ(words_of(model, again), words_of(model, found[p]));
            EXPECT_NEAR(weighing.seconds(again.layers, again.loss), expected[p], rounding);
          }
          EXPECT_EQ(words.size(), found.size());
          ++lists;
        }
  EXPECT_GT(lists, 100U);
}

/// No layer is placed in a way that its description does not name, nor is a name without a way. Images alone
/// have rows.
TEST(Placement, AWordOfALayerLineIsAChoice) {
  for (const auto& kind : model::layer_kinds())
    for (const std::string input : {"2x8x8", "6"}) {
      if (kind.takes == (input == "6" ? model::Takes::images : model::Takes::vectors)) continue;
      std::vector<base::Violation> violations;
      const auto model = model::parse_model(
          {.name = "m", .input = input, .layers = {std::string(kind.example)}}, violations);
      std::set<std::string_view> words(kind.placements.begin(), kind.placements.end()), chosen;
      if (model.input.rank() == 1) words.erase("height");
      for (const auto& choice : choices_of(model.layers[0], both(step::plain(Spread::replicated)), 2))
        chosen.insert(
            step::to_string(choice.variant == Variant::lazy ? Variant::replicated : choice.variant));
      EXPECT_EQ(chosen, words) << kind.example << " of " << input;
    }
}

TEST(Placement, OfWholeOutputsSharesNoClasses) {
  for (const auto& machine : machines()) {
    expect_cheapest(models()[0], {.tensor = 3}, 7, machine, Outputs::whole);
    EXPECT_NE(place(models()[0], {.tensor = 3}, 7, machine, Outputs::whole).loss.spread, Spread::channel);
  }
}

TEST(Placement, OfOneTensorRankIsReplicated) {
  for (const auto& model : models())
    for (const auto& layer : place(model, {.data = 3, .pipeline = 2}, 7, machine::Machine::shipped()).layers)
      EXPECT_EQ(layer.variant, Variant::replicated);
}

/// A wide layer is cut where computing is dear, and left whole where talking is.
TEST(Placement, FollowsTheMachine) {
  const auto model = model_of("64", {"linear 64", "linear 64"});
  const auto whole = [&](const machine::Machine& machine) {
    const auto layers = place(model, {.tensor = 2}, 64, machine).layers;
    return std::ranges::all_of(layers, [](const auto& l) { return l.variant == Variant::replicated; });
  };
  EXPECT_FALSE(whole(machines()[1]));
  EXPECT_TRUE(whole(machines()[3]));
}

}  // namespace
}  // namespace partita::plan
