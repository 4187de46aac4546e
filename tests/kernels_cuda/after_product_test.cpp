/// What follows a library's product, and the library's absence, on the emulated device.
#include "after_product.hpp"

#include "cublas.hpp"
#include "gemm_trial.hpp"

namespace partita::kernels::cuda::gemm {
namespace {

TEST(AfterProduct, BiasThenReluOrMaskInPlace) {
  std::mt19937 random(std::random_device{}());
  for (const std::int64_t n : {1, 30, 257})
    for (const int rest : {0, 1, 2}) {  // none, ReLU, mask
      const std::int64_t m = 5, row = n + 3;
      Memory<float> c(random_values<float>(m * row, random)), mask(random_values<float>(m * row, random)),
          bias(random_values<float>(n, random));
      finish_in_place({.c = c.data(),
                       .bias = bias.data(),
                       .mask = rest == 2 ? mask.data() : nullptr,
                       .m = m,
                       .n = n,
                       .row_c = row,
                       .relu = rest == 1},
                      true, nullptr);
      const auto found = c.fetch();
      for (std::int64_t i = 0; i < m; ++i)
        for (std::int64_t j = 0; j < row; ++j) {
          const auto at = static_cast<std::size_t>(i * row + j);
          float expected = c.host()[at];
          if (j < n) expected += bias.host()[static_cast<std::size_t>(j)];
          if (j < n && ((rest == 1 && expected < 0) || (rest == 2 && !(mask.host()[at] > 0)))) expected = 0;
          ASSERT_EQ(found[at], expected) << i << " " << j << " " << rest;
        }
    }
}

template <class Operand>
void check_row_sums(const Case& c) {
  Trial<Operand, float> trial(c, std::random_device{}());
  add_row_sums(trial.arguments(), sizeof(Operand) == 2, nullptr);
  check(cudaDeviceSynchronize(), "cudaDeviceSynchronize");
  trial.compare_row_sums();
}

TEST(AfterProduct, RowSums) {
  for (const bool transpose_a : {false, true})
    for (const std::int64_t m : {1, 31, 70})
      for (const std::int64_t k : {0, 1, 100}) {
        const Case c{
            .m = m, .n = 1, .k = k, .transpose_a = transpose_a, .alpha = 2, .beta = 0.5f, .row_sums = true};
        check_row_sums<float>(c);
        check_row_sums<__nv_bfloat16>(c);
      }
}

TEST(NoCublas, SaysSo) {
  const Arguments p{.m = 1, .n = 1, .k = 1, .row_a = 1, .row_b = 1, .row_c = 1};
  EXPECT_EQ(cublas_version(), "none");
  EXPECT_EQ(cublas_problem(), "built without cuBLASLt");
  for (const Kernel& kernel : cublas_kernels()) {
    EXPECT_EQ(kernel.name, "cublas");
    EXPECT_FALSE(kernel.supports(p));
  }
  EXPECT_THROW(CublasProduct(p, Arithmetic::fp32), std::runtime_error);
}

}  // namespace
}  // namespace partita::kernels::cuda::gemm
