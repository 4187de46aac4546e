/// Convolutions and poolings whose kernels, strides and padding differ between height and width, and
/// convolutions without a bias.
#include "check_windows.hpp"

namespace partita::tests {
namespace {

/// Filters in the lanes, outer products and the library's own choice, with and without a bias.
TEST(Kernels, ConvolutionWithExtentsOfTheirOwnForHeightAndWidth) {
  const auto reference = oracle();
  int turn = 0;
  for (const auto& backend : backends())
    for (const Layout layout : layouts_of(*backend))
      for (const Extent2 kernel : {Extent2(1, 3), Extent2(3, 1), Extent2(2, 5), Extent2(5, 2)})
        for (const Extent2 stride : {Extent2(1), Extent2(1, 2), Extent2(3, 1)})
          for (const Extent2 padding : {Extent2(0), Extent2(0, 1), Extent2(2, 0), Extent2(1, 2)})
            for (const std::int64_t channels : {1, 4, 20})
              check_convolution(*backend, *reference,
                                {.batch = 2,
                                 .channels = channels,
                                 .height = 7,
                                 .width = 9,
                                 .filters = channels + 2,
                                 .kernel = kernel,
                                 .stride = stride,
                                 .padding = padding,
                                 .bias = ++turn % 2 == 0,
                                 .layout = layout,
                                 .epilogue = turn % 3 == 0 ? Epilogue::relu : Epilogue::none});
}

TEST(Kernels, ConvolutionWithoutBiasWhereNothingMeetsAWeight) {
  const auto reference = oracle();
  for (const auto& backend : backends())
    for (const Layout layout : layouts_of(*backend))
      for (const auto& [batch, channels, filters] :
           std::vector<std::array<std::int64_t, 3>>{{0, 2, 3}, {2, 0, 3}, {2, 3, 0}})
        check_convolution(*backend, *reference,
                          {.batch = batch,
                           .channels = channels,
                           .height = 5,
                           .width = 6,
                           .filters = filters,
                           .kernel = 3,
                           .bias = false,
                           .layout = layout});
}

TEST(Kernels, PoolingOverWindowsThatAreNotSquare) {
  const auto reference = oracle();
  for (const auto& backend : backends())
    for (const auto kind : {PoolingKind::maximum, PoolingKind::average})
      for (const Layout layout : layouts_of(*backend))
        for (const Extent2 kernel : {Extent2(2, 3), Extent2(3, 1), Extent2(1, 4), Extent2(7, 9)})
          for (const Extent2 stride : {kernel, Extent2(1), Extent2(2, 1)})
            for (const std::int64_t channels : {1, 10, 16, 40})
              check_pooling(*backend, *reference,
                            {.kind = kind,
                             .batch = 2,
                             .channels = channels,
                             .height = 7,
                             .width = 9,
                             .kernel = kernel,
                             .stride = stride,
                             .layout = layout,
                             .epilogue = channels == 10 ? Epilogue::relu : Epilogue::none});
}

}  // namespace
}  // namespace partita::tests
