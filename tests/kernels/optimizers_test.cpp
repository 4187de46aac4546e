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
    {.rule = OptimizerRule::lars, .momentum = 0.9, .weight_decay = 0.01, .trust = 0.1},
    {.rule = OptimizerRule::lamb, .weight_decay = 0.01, .epsilon = 1e-6},
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

/// What the first steps of a rule read besides the vectors, and where they say what is not finite.
struct Given {
  StepValues step;
  std::array<double, 2> sums{}, scale{3, 0.5}, squares{4, 2};
  bool clipped = true, trusted = true;
  std::int64_t non_finite_step = -1;

  /// An update of these vectors; by norms where the rule takes them.
  Update of(const OptimizerSpec& optimizer, View w, ConstView g, std::span<const View> states) {
    const bool takes_norms = trusted && kernels::describe(optimizer.rule).takes_norms;
    return {.step = &step,
            .sums = std::span(sums),
            .scale = clipped ? ConstView(std::span(scale)) : ConstView(),
            .squares = takes_norms ? ConstView(std::span(squares)) : ConstView(),
            .w = w,
            .g = g,
            .states = states,
            .non_finite_step = &non_finite_step};
  }
};

template <class T>
std::vector<View> views_of(std::vector<std::vector<T>>& states) {
  std::vector<View> views;
  for (auto& state : states)
    views.emplace_back(std::span(state));
  return views;
}

