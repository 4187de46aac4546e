/// Batch normalisation: every back-end against the reference in double, alone and with the sums of others;
/// channels that are constant or not finite; the reference against differences.
#include "check_batch_norm.hpp"

namespace partita::tests {
namespace {

/// Nothing, less than a vector, several; rows of pixels and planes that are cut in four and among threads.
const std::array<std::int64_t, 4> extents[] = {
    {0, 3, 4, 5},   {2, 0, 3, 3},   {2, 3, 0, 4},   {1, 1, 1, 1},  {2, 1, 1, 1},    {1, 3, 1, 1},
    {7, 17, 1, 1},  {64, 10, 1, 1}, {300, 3, 1, 1}, {1, 17, 3, 3}, {33, 130, 1, 1}, {5, 1000, 1, 1},
    {2, 3, 5, 7},   {3, 1, 9, 11},  {2, 17, 7, 5},  {9, 3, 7, 6},  {2, 10, 12, 12}, {4, 32, 5, 5},
    {2, 100, 6, 7}, {3, 130, 5, 3}, {2, 1, 1, 37},  {1, 64, 3, 3}, {1, 2, 31, 17}};

TEST(BatchNorm, IsThatOfTheReferenceInDouble) {
  const auto reference = oracle();
  int turn = 0;
  for (const auto& backend : backends())
    for (const Layout layout : layouts_of(*backend))
      for (const double offset : {0.0, 1000.0, -30.0})
        for (const auto& [batch, channels, height, width] : extents) {
          Layer in({.batch = batch,
                    .channels = channels,
                    .height = height,
                    .width = width,
                    .epsilon = turn % 2 == 0 ? 1e-5 : 0.1,
                    .layout = layout,
                    .epilogue = turn % 3 == 0 ? Epilogue::relu : Epilogue::none},
                   offset);
          in.has_weight = turn % 4 < 3;
          in.has_bias = turn % 5 < 3;
          ++turn;
          check_batch_norm(*backend, *reference, in);
        }
}

/// Two ranks with two and three samples: by the sums of both each computes what one would that has all.
TEST(BatchNorm, OfPartsIsThatOfTheWholeByTheSumsOfAll) {
  const auto reference = oracle();
  for (const auto& backend : backends())
    for (const Layout layout : layouts_of(*backend))
      for (const auto& [channels, height, width] :
           std::vector<std::array<std::int64_t, 3>>{{3, 5, 7}, {17, 1, 1}, {40, 4, 3}}) {
        const BatchNormShape s{
            .batch = 5, .channels = channels, .height = height, .width = width, .layout = layout};
        Layer in(s, 2);
        const auto what = text(*backend, "parts", {channels, height, width, layout == Layout::nhwc});
        const auto expected = reference->plan_batch_norm(s);
        Sums exact(channels), exact_gradient(channels), sums(channels), gradient(channels);
        const Moments m{in, exact, in.count};
        Output dx(in.elements);
        expected->statistics(in.x.d(), exact.view(), {});
        expected->gradient_sums(in.x.d(), in.dy.d(), m.d(), exact_gradient.view(), {});
        expected->backward_data(in.x.d(), in.dy.d(), m.d(), exact_gradient.seen(), in.w_d(), dx.d(), {});
        backend->zero(sums.view());
        backend->zero(gradient.view());
        for (const auto& [first, samples] : std::vector<std::array<std::int64_t, 2>>{{0, 2}, {2, 3}}) {
          auto part_shape = s;
          part_shape.batch = samples;
          const auto plan = backend->plan_batch_norm(part_shape);
          const Elements from(first * in.elements / 5), size(samples * in.elements / 5);
          const auto x = ConstView(in.x.f()).slice(from, size), dy = ConstView(in.dy.f()).slice(from, size);
          Sums part(channels), gradient_part(channels);
          plan->statistics(x, part.view(), Scratch(*plan));
          sums += part;
          plan->gradient_sums(x, dy, m.f(), gradient_part.view(), Scratch(*plan));
          gradient += gradient_part;
          plan->backward_data(x, dy, m.f(), exact_gradient.seen(), in.w_f(), dx.view().slice(from, size),
                              Scratch(*plan));
        }
        const Magnitudes largest(m);
        sums.expect_close(exact, in.count, largest.statistics, what);
        gradient.expect_close(exact_gradient, in.count, largest.gradient_sums, what);
        dx.expect_close(4, what);
      }
}

/// Channel c holds 1.1·10ᶜ: up to where 1/√ε times a rounding of it is much. By its own sums, and by some
/// whose rounding makes σ² negative.
TEST(BatchNorm, KeepsAChannelFiniteThatIsConstant) {
  constexpr std::int64_t channels = 9;
  for (const auto& backend : backends())
    for (const Layout layout : layouts_of(*backend))
      for (const bool negative : {false, true}) {
        Layer in({.batch = 7, .channels = channels, .height = 3, .width = 5, .layout = layout}, 0);
        for (std::size_t i = 0; i < in.x.single.size(); ++i)
          in.x.single[i] = 1.1F * static_cast<float>(std::pow(10, in.channel(i)));
        const auto plan = backend->plan_batch_norm(in.s);
        Sums sums(channels), gradient(channels);
        const Moments m{in, sums, in.count};
        Output y(in.elements), dx(in.elements);
        plan->statistics(in.x.f(), sums.view(), Scratch(*plan));
        for (std::size_t i = in.channels(); negative && i < 2 * in.channels(); ++i)
          sums.view().as<double>()[i] *= 1 - 1e-12;
        plan->forward(in.x.f(), m.f(), in.w_f(), in.b_f(), y.view(), Scratch(*plan));
        plan->gradient_sums(in.x.f(), in.dy.f(), m.f(), gradient.view(), Scratch(*plan));
        plan->backward_data(in.x.f(), in.dy.f(), m.f(), gradient.seen(), in.w_f(), dx.view(), Scratch(*plan));
        for (std::size_t i = 0; i < y.n; ++i) {
          ASSERT_TRUE(std::isfinite(y.single[i]) && std::isfinite(dx.single[i]))
              << backend->name() << ", channel " << in.channel(i);
          if (in.channel(i) < 4) {
            EXPECT_NEAR(y.single[i], in.bias.single[in.channel(i)], 1e-5) << backend->name();
          }
        }
      }
}

TEST(BatchNorm, LetsNaNThroughInItsChannelAlone) {
  for (const auto& backend : backends())
    for (const Layout layout : layouts_of(*backend))
      for (const std::int64_t pixels : {1, 6}) {
        Layer in({.batch = 5, .channels = 3, .width = pixels, .layout = layout, .epilogue = Epilogue::relu},
                 0);
        std::size_t at = 0;
        while (in.channel(at) != 1)
          ++at;
        in.x.single[at] = NAN;
        const auto plan = backend->plan_batch_norm(in.s);
        Sums sums(3);
        Output y(in.elements);
        plan->statistics(in.x.f(), sums.view(), Scratch(*plan));
        plan->forward(in.x.f(), Moments{in, sums, in.count}.f(), in.w_f(), in.b_f(), y.view(),
                      Scratch(*plan));
        for (std::size_t i = 0; i < y.n; ++i)
          EXPECT_EQ(std::isnan(y.single[i]), in.channel(i) == 1) << backend->name() << ", element " << i;
      }
}

TEST(BatchNorm, IsRepeatableBitForBit) {
  for (const auto& backend : backends())
    for (const Layout layout : layouts_of(*backend))
      for (const std::int64_t channels : {1, 10, 130}) {
        Layer in({.batch = 7, .channels = channels, .height = 6, .width = 11, .layout = layout}, 1);
        const auto plan = backend->plan_batch_norm(in.s);
        const auto run = [&] {
          Sums sums(channels), gradient(channels);
          std::vector<float> y(in.x.single), dx(y);
          const Moments m{in, sums, in.count};
          plan->statistics(in.x.f(), sums.view(), Scratch(*plan));
          plan->forward(in.x.f(), m.f(), in.w_f(), in.b_f(), std::span(y), Scratch(*plan));
          plan->gradient_sums(in.x.f(), in.dy.f(), m.f(), gradient.view(), Scratch(*plan));
          plan->backward_data(in.x.f(), in.dy.f(), m.f(), gradient.seen(), in.w_f(), std::span(dx),
                              Scratch(*plan));
          std::vector<double> all(y.begin(), y.end());
          all.insert(all.end(), dx.begin(), dx.end());
          for (std::size_t i = 0; i < 2 * in.channels(); ++i)
            all.insert(all.end(), {sums[i], gradient[i]});
          return all;
        };
        EXPECT_EQ(run(), run()) << backend->name() << ' ' << channels;
      }
}

/// Of channels whose new values are exact: one of several values, one of them alone, one whose σ² rounding
/// made negative, and two that are not finite.
TEST(BatchNorm, MovesRunningMomentsOfChannelsThatAreFinite) {
  using Floats = std::vector<float>;
  const double inf = std::numeric_limits<double>::infinity();
  const Floats ones(5, 1);
  for (const auto& backend : backends()) {
    const auto plan =
        backend->plan_batch_norm({.channels = 5, .momentum = 0.25, .layout = backend->image_layout()});
    Floats mean, variance;
    const auto update = [&](const std::vector<double>& sums, std::int64_t count) {
      mean = ones, variance = ones;
      plan->update_running(std::span(sums), count, std::span(mean), std::span(variance));
    };
    update({8, -4, 8, NAN, 4, 28, 16, 15.999, 5, inf}, 4);
    EXPECT_EQ(mean, (Floats{1.25, 0.5, 1.25, 1, 1})) << backend->name();
    EXPECT_EQ(variance, (Floats{1.75, 1.75, 0.75, 1, 1})) << backend->name() << ", 4/3 of σ²";
    update({2, 3, 1, inf, 1, 4, 9, 1, 1, NAN}, 1);
    EXPECT_EQ(mean, (Floats{1.25, 1.5, 1, 1, 1})) << backend->name();
    EXPECT_EQ(variance, (Floats{0.75, 0.75, 0.75, 1, 1})) << backend->name() << ", of one value";
    // Channel 0: σ² is finite, but no float; channel 1: neither is µ.
    update({0, 4e40, 1, 1, 1, 4e40, 1.6e81, 1, 1, 1}, 1);
    EXPECT_EQ(mean[0], 1) << backend->name() << ", beyond float";
    EXPECT_EQ(variance[0], 1) << backend->name() << ", beyond float";
    EXPECT_EQ(mean[1], 1) << backend->name() << ", beyond float";
    EXPECT_EQ(variance[1], 1) << backend->name() << ", beyond float";
    update({0, 3, 0, 0, 0, 0, 9, 1, 0, 0}, 0);
    EXPECT_EQ(mean, ones) << backend->name() << ", of nothing";
    EXPECT_EQ(variance, ones) << backend->name() << ", of nothing";
  }
}

TEST(BatchNorm, StoresOrAddsTheGradientsOfParameters) {
  using Floats = std::vector<float>;
  const std::vector<double> sums{1, -2, 3, 0.5, 8, -0.25};
  for (const auto& backend : backends()) {
    const auto plan = backend->plan_batch_norm({.channels = 3, .layout = backend->image_layout()});
    Floats dweight(3, NAN), dbias(3, NAN);
    const auto go = [&](View to_weight, View to_bias, Write write) {
      plan->backward_parameters(std::span(sums), to_weight, to_bias, write);
    };
    go(std::span(dweight), std::span(dbias), Write::overwrite);
    EXPECT_EQ(dweight, (Floats{0.5, 8, -0.25})) << backend->name();
    EXPECT_EQ(dbias, (Floats{1, -2, 3})) << backend->name();
    go(std::span(dweight), std::span(dbias), Write::accumulate);
    EXPECT_EQ(dweight, (Floats{1, 16, -0.5})) << backend->name();
    EXPECT_EQ(dbias, (Floats{2, -4, 6})) << backend->name();
    go(std::span(dweight), {}, Write::accumulate);
    go({}, std::span(dbias), Write::overwrite);
    EXPECT_EQ(dweight, (Floats{1.5, 24, -0.75})) << backend->name() << ", without a bias";
    EXPECT_EQ(dbias, (Floats{1, -2, 3})) << backend->name() << ", without a weight";
  }
}

TEST(Reference, BatchNormsGradientsAreFiniteDifferences) {
  const auto backend = oracle();
  for (const Layout layout : {Layout::nchw, Layout::nhwc})
    for (const bool of_batch : {true, false}) {
      Layer in({.batch = 3, .channels = 4, .height = 2, .width = 3, .layout = layout}, 2);
      const auto plan = backend->plan_batch_norm(in.s);
      Sums sums(4), gradient(4);
      Values y(in.elements), dx(in.elements), dweight(4), dbias(4);
      const Moments m{in, sums, of_batch ? in.count : 0};
      const auto loss = [&] {
        plan->statistics(in.x.d(), sums.view(), {});
        plan->forward(in.x.d(), m.d(), in.w_d(), in.b_d(), y.d(), {});
        double sum = 0;
        for (std::size_t i = 0; i < y.twice.size(); ++i)
          sum += y.twice[i] * in.dy.twice[i];
        return sum;
      };
      loss();
      plan->gradient_sums(in.x.d(), in.dy.d(), m.d(), gradient.view(), {});
      plan->backward_data(in.x.d(), in.dy.d(), m.d(), gradient.seen(), in.w_d(), dx.d(), {});
      plan->backward_parameters(gradient.seen(), dweight.d(), dbias.d(), Write::overwrite);
      expect_gradient(in.x.twice, dx.twice, loss);
      expect_gradient(in.weight.twice, dweight.twice, loss);
      expect_gradient(in.bias.twice, dbias.twice, loss);
    }
}

}  // namespace
}  // namespace partita::tests
