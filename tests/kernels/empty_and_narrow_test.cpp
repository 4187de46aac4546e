/// Extents that only shards have: nothing at all, or an image that is one row of outputs high.
#include <algorithm>

#include "check_windows.hpp"

namespace partita::tests {
namespace {

constexpr Epilogue epilogues[] = {Epilogue::none, Epilogue::relu};

TEST(Kernels, ConvolutionWithoutBatchChannelsFiltersOrRows) {
  const auto reference = oracle();
  for (const auto& backend : backends())
    for (const Layout layout : layouts_of(*backend))
      for (const Epilogue epilogue : epilogues)
        for (const auto& [batch, channels, height, filters, stride, padding] :
             std::vector<std::array<std::int64_t, 6>>{{0, 3, 6, 5, 1, 0},
                                                      {2, 0, 6, 5, 1, 0},
                                                      {2, 0, 6, 40, 2, 1},
                                                      {2, 3, 6, 0, 1, 0},
                                                      {2, 20, 6, 0, 1, 1},
                                                      {2, 0, 6, 0, 1, 0},
                                                      {0, 0, 0, 0, 1, 0},
                                                      {2, 3, 0, 5, 1, 0},
                                                      {2, 3, 2, 5, 1, 0},
                                                      {2, 3, 2, 5, 3, 0},
                                                      {2, 20, 0, 40, 2, 1}})
          check_convolution(*backend, *reference,
                            {.batch = batch,
                             .channels = channels,
                             .height = height,
                             .width = 7,
                             .filters = filters,
                             .kernel = 3,
                             .stride = stride,
                             .padding = padding,
                             .layout = layout,
                             .epilogue = epilogue});
}

TEST(Kernels, ConvolutionWithoutChannelsIsTheBias) {
  for (const auto& backend : backends())
    for (const Layout layout : layouts_of(*backend)) {
      const ConvolutionShape s{
          .batch = 1, .height = 3, .width = 2, .filters = 2, .kernel = {3, 1}, .layout = layout};
      const auto plan = backend->plan_convolution(s);
      std::vector<float> none, bias{-1, 2}, y(4, 99), dy{1, 2, 3, 4}, db(2, 99);
      plan->forward(std::span(none), std::span(none), std::span(bias), std::span(y), Scratch(*plan));
      const bool planes = layout == Layout::nchw;
      EXPECT_EQ(y, planes ? (std::vector<float>{-1, -1, 2, 2}) : (std::vector<float>{-1, 2, -1, 2}));
      plan->backward_parameters(std::span(none), std::span(dy), std::span(none), std::span(db),
                                Write::overwrite, Scratch(*plan));
      EXPECT_EQ(db, planes ? (std::vector<float>{3, 7}) : (std::vector<float>{4, 6}));
    }
}

TEST(Kernels, ConvolutionOfOneRowOfOutputs) {
  const auto reference = oracle();
  int turn = 0;
  for (const auto& backend : backends())
    for (const Layout layout : layouts_of(*backend))
      for (std::int64_t kernel_h = 1; kernel_h <= 7; ++kernel_h)
        for (std::int64_t kernel_w = 1; kernel_w <= 7; ++kernel_w)
          for (const std::int64_t stride : {1, 2, 3}) {
            // Not all combinations: the next one of each list, whose lengths have no common divisor.
            constexpr std::int64_t channels[] = {1, 2, 3, 10, 16}, filters[] = {1, 6, 16, 20, 32, 33, 3},
                                   widths[] = {0, 1, 6, 121}, batches[] = {1, 2, 3};
            ++turn;
            check_convolution(*backend, *reference,
                              {.batch = batches[turn % 3],
                               .channels = channels[turn % 5],
                               .height = kernel_h + (turn % 11 == 0 ? stride : 0),
                               .width = kernel_w + widths[turn % 4],
                               .filters = filters[turn % 7],
                               .kernel = {kernel_h, kernel_w},
                               .stride = stride,
                               .padding = turn % 13 == 0 ? kernel_w / 2 : 0,
                               .bias = turn % 3 > 0,
                               .layout = layout,
                               .epilogue = epilogues[turn % 2]});
          }
}

/// Of the shapes of the MNIST CNN, what a rank has that holds a few rows of the image.
TEST(Kernels, ConvolutionOfAFewRowsOfManyColumns) {
  const auto reference = oracle();
  for (const auto& backend : backends())
    for (const Layout layout : layouts_of(*backend))
      for (const auto& [channels, filters] :
           std::vector<std::array<std::int64_t, 2>>{{1, 10}, {10, 20}, {3, 8}, {17, 33}})
        for (const std::int64_t stride : {1, 2, 3})
          for (const std::int64_t rows : {1, 2})
            check_convolution(*backend, *reference,
                              {.batch = 2,
                               .channels = channels,
                               .height = (rows - 1) * stride + 5,
                               .width = 61,
                               .filters = filters,
                               .kernel = 5,
                               .stride = stride,
                               .layout = layout});
}

TEST(Kernels, PoolingWithoutChannelsOrRows) {
  const auto reference = oracle();
  for (const auto& backend : backends())
    for (const auto kind : {PoolingKind::maximum, PoolingKind::average})
      for (const Layout layout : layouts_of(*backend))
        for (const auto& [batch, channels, height, kernel, stride] :
             std::vector<std::array<std::int64_t, 5>>{{2, 0, 4, 2, 2},
                                                      {2, 3, 0, 2, 2},
                                                      {2, 3, 1, 2, 2},
                                                      {2, 3, 1, 3, 2},
                                                      {2, 17, 2, 2, 2},
                                                      {0, 0, 0, 2, 2}})
          check_pooling(*backend, *reference,
                        {.kind = kind,
                         .batch = batch,
                         .channels = channels,
                         .height = height,
                         .width = 9,
                         .kernel = kernel,
                         .stride = stride,
                         .layout = layout});
}

TEST(Kernels, ZeroClearsEveryType) {
  for (const auto& backend : backends()) {
    backend->zero({});
    std::vector<float> x(37, std::numeric_limits<float>::quiet_NaN());
    backend->zero(View(std::span(x)).slice(Elements(1), Elements(35)));
    EXPECT_TRUE(std::isnan(x.front()) && std::isnan(x.back())) << backend->name();
    EXPECT_EQ(35, std::count(x.begin(), x.end(), 0.0F)) << backend->name();
    std::vector<std::int64_t> numbers(3, -1);
    backend->zero(std::span(numbers));
    EXPECT_EQ(numbers, std::vector<std::int64_t>(3)) << backend->name();
  }
}

TEST(Kernels, AnEmptyBatchDoesNothing) {
  for (const auto& backend : backends()) {
    std::vector<float> none;
    const std::span<float> x(none);
    const std::vector<std::int32_t> labels;
    const StepValues step;
    const std::array<double, 2> sums{};
    std::int64_t non_finite_step = -1;
    backend->dropout({.batch = 0, .channels = 3}, &step, 2, Samples(0), x, x);
    backend->reorder(0, {3, 4, 5}, Layout::nchw, Layout::nhwc, x, x);
    backend->reorder(2, {0, 4, 5}, Layout::nchw, Layout::nchw, x, x);
    const View states[] = {x};
    backend->update({}, {.step = &step,
                         .sums = std::span(sums),
                         .w = x,
                         .g = x,
                         .states = states,
                         .non_finite_step = &non_finite_step});
    EXPECT_EQ(cross_entropy(*backend, 0, 10, x, std::span(labels), 1, x).loss, 0);
    EXPECT_EQ(mean_squared_error(*backend, 0, 10, x, x, 1, x).loss, 0);
  }
}

}  // namespace
}  // namespace partita::tests
