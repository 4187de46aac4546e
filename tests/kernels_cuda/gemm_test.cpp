/// Every kernel of the family against the double reference: all transpositions, ragged and empty extents,
/// epilogues, leading dimensions, unaligned operands; results bit for bit the same the second time, nothing
/// written beside them. The same program runs on a device and on the emulation of one.
#include <cuda_runtime.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "gemm/ladder.hpp"
#include "gemm/split_k.hpp"
#include "gemm_problem.hpp"

namespace partita::tests {
namespace {

using gemm::Arguments;
using gemm::Chip;
using gemm::Kernel;
using gemm::TileShape;

Chip chip_of_device() {
  int major = 0, minor = 0, multiprocessors = 0;
  cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, 0);
  cudaDeviceGetAttribute(&minor, cudaDevAttrComputeCapabilityMinor, 0);
  cudaDeviceGetAttribute(&multiprocessors, cudaDevAttrMultiProcessorCount, 0);
  return {.architecture = major * 10 + minor, .multiprocessors = multiprocessors};
}

/// warp_tile with a given shape of tile, which the choice might not take for small products.
template <TileShape shape>
Kernel with_tile(std::string_view name) {
  Kernel kernel = gemm::warp_tile;
  kernel.name = name;
  if constexpr (shape == TileShape::wide)
    kernel.supports = [](const Arguments& p) { return gemm::warp_tile.supports(p) && gemm::copies_fast(p); };
  kernel.run = [](const Arguments& p, std::byte*, const Chip&, cudaStream_t stream) {
    gemm::issue_warp_tiles(p, shape, 1, stream);
  };
  return kernel;
}

std::vector<Kernel> kernels_under_test() {
  const Chip chip = chip_of_device();
  std::vector<Kernel> kernels(gemm::kernels().begin(), gemm::kernels().end());
  kernels.push_back(with_tile<TileShape::wide>("warp_tile_wide"));
  kernels.push_back(with_tile<TileShape::medium>("warp_tile_medium"));
  kernels.push_back(with_tile<TileShape::small>("warp_tile_small"));
  std::erase_if(kernels, [&](const Kernel& k) {
    return k.minimum_architecture > chip.architecture ||
           (k.maximum_architecture != 0 && k.maximum_architecture < chip.architecture);
  });
  return kernels;
}

struct Extents {
  std::int64_t m, n, k;
};
constexpr Extents extents[] = {
    {0, 0, 0},      {0, 5, 3},    {5, 0, 3},    {5, 3, 0},      {1, 1, 1},    {3, 7, 9},      {8, 8, 8},
    {9, 1, 130},    {1, 9, 33},   {31, 33, 65}, {33, 31, 7},    {16, 24, 40}, {130, 65, 33},  {65, 130, 31},
    {129, 257, 17}, {64, 64, 64}, {7, 10, 200}, {128, 256, 48}, {136, 8, 72}, {24, 264, 104},
};

/// The i-th problem of these extents: each feature has a period of its own, so that they meet in many ways.
Problem problem(const Extents& extent, int transposition, int i, bool bf16) {
  constexpr std::int64_t pads[] = {0, 8, 0, 5}, shifts[] = {0, 0, 1, 0, 4};
  constexpr float alphas[] = {1, 0.5, -2}, betas[] = {0, 1, 0, -0.75, 0};
  return {.m = extent.m,
          .n = extent.n,
          .k = extent.k,
          .transpose_a = transposition % 2 == 1,
          .transpose_b = transposition / 2 == 1,
          .pad_a = pads[i % 4],
          .pad_b = pads[(i / 2) % 4],
          .pad_c = pads[(i / 3) % 4],
          .shift = shifts[i % 5],
          .alpha = alphas[i % 3],
          .beta = betas[i % 5],
          .bias = i % 4 >= 2,
          .relu = i % 7 >= 5,
          .mask = i % 7 == 2 || i % 7 == 4,
          .row_sums = i % 3 == 0,
          .c_is_bf16 = bf16 && i % 2 == 1,
          .few_bits = i % 4 != 1,
          .seed = static_cast<std::uint32_t>(i + 1)};
}

class GemmFamily : public testing::Test {
 protected:
  void SetUp() override {
    int devices = 0;
    if (cudaGetDeviceCount(&devices) != cudaSuccess || devices == 0) GTEST_SKIP() << "no CUDA device";
  }
};

/// Runs all extents and transpositions and counts how many the kernel computed.
int check_kernel(const Kernel& kernel) {
  int done = 0, i = 0;
  for (const Extents& extent : extents)
    for (int transposition = 0; transposition < 4; ++transposition, ++i) {
      const Chip chip{.architecture = chip_of_device().architecture,
                      .multiprocessors = i % 3 == 0   ? 1
                                         : i % 3 == 1 ? 132
                                                      : 12};
      done += check_product(
          kernel,
          problem(extent, transposition, i + transposition, kernel.arithmetic == gemm::Arithmetic::bf16),
          chip);
    }
  return done;
}

TEST_F(GemmFamily, ComputesEveryProduct) {
  for (const Kernel& kernel : kernels_under_test()) {
    const int done = check_kernel(kernel);
    RecordProperty(std::string(kernel.name), done);
    // A wide tile asks for aligned operands, and instructions of one architecture for more.
    const bool choosy = kernel.name == "warp_tile_wide" || kernel.maximum_architecture != 0;
    EXPECT_GE(done, choosy ? 8 : 4 * static_cast<int>(std::size(extents))) << kernel.name;
  }
}

/// Whole tiles, many steps of k, and aligned operands: the ways that large products take.
TEST_F(GemmFamily, ComputesLargerProducts) {
  int i = 0;
  for (const Kernel& kernel : kernels_under_test())
    for (int transposition = 0; transposition < 4; ++transposition, ++i) {
      Problem q = problem({256, 264, 136}, transposition, i * 5, kernel.arithmetic == gemm::Arithmetic::bf16);
      q.pad_a = q.pad_b = q.pad_c = q.shift = 0;
      check_product(kernel, q, {.architecture = chip_of_device().architecture, .multiprocessors = 1});
    }
}

/// A weight gradient: short in M and N, long in k, cut into many pieces.
TEST_F(GemmFamily, SplitsLongSums) {
  const Chip chip{.architecture = chip_of_device().architecture, .multiprocessors = 132};
  for (int transposition = 0; transposition < 4; ++transposition)
    for (const Extents& extent : {Extents{40, 33, 1000}, {10, 36, 1030}, {70, 68, 0}}) {
      Problem q = problem(extent, transposition, 3 * transposition, false);
      q.row_sums = true;
      EXPECT_TRUE(check_product(gemm::split_k, q, chip));
    }
}

}  // namespace
}  // namespace partita::tests
