/// What a search loses by trying the best few placements and cuts only: against all of them, on models that
/// are small enough.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <functional>

#include "partita/model/layer_kind.hpp"
#include "runs.hpp"

namespace partita::predict {
namespace {

constexpr std::size_t few_placements = 48;

/// Each way to cut so many layers into chunks.
std::vector<step::Partition> all_cuts(int layers, int chunks) {
  std::vector<step::Partition> all;
  step::Partition first{0};
  const std::function<void(int)> extend = [&](int left) {
    if (left == 1) {
      all.push_back(first);
      all.back().push_back(layers);
      return;
    }
    for (int next = first.back() + 1; next + left - 1 <= layers; ++next) {
      first.push_back(next);
      extend(left - 1);
      first.pop_back();
    }
  };
  extend(chunks);
  return all;
}

/// Each way to name the placements of a model's layers; nothing where there are too many.
std::vector<std::vector<std::string>> all_words(const model::ModelSpec& model) {
  std::vector<std::vector<std::string>> all{{}};
  for (const auto& layer : model.layers) {
    std::vector<std::string> of_layer;
    for (const auto word : layer.description().placements)
      if (word != "height" || layer.input.rank() == 3) of_layer.emplace_back(word);
    if (layer.kind == model::LayerKind::flatten) of_layer = {""};
    std::vector<std::vector<std::string>> longer;
    for (const auto& words : all)
      for (const auto& word : of_layer) {
        longer.push_back(words);
        longer.back().push_back(word);
      }
    all = std::move(longer);
    if (all.size() > few_placements) return {};
  }
  return all;
}

/// A search of a run against every cut of it and, where they are few, every placement.
class Comparison {
 public:
  Comparison(const config::RunOptions& run, int ranks, const machine::Machine& machine)
      : run_(run), machine_(machine), ranks_(ranks), splitter_(run, machine) {
    const auto words = all_words(run.model);
    for (const auto& candidate : candidates_of(run, ranks)) {
      if (candidate.grid.tensor == 1 || words.empty()) {
        for (const auto& variant : splitter_.variants_of(candidate))
          if (variant.cut.empty()) cut(variant);
        continue;
      }
      all_placements_ = true;
      auto placed = candidate;
      placed.placement = 1 << 20;  // beyond those that the search has found
      for (const auto& of_layers : words) {
        placed.words = of_layers;
        ++placed.placement;
        cut(placed);
      }
    }
  }

  [[nodiscard]] double best() const { return best_; }
  [[nodiscard]] std::size_t tried() const { return tried_; }
  [[nodiscard]] bool has_all_placements() const { return all_placements_; }

  /// What is found among so many placements and cuts; those that were ruled out are checked.
  double found(std::size_t choices) {
    const auto plans =
        search(run_, ranks_, machine_, collective::AlgorithmTable::shipped(), {.top = 1, .choices = choices});
    EXPECT_TRUE(plans.is_certain);
    const double best = *plans.outcomes.front().step_seconds;
    EXPECT_GE(best, best_) << "better than all: " << plans.outcomes.front().candidate.name();
    for (const auto& outcome : plans.outcomes)
      if (outcome.fate == Fate::bounded) {
        const auto seconds = seconds_of(outcome.candidate);
        EXPECT_LE(outcome.bound_seconds, seconds.value()) << outcome.candidate.name();
        EXPECT_GE(seconds.value(), best) << outcome.candidate.name();
      }
    return best;
  }

 private:
  void cut(const Candidate& candidate) {
    auto with_cut = candidate;
    const int chunks = candidate.grid.pipeline * candidate.pipeline.chunks;
    for (auto& cut : all_cuts(static_cast<int>(run_.model.layers.size()), chunks)) {
      if (chunks > 1) with_cut.cut = std::move(cut);
      const auto seconds = seconds_of(with_cut);
      if (!seconds) return;
      best_ = std::min(best_, *seconds);
      ++tried_;
    }
  }
  std::optional<double> seconds_of(const Candidate& candidate) {
    std::vector<base::Violation> violations;
    auto split = splitter_.split(candidate, violations);
    if (!split) return {};
    const auto subject =
        subject_of(with(run_, candidate), std::move(*split), machine_, collective::AlgorithmTable::shipped());
    return predict(subject, {.machine = machine_, .speed = {}}, run_.train.batch, 3).step_seconds();
  }

  const config::RunOptions& run_;
  const machine::Machine& machine_;
  int ranks_;
  Splitter splitter_;
  double best_ = std::numeric_limits<double>::infinity();
  std::size_t tried_ = 0;
  bool all_placements_ = false;
};

TEST(Choices, AreNeverBetterThanAll) {
  std::mt19937 random(5);
  constexpr int trials = 300;
  std::size_t tried = 0;
  int with_placements = 0;
  struct Loss {
    std::size_t choices;
    int optima = 0;
    double sum = 0, most = 0;
  };
  std::vector<Loss> losses{{.choices = 1}, {.choices = default_choices}};
  for (int trial = 0; trial < trials; ++trial) {
    const auto run = random_run(random, {.hidden_layers = 2, .least_batch = 3, .most_batch = 5});
    const auto machine = random_machine(random);
    Comparison all(run, 2 + trial % 3, machine);
    tried += all.tried();
    with_placements += all.has_all_placements() ? 1 : 0;
    double before = std::numeric_limits<double>::infinity();
    for (auto& loss : losses) {
      const double found = all.found(loss.choices);
      EXPECT_LE(found, before) << "more choices are never worse";
      before = found;
      const double lost = found / all.best() - 1;
      loss.optima += lost == 0 ? 1 : 0;
      loss.sum += lost;
      loss.most = std::max(loss.most, lost);
    }
  }
  std::printf("%d searches, %zu splits in all; every placement in %d of them\n", trials, tried,
              with_placements);
  for (const auto& [choices, optima, sum, most] : losses)
    std::printf("%zu of each: the best of all in %d; %.3f %% more than it on average, at most %.2f %%\n",
                choices, optima, 100 * sum / trials, 100 * most);
  EXPECT_GT(with_placements, trials / 10);
  EXPECT_GE(losses[1].optima, losses[0].optima);
}

}  // namespace
}  // namespace partita::predict
