/// Updates by every optimizer: against the reference in double, wherever a bucket begins, and where a step is
/// not finite.
#include <cmath>
#include <cstring>
#include <utility>

#include "check_windows.hpp"

namespace partita::tests {
namespace {

const OptimizerSpec optimizers[] = {
    {.momentum = 0.9, .weight_decay = 0.01},
    {.rule = OptimizerRule::nesterov, .momentum = 0.9, .weight_decay = 0.01},
    {.rule = OptimizerRule::adam, .weight_decay = 0.01},
    {.rule = OptimizerRule::adamw, .weight_decay = 0.1, .beta1 = 0.8, .beta2 = 0.99, .epsilon = 1e-6},
};

StepValues values_of(const OptimizerSpec& optimizer, int update) {
  return {.learning_rate = 0.1,
          .first_correction = 1 - std::pow(optimizer.beta1, update),
          .second_correction = std::sqrt(1 - std::pow(optimizer.beta2, update))};
}

/// The states of a rule: zeros before the first update, else what may be there (a second moment is no less
/// than 0).
template <class T>
std::vector<std::vector<T>> states_of(const OptimizerSpec& optimizer, std::size_t n, bool zeros) {
  const auto names = kernels::states_of(optimizer.rule);
  std::vector<std::vector<T>> states(names.size(), std::vector<T>(n));
  for (std::size_t s = 0; s < states.size(); ++s)
    for (std::size_t i = 0; i < n; ++i)
      if (!zeros)
        states[s][i] = static_cast<T>(0.25) * static_cast<T>(names[s] == "second_moment" || i % 2 ? 1 : -1);
  return states;
}

template <class T>
std::vector<View> views_of(std::vector<std::vector<T>>& states) {
  std::vector<View> views;
  for (auto& state : states)
    views.emplace_back(std::span(state));
  return views;
}

TEST(Optimizers, AreThoseOfTheReferenceInDouble) {
  const auto reference = oracle();
  const std::array<double, 2> sums{};
  for (const auto& backend : backends())
    for (const auto& optimizer : optimizers)
      for (const std::int64_t n : {0, 1, 2, 3, 4, 5, 15, 17, 1001})
        for (const int update : {1, 7}) {
          const std::string what = text(*backend, std::string(to_string(optimizer.rule)), {n, update});
          Values start(n), g(n);
          Output w(n);
          w.start_from(start);
          auto single = states_of<float>(optimizer, w.n, update == 1);
          auto twice = states_of<double>(optimizer, w.n, update == 1);
          const auto step = values_of(optimizer, update);
          std::int64_t non_finite_step = -1;
          backend->update(optimizer, &step, std::span(sums), w.view(), g.f(), views_of(single),
                          &non_finite_step);
          reference->update(optimizer, &step, std::span(sums), w.d(), g.d(), views_of(twice),
                            &non_finite_step);
          EXPECT_EQ(non_finite_step, -1) << what;
          EXPECT_TRUE(n == 0 || w.single[0] != start.single[0]) << what;
          w.expect_close(4, what);
          for (std::size_t s = 0; s < single.size(); ++s) {
            Output state(n);
            std::copy(single[s].begin(), single[s].end(), state.single.begin());
            state.twice = twice[s];
            state.expect_close(4, what + ", state " + std::to_string(s));
          }
        }
}

/// Parameters of a bucket begin anywhere: singly or in vectors, an element gets the same bits.
TEST(Optimizers, GiveTheSameBitsWhereverElementsLie) {
  constexpr std::int64_t n = 1003;
  const std::array<double, 2> sums{};
  for (const auto& backend : backends())
    for (const auto& optimizer : optimizers) {
      const auto step = values_of(optimizer, 3);
      Values w(n), g(n);
      std::vector<std::vector<float>> results;
      for (std::int64_t first = 0; first < 4; ++first) {
        auto W = w.single;
        auto all = states_of<float>(optimizer, W.size(), false);
        std::int64_t non_finite_step = -1;
        for (const auto& [from, count] :
             {std::pair<std::int64_t, std::int64_t>{0, first}, {first, n - first}}) {
          const auto part = [from = Elements(from), count = Elements(count)](auto view) {
            return view.slice(from, count);
          };
          auto states = views_of(all);
          std::transform(states.begin(), states.end(), states.begin(), part);
          backend->update(optimizer, &step, std::span(sums), part(View(std::span(W))), part(ConstView(g.f())),
                          states, &non_finite_step);
        }
        EXPECT_EQ(non_finite_step, -1) << backend->name();
        EXPECT_NE(W.front(), w.single.front());
        for (const auto& state : all)
          W.insert(W.end(), state.begin(), state.end());
        results.push_back(std::move(W));
        EXPECT_EQ(results.back(), results.front())
            << backend->name() << ' ' << to_string(optimizer.rule) << " from " << first;
      }
    }
}

TEST(Optimizers, UpdateNothingMoreAfterAStepThatIsNotFinite) {
  const auto bytes_are_equal = [](const std::vector<float>& a, const std::vector<float>& b) {
    return std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
  };
  for (const auto& backend : backends())
    for (const auto& optimizer : optimizers)
      for (const std::string what : {"loss", "gradient", "weight", "nothing"}) {
        const std::string where = text(*backend, what + ", " + std::string(to_string(optimizer.rule)), {});
        std::vector<float> w(1000, 1.0F), g(1000, 1.0F);
        auto states = states_of<float>(optimizer, w.size(), false);
        auto step = values_of(optimizer, 8);
        step.step = 7;
        std::array<double, 2> sums{what == "loss" ? NAN : 1.0, 0};
        if (what == "gradient") std::fill(g.begin(), g.end(), std::numeric_limits<float>::quiet_NaN());
        if (what == "weight") std::fill(w.begin(), w.end(), std::numeric_limits<float>::infinity());
        std::int64_t non_finite_step = -1;
        const auto update = [&] {
          backend->update(optimizer, &step, std::span(sums), std::span(w), std::span(g), views_of(states),
                          &non_finite_step);
        };
        auto before = w;
        auto states_before = states;
        const auto are_untouched = [&] {
          bool untouched = bytes_are_equal(w, before);
          for (std::size_t s = 0; s < states.size(); ++s)
            untouched = untouched && bytes_are_equal(states[s], states_before[s]);
          return untouched;
        };
        update();
        EXPECT_EQ(non_finite_step, what == "nothing" ? -1 : 7) << where;
        EXPECT_EQ(are_untouched(), what == "loss" || what == "gradient") << where;
        before = w, states_before = states;
        step.step = 8, sums = {}, std::fill(g.begin(), g.end(), 1.0F);
        update();
        EXPECT_EQ(non_finite_step, what == "nothing" ? -1 : 7) << where << ": the first such step is kept";
        EXPECT_EQ(are_untouched(), what != "nothing") << where;
      }
}

}  // namespace
}  // namespace partita::tests
