/// Element-wise kernels, sums of rows and losses against the reference in double.
#include <utility>

#include "check_windows.hpp"

namespace partita::tests {
namespace {

TEST(Kernels, ElementWise) {
  const auto reference = oracle();
  for (const auto& backend : backends())
    for (const std::int64_t n : {0, 1, 15, 17, 1000}) {
      Values x(n), dy(n);
      Output y(n), dx(n), z(n), dz(n);
      backend->relu_forward(x.f(), y.view());
      reference->relu_forward(x.d(), y.d());
      y.expect_close(1, text(*backend, "relu", {n}));
      backend->relu_backward(y.view(), dy.f(), dx.view());
      reference->relu_backward(y.d(), dy.d(), dx.d());
      dx.expect_close(1, text(*backend, "relu backward", {n}));
      backend->tanh_forward(x.f(), z.view());
      reference->tanh_forward(x.d(), z.d());
      z.expect_close(1, text(*backend, "tanh", {n}));
      backend->tanh_backward(z.view(), dy.f(), dz.view());
      reference->tanh_backward(z.d(), dy.d(), dz.d());
      dz.expect_close(1, text(*backend, "tanh backward", {n}));
    }
}

TEST(Kernels, SumsOfRowsAndReorders) {
  const auto reference = oracle();
  for (const auto& backend : backends()) {
    for (const std::int64_t rows : {0, 1, 15, 16, 37, 700})
      for (const std::int64_t columns : {0, 1, 10, 63, 64, 130}) {
        Values x(rows * columns);
        Output b(columns);
        for (const Write write : {Write::overwrite, Write::accumulate}) {
          backend->sum_rows(rows, columns, x.f(), b.view(), write);
          reference->sum_rows(rows, columns, x.d(), b.d(), write);
        }
        b.expect_close(static_cast<double>(2 * rows), text(*backend, "sum of rows", {rows, columns}));
      }
    for (const Layout from : {Layout::nchw, Layout::nhwc})
      for (const Layout to : {Layout::nchw, Layout::nhwc}) {
        Values x(2 * 3 * 4 * 5);
        Output y(2 * 3 * 4 * 5);
        backend->reorder(2, {3, 4, 5}, from, to, x.f(), y.view());
        reference->reorder(2, {3, 4, 5}, from, to, x.d(), y.d());
        y.expect_close(0, text(*backend, "reorder", {}));
      }
  }
}

TEST(Kernels, Losses) {
  const auto reference = oracle();
  for (const auto& backend : backends())
    for (const std::int64_t batch : {0, 1, 7, 64, 300})
      for (const std::int64_t classes : {1, 2, 10, 33, 2100}) {
        if (batch * classes > 20'000) continue;
        Values logits(batch * classes), targets(batch * classes);
        Output gradient(batch * classes), difference(batch * classes);
        std::vector<std::int32_t> labels(static_cast<std::size_t>(batch));
        for (std::size_t i = 0; i < labels.size(); ++i)
          labels[i] = static_cast<std::int32_t>(i * 7 % static_cast<std::size_t>(classes));
        const std::span<const std::int32_t> l(labels);
        const auto ours = cross_entropy(*backend, batch, classes, logits.f(), l, 0.1, gradient.view());
        const auto theirs = cross_entropy(*reference, batch, classes, logits.d(), l, 0.1, gradient.d());
        EXPECT_NEAR(ours.loss, theirs.loss, 1e-5 * (1 + theirs.loss));
        EXPECT_EQ(ours.correct, theirs.correct);
        EXPECT_EQ(cross_entropy(*backend, batch, classes, logits.f(), l, 0.1, {}).correct, theirs.correct);
        gradient.expect_close(8, text(*backend, "cross-entropy", {batch, classes}));
        const auto mse =
            mean_squared_error(*backend, batch, classes, logits.f(), targets.f(), 0.1, difference.view());
        const auto exact =
            mean_squared_error(*reference, batch, classes, logits.d(), targets.d(), 0.1, difference.d());
        EXPECT_NEAR(mse.loss, exact.loss, 1e-5 * (1 + exact.loss));
        difference.expect_close(4, text(*backend, "mse", {batch, classes}));
      }
}

TEST(Kernels, GatherPicksConvertsAndScales) {
  const std::vector<std::uint8_t> bytes{0, 51, 255, 1, 2, 3};
  const std::vector<float> numbers{1, -2, 3, 4, 5, 6};
  const std::vector<std::int32_t> labels{7, 8, 9};
  const std::vector<std::int64_t> indices{2, 0, 2};
  for (const auto& backend : backends()) {
    std::vector<float> out(6);
    std::vector<std::int32_t> picked(3);
    const ConstView at{std::span(indices)};
    const auto gather = [&](ConstView table, std::int64_t columns, std::vector<double> scale,
                            std::vector<double> shift, View to) {
      backend->gather(table, columns, at, std::span(std::as_const(scale)), std::span(std::as_const(shift)),
                      to);
    };
    gather(std::span(bytes), 2, {0.5}, {1}, std::span(out));
    EXPECT_EQ(out, (std::vector<float>{2, 2.5, 1, 26.5, 2, 2.5})) << backend->name();
    gather(std::span(bytes), 2, {0.5, 2}, {1, -1}, std::span(out));
    EXPECT_EQ(out, (std::vector<float>{2, 5, 1, 101, 2, 5})) << backend->name() << ", each channel its own";
    gather(std::span(numbers), 2, {1}, {0}, std::span(out));
    EXPECT_EQ(out, (std::vector<float>{5, 6, 1, -2, 5, 6})) << backend->name();
    backend->gather(std::span(numbers), 2, at, {}, {}, std::span(out));
    EXPECT_EQ(out, (std::vector<float>{5, 6, 1, -2, 5, 6})) << backend->name() << ", as they are";
    backend->gather(std::span(labels), 1, at, {}, {}, std::span(picked));
    EXPECT_EQ(picked, (std::vector<std::int32_t>{9, 7, 9})) << backend->name();
  }
}

TEST(Kernels, SumsAreAddedInOrderOrInATree) {
  const std::vector<double> parts{1e16, 1, 1, 2, -1e16, 3, 1, 4};
  for (const auto& backend : backends()) {
    std::array<double, 2> total{};
    backend->add_sums(std::span(parts), false, std::span(total));
    EXPECT_EQ(total[0], ((1e16 + 1) - 1e16) + 1) << backend->name();
    EXPECT_EQ(total[1], 10);
    backend->add_sums(std::span(parts), true, std::span(total));
    EXPECT_EQ(total[0], (1e16 + 1) + (-1e16 + 1)) << backend->name();
    EXPECT_EQ(total[1], 10);
  }
}

}  // namespace
}  // namespace partita::tests
