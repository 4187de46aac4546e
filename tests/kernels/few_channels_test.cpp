/// What convolutions by own loops compute, counted by hand.
#include "partita/kernels/few_channels.hpp"

#include <gtest/gtest.h>

namespace partita::kernels {
namespace {

constexpr double vector = 32;  ///< FLOPs of one FMA on 16 lanes

ConvolutionShape shape(std::int64_t channels, std::int64_t side, std::int64_t filters, std::int64_t kernel) {
  return {.batch = 2,
          .channels = channels,
          .height = side,
          .width = side,
          .filters = filters,
          .kernel = kernel,
          .layout = Layout::nhwc};
}

/// 24 outputs of a row are two blocks of twelve, ten are two of four and two alone, which wait like eight.
TEST(OwnForward, CountsBlocksOfARowAndWholeVectors) {
  EXPECT_EQ(flops_of_own_forward(shape(1, 28, 10, 5)), 2 * 24 * (2 * 12) * 25 * vector);
  EXPECT_EQ(flops_of_own_forward(shape(6, 14, 16, 5)), 2 * 10 * (2 * 8 + 2 * 8) * 150 * vector);
  EXPECT_EQ(flops_of_own_forward(shape(10, 12, 20, 5)), 2 * 8 * (8 * 2) * 250 * vector);
}

/// Windows of one channel: filters in the lanes, 5×5 sums at a pixel. Wider rows: 50 values are four vectors,
/// for groups of five filters in each of five rows.
TEST(OwnGradient, CountsSumsOfAPixel) {
  EXPECT_EQ(flops_of_own_gradient(shape(1, 28, 10, 5)), 2 * 24 * 24 * 25 * vector);
  EXPECT_EQ(flops_of_own_gradient(shape(10, 12, 20, 5)), 2 * 8 * 8 * (5 * 4 * 5 * 4) * vector);
  EXPECT_EQ(flops_of_own_gradient(shape(1, 8, 2, 1)), 2 * 8 * 8 * 8 * vector);  // one sum waits for itself
}

TEST(OwnLoops, LeaveOthersToALibrary) {
  auto padded = shape(1, 28, 10, 5), other_layout = padded, empty = padded;
  padded.padding = 2;
  other_layout.layout = Layout::nchw;
  empty.batch = 0;
  for (const auto& s : {padded, other_layout, empty, shape(16, 12, 64, 3)}) {
    EXPECT_FALSE(has_own_forward(s) || has_own_gradient(s));
    EXPECT_EQ(flops_of_own_forward(s), 0);
    EXPECT_EQ(flops_of_own_gradient(s), 0);
  }
}

}  // namespace
}  // namespace partita::kernels
