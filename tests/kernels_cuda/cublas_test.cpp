/// cuBLASLt behind the family's contract, each of its algorithms, against products in double. Needs a device.
#include "cublas.hpp"

#include <cstdio>

#include "gemm_trial.hpp"

namespace partita::kernels::cuda::gemm {
namespace {

const Case cases[] = {
    {.m = 150, .n = 139, .k = 75, .padding = 8},
    {.m = 150, .n = 139, .k = 75, .transpose_a = true, .alpha = 0.5f, .beta = 1},
    {.m = 64, .n = 256, .k = 300, .transpose_b = true, .bias = true},
    {.m = 64, .n = 256, .k = 300, .transpose_b = true, .beta = 0.5f, .bias = true, .relu = true},
    {.m = 200, .n = 10, .k = 64, .transpose_a = true, .transpose_b = true, .relu = true},
    {.m = 33, .n = 65, .k = 129, .mask = true},
    {.m = 128, .n = 784, .k = 100, .transpose_a = true, .beta = 1, .row_sums = true},
};

template <class Operand, class Element>
void check_case(Case c, const Kernel& kernel, double rounding, double of_sum = 0) {
  c.c_is_bf16 = sizeof(Element) == 2;
  Trial<Operand, Element> trial(c, std::random_device{}());
  trial.compare(trial.run(kernel), rounding, of_sum);
  trial.compare_row_sums();
}

TEST(Cublas, ComputesWhatTheFamilyDoes) {
  for (const Kernel& kernel : cublas_kernels())
    for (const Case& c : cases) {
      SCOPED_TRACE(static_cast<int>(kernel.arithmetic));
      if (kernel.arithmetic == Arithmetic::bf16) {
        check_case<__nv_bfloat16, float>(c, kernel, 0);
        // Where C is bfloat16 the library rounds the sum to it before it adds beta·C (seen of 13.1 on an
        // H200); the bias comes after a first rounding too.
        if (!c.bias)
          check_case<__nv_bfloat16, __nv_bfloat16>(c, kernel, 0, c.beta != 0 ? std::ldexp(1, -8) : 0);
      } else {  // TF32 keeps 10 bits of each operand
        check_case<float, float>(c, kernel, kernel.arithmetic == Arithmetic::tf32 ? std::ldexp(1, -9) : 0);
      }
    }
}

TEST(Cublas, EveryProposedAlgorithmIsRight) {
  const Case c{.m = 512, .n = 384, .k = 256, .transpose_b = true, .bias = true};
  Trial<__nv_bfloat16, float> shape(c, 1);
  const CublasProduct product(shape.arguments(), Arithmetic::bf16, 16);
  EXPECT_GE(product.algorithms(), 1);
  std::printf("%d algorithms\n", product.algorithms());
  Memory<std::uint8_t> workspace(
      std::vector<std::uint8_t>(static_cast<std::size_t>(cublas_workspace.value())));
  for (int i = 0; i < product.algorithms(); ++i) {
    Trial<__nv_bfloat16, float> trial(c, 2);
    product.run(i, trial.arguments(), reinterpret_cast<std::byte*>(workspace.data()), nullptr);
    check(cudaDeviceSynchronize(), "cudaDeviceSynchronize");
    trial.compare(trial.fetch());
  }
}

}  // namespace
}  // namespace partita::kernels::cuda::gemm

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  using namespace partita::kernels::cuda::gemm;
  auto problem = no_device(0);
  if (problem.empty()) problem = cublas_problem();
  if (!problem.empty()) {
    std::printf("SKIP: %s\n", problem.c_str());
    return 77;
  }
  return RUN_ALL_TESTS();
}
