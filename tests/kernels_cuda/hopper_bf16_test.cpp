/// The Hopper kernel against products in double: on the emulated device, and on a real one of compute
/// capability 9.0.
#include "hopper_bf16.hpp"

#include <array>
#include <cstdio>

#include "gemm_trial.hpp"
#include "hopper_tiles.hpp"

namespace partita::kernels::cuda::gemm {
namespace {

template <class Element>
void check_elements(const Case& c, unsigned seed) {
  Trial<__nv_bfloat16, Element> trial(c, seed);
  trial.compare(trial.run(hopper_bf16));
  trial.compare_row_sums();
}

void check_case(const Case& c) {
  static unsigned seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(++seed));
  if (c.c_is_bf16)
    check_elements<__nv_bfloat16>(c, seed);
  else
    check_elements<float>(c, seed);
}

TEST(HopperBf16, AllTranspositionsOfRaggedProducts) {
  for (const bool transpose_a : {false, true})
    for (const bool transpose_b : {false, true})
      for (const bool c_is_bf16 : {false, true})
        check_case({.m = 150,
                    .n = 136,
                    .k = 75,
                    .transpose_a = transpose_a,
                    .transpose_b = transpose_b,
                    .c_is_bf16 = c_is_bf16,
                    .padding = 8});
}

TEST(HopperBf16, WideTilesInAllTranspositions) {
  for (const bool transpose_a : {false, true})
    for (const bool transpose_b : {false, true}) {
      const Case c{.m = 300,
                   .n = 248,
                   .k = 136,
                   .transpose_a = transpose_a,
                   .transpose_b = transpose_b,
                   .c_is_bf16 = transpose_a,
                   .multiprocessors = 2};
      ASSERT_EQ(hopper::choose_tile_n(c.m, c.n, c.multiprocessors), 256);
      check_case(c);
    }
}

TEST(HopperBf16, SumsLongerThanTheRingGoRoundItSeveralTimes) {
  check_case({.m = 128, .n = 128, .k = 64 * 15 + 8});
  check_case({.m = 256, .n = 256, .k = 64 * 9, .c_is_bf16 = true, .multiprocessors = 2});
}

TEST(HopperBf16, BlocksTakeSeveralTiles) {
  check_case({.m = 700, .n = 296, .k = 72, .c_is_bf16 = true, .multiprocessors = 2});
  check_case(
      {.m = 520, .n = 520, .k = 40, .transpose_b = true, .multiprocessors = 5});  // an odd one is left over
}

TEST(HopperBf16, SmallAndNarrowOnes) {
  for (const auto& [m, n, k] : {std::array{1, 4, 1}, {1, 8, 64}, {64, 4, 7}, {5, 132, 65}, {129, 12, 128}})
    check_case({.m = m, .n = n, .k = k, .transpose_a = m == 5, .transpose_b = m == 64, .c_is_bf16 = n == 8});
}

TEST(HopperBf16, Epilogues) {
  for (const bool c_is_bf16 : {false, true}) {
    check_case(
        {.m = 130, .n = 72, .k = 64, .c_is_bf16 = c_is_bf16, .alpha = -0.5f, .beta = 0.75f, .padding = 16});
    check_case({.m = 70, .n = 136, .k = 64, .c_is_bf16 = c_is_bf16, .bias = true, .relu = true});
    check_case({.m = 70, .n = 136, .k = 64, .c_is_bf16 = c_is_bf16, .beta = 1, .mask = true, .padding = 8});
  }
  check_case(
      {.m = 140, .n = 252, .k = 64, .alpha = 2, .beta = 1, .bias = true, .relu = true, .multiprocessors = 2});
}

TEST(HopperBf16, RowSums) {
  for (const bool transpose_a : {false, true}) {
    check_case({.m = 150,
                .n = 140,
                .k = 200,
                .transpose_a = transpose_a,
                .alpha = 0.5f,
                .beta = 1,
                .row_sums = true});
    check_case({.m = 600,
                .n = 264,
                .k = 70,
                .transpose_a = transpose_a,
                .c_is_bf16 = true,
                .row_sums = true,
                .multiprocessors = 2});
  }
  check_case({.m = 100, .n = 4, .k = 0, .transpose_b = true, .beta = 3, .row_sums = true});
}

TEST(HopperBf16, WithoutProductsTheEpilogueStays) {
  check_case({.m = 70, .n = 28, .k = 0, .beta = 2, .bias = true});
  check_case({.m = 0, .n = 30, .k = 5});
  check_case({.m = 30, .n = 0, .k = 5});
}

TEST(HopperBf16, WithBetaZeroCIsNotRead) {
  Case c{.m = 65, .n = 40, .k = 16};
  Memory<__nv_bfloat16> a(std::vector<__nv_bfloat16>(65 * 16, __float2bfloat16(1))),
      b(std::vector<__nv_bfloat16>(16 * 40, __float2bfloat16(2)));
  Memory<float> result(std::vector<float>(65 * 40, std::nanf("")));
  hopper_bf16.run({.a = a.data(),
                   .b = b.data(),
                   .c = result.data(),
                   .m = c.m,
                   .n = c.n,
                   .k = c.k,
                   .row_a = 16,
                   .row_b = 40,
                   .row_c = 40},
                  nullptr, {.architecture = 90, .multiprocessors = 2}, nullptr);
  for (const float value : result.fetch())
    ASSERT_EQ(value, 32);
}

TEST(HopperBf16, TheSameCallGivesTheSameBits) {
  const Case c{.m = 300, .n = 140, .k = 200};
  Trial<__nv_bfloat16, float> one(c, 5), other(c, 5);
  const auto first = one.run(hopper_bf16), second = other.run(hopper_bf16);
  EXPECT_EQ(std::memcmp(first.data(), second.data(), first.size() * sizeof(float)), 0);
}

TEST(HopperBf16, SaysWhatItCannotCompute) {
  Trial<__nv_bfloat16, float> trial({.m = 64, .n = 64, .k = 64}, 1);
  const auto refuses = [&](auto change) {
    Arguments p = trial.arguments();
    change(p);
    return !hopper_bf16.supports(p);
  };
  float sums = 0;
  EXPECT_TRUE(refuses([&](Arguments& p) {
    p.row_sums = &sums;
    p.n = 0;
  }));
  EXPECT_TRUE(refuses([](Arguments& p) { p.row_a = 65; }));
  EXPECT_TRUE(refuses([](Arguments& p) { p.row_b = 66; }));
  EXPECT_TRUE(refuses([](Arguments& p) { p.row_c = 67; }));
  EXPECT_TRUE(refuses([](Arguments& p) { p.a = static_cast<const char*>(p.a) + 2; }));
  EXPECT_TRUE(refuses([](Arguments& p) { p.c = static_cast<char*>(p.c) + 4; }));
  EXPECT_TRUE(refuses([](Arguments& p) { p.mask = static_cast<const char*>(p.a) + 4; }));
  // Rows that end within 16 bytes, though they lie on 16 bytes: the copy engine would write over what
  // follows.
  EXPECT_TRUE(refuses([](Arguments& p) { p.n = 61; }));
  EXPECT_FALSE(refuses([](Arguments& p) { p.n = 60; }));
  EXPECT_TRUE(refuses([](Arguments& p) {
    p.n = 60;
    p.c_is_bf16 = true;
  }));
  EXPECT_FALSE(refuses([](Arguments&) {}));
  EXPECT_EQ(hopper_bf16.minimum_architecture, hopper_bf16.maximum_architecture);
}

}  // namespace
}  // namespace partita::kernels::cuda::gemm

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  if (const auto problem = partita::kernels::cuda::gemm::no_device(90); !problem.empty()) {
    std::printf("SKIP: %s\n", problem.c_str());
    return 77;
  }
  return RUN_ALL_TESTS();
}