TEST(Optimizers, AreThoseOfTheReferenceInDouble) {
  const auto reference = oracle();
  for (const auto& backend : backends())
    for (const auto& optimizer : optimizers)
      for (const std::int64_t n : {0, 1, 2, 3, 4, 5, 15, 17, 1001})
        for (const int update : {1, 7, 8, 9}) {
          const std::string what = text(*backend, std::string(to_string(optimizer.rule)), {n, update});
          Values start(n), g(n);
          Output w(n);
          w.start_from(start);
          auto single = states_of<float>(optimizer, w.n, update == 1);
          auto twice = states_of<double>(optimizer, w.n, update == 1);
          Given given{.step = values_of(optimizer, update), .clipped = update < 8, .trusted = update < 9};
          const auto single_views = views_of(single), twice_views = views_of(twice);
          backend->update(optimizer, given.of(optimizer, w.view(), g.f(), single_views));
          reference->update(optimizer, given.of(optimizer, w.d(), g.d(), twice_views));
          EXPECT_EQ(given.non_finite_step, -1) << what;
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
  for (const auto& backend : backends())
    for (const auto& optimizer : optimizers) {
      Given given{.step = values_of(optimizer, 3)};
      Values w(n), g(n);
      std::vector<std::vector<float>> results;
      for (std::int64_t first = 0; first < 4; ++first) {
        auto W = w.single;
        auto all = states_of<float>(optimizer, W.size(), false);
        for (const auto& [from, count] :
             {std::pair<std::int64_t, std::int64_t>{0, first}, {first, n - first}}) {
          const auto part = [from = Elements(from), count = Elements(count)](auto view) {
            return view.slice(from, count);
          };
          auto states = views_of(all);
          std::transform(states.begin(), states.end(), states.begin(), part);
          backend->update(optimizer,
                          given.of(optimizer, part(View(std::span(W))), part(ConstView(g.f())), states));
        }
        EXPECT_EQ(given.non_finite_step, -1) << backend->name();
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
      for (const std::string what : {"loss", "norm", "norm of the tensor", "gradient", "weight", "nothing"}) {
        const bool takes_norms = kernels::describe(optimizer.rule).takes_norms;
        if (what == "norm of the tensor" && !takes_norms) continue;
        const std::string where = text(*backend, what + ", " + std::string(to_string(optimizer.rule)), {});
        std::vector<float> w(1000, 1.0F), g(1000, 1.0F);
        auto states = states_of<float>(optimizer, w.size(), false);
        Given given{.step = values_of(optimizer, 8)};
        given.step.step = 7;
        if (what == "loss") given.sums[0] = NAN;
        if (what == "norm") given.scale = {INFINITY, NAN};
        if (what == "norm of the tensor") given.squares[1] = NAN;
        if (what == "gradient") std::fill(g.begin(), g.end(), std::numeric_limits<float>::quiet_NaN());
        if (what == "weight") std::fill(w.begin(), w.end(), std::numeric_limits<float>::infinity());
        const auto views = views_of(states);
        const auto update = [&] {
          backend->update(optimizer, given.of(optimizer, std::span(w), std::span(g), views));
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
        EXPECT_EQ(given.non_finite_step, what == "nothing" ? -1 : 7) << where;
        const bool may_be_written = what == "weight" || what == "nothing";
        EXPECT_TRUE(are_untouched() || may_be_written) << where;
        EXPECT_FALSE(are_untouched() && what == "nothing") << where;
        before = w, states_before = states;
        given.step.step = 8, given.sums = {}, given.scale = given.squares = {1, 1};
        std::fill(g.begin(), g.end(), 1.0F);
        update();
        EXPECT_EQ(given.non_finite_step, what == "nothing" ? -1 : 7)
            << where << ": the first such step is kept";
        EXPECT_EQ(are_untouched(), what != "nothing") << where;
      }
}

TEST(Optimizers, LambTakesItsDirectionFromTheGradient) {
  const auto reference = oracle();
  const OptimizerSpec optimizer{.rule = OptimizerRule::lamb, .weight_decay = 0.01, .epsilon = 1e-6};
  for (const auto& backend : backends())
    for (const std::int64_t n : {0, 1, 5, 1001})
      for (const int update : {1, 7}) {
        const std::string what = text(*backend, "direction", {n, update});
        Values w(n), g(n);
        Output u(n);
        u.start_from(g);
        auto single = states_of<float>(optimizer, w.single.size(), update == 1);
        auto twice = states_of<double>(optimizer, w.single.size(), update == 1);
        Given given{.step = values_of(optimizer, update)};
        const auto single_views = views_of(single), twice_views = views_of(twice);
        auto before = w;
        backend->direct(optimizer, given.of(optimizer, std::span(before.single), u.view(), single_views),
                        u.view());
        reference->direct(optimizer, given.of(optimizer, std::span(before.twice), u.d(), twice_views), u.d());
        EXPECT_EQ(given.non_finite_step, -1) << what;
        EXPECT_EQ(before.single, w.single) << what;
        u.expect_close(4, what);
        given.scale[1] = NAN;
        const auto left = u.single;
        backend->direct(optimizer, given.of(optimizer, std::span(before.single), u.view(), single_views),
                        u.view());
        EXPECT_EQ(u.single, left) << what;
        EXPECT_EQ(given.non_finite_step, 0) << what;
      }
}

TEST(Norms, AreRootsOfSumsOfSquaresInDouble) {
  for (const auto& backend : backends())
    for (const std::int64_t n : {0, 1, 7, 8, 9, 1000, 40000}) {
      const std::string what = text(*backend, "squares", {n});
      Values x(n);
      double expected = 0;
      for (const float value : x.single)
        expected += static_cast<double>(value) * value;
      std::array<double, 3> sums{-1, 5, -1};
      const auto sum = View(std::span(sums)).slice(Elements(1), Elements(1));
      backend->squares(x.f(), sum, Write::overwrite);
      EXPECT_NEAR(sums[1], expected, 1e-13 * expected) << what;
      const double once = sums[1];
      backend->squares(x.f(), sum, Write::accumulate);
      EXPECT_EQ(sums[1], 2 * once) << what;
      EXPECT_EQ(sums[0], -1) << what;
      EXPECT_EQ(sums[2], -1) << what;
    }
}

TEST(Norms, OfSharesAreAddedInTheirOrder) {
  const double big = 9007199254740992.0;  // beside which a one is lost, unless another comes first
  for (const auto& backend : backends()) {
    const std::array<double, 8> rows{big, 1, 1, 1, -big, big, 1, -big};
    std::array<double, 2> total{-7, -7};
    backend->add_rows(std::span(rows), std::span(total));
    EXPECT_EQ(total, (std::array{1.0, 2.0})) << backend->name();
    backend->add_rows(std::span(rows).first(2), std::span(total));
    EXPECT_EQ(total, (std::array{big, 1.0})) << backend->name();
  }
}

TEST(Norms, ClipWhatIsLonger) {
  for (const auto& backend : backends()) {
    const std::array<double, 4> squares{1, 4, 9, 11};
    std::array<double, 2> scale{};
    const auto clip = [&](std::int64_t parts, std::array<double, 4> of, double limit) {
      backend->clip(parts, std::span(of), limit, std::span(scale));
      return scale;
    };
    EXPECT_EQ(clip(1, squares, 2), (std::array{5.0, 2 / (5 + 1e-6)})) << backend->name();
    EXPECT_EQ(clip(2, squares, 5.1)[1], 1) << backend->name();
    EXPECT_EQ(clip(1, {0, 0, 0, 0}, 1), (std::array{0.0, 1.0})) << backend->name();
    EXPECT_TRUE(std::isnan(clip(1, {1, INFINITY, 0, 0}, 1)[1])) << backend->name();
    EXPECT_TRUE(std::isnan(clip(1, {1, NAN, 0, 0}, 1)[1])) << backend->name();
    // ((2⁵³ + 1) − 2⁵³) + 1 loses a one, (2⁵³ − 2⁵³) + (1 + 1) neither.
    const double big = 9007199254740992.0;
    EXPECT_EQ(clip(1, {big, 1, -big, 1}, 1)[0], 1) << backend->name();
    EXPECT_EQ(clip(2, {big, 1, -big, 1}, 1)[0], std::sqrt(2)) << backend->name() << ", part by part";
  }
}

}  // namespace
}  // namespace partita::tests
