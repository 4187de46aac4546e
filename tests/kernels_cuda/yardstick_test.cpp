/// What partita-bench-kernels measures on a GPU, with tiny shapes: that the right is right and the wrong is
/// seen, that everything is sampled, and what is written of it. Nothing here is about time.
#include <gtest/gtest.h>

#include <cmath>
#include <set>
#include <sstream>

#include "cuda_on_host/control.hpp"
#include "gemm/selector.hpp"
#include "gpu_campaign.hpp"
#include "ladder_table.hpp"
#include "launch.hpp"
#include "yardstick/operands.hpp"
#include "yardstick/peak.hpp"

namespace partita::tests {
namespace {

using namespace bench_kernels;
using kernels::Bytes;
using kernels::cuda::Precision;
using kernels::cuda::Product;

constexpr Effort tiny{.repetitions = 2,
                      .sample_seconds = 0,
                      .most_calls = 2,
                      .trial_rounds = 1,
                      .race = {.working_set = Bytes(30'000)}};

std::vector<GpuCase> tiny_cases() {
  std::vector<GpuCase> cases;
  for (const auto precision : {Precision::fp32, Precision::tf32, Precision::bf16}) {
    cases.push_back(product_case({.m = 24, .n = 40, .k = 32, .transpose_b = true, .precision = precision}));
    cases.push_back(layer_case(precision, "tiny", 8, 16, 24, false));
  }
  cases.push_back(
      product_case({.m = 24, .n = 40, .k = 64, .precision = Precision::bf16, .bf16_result = true}));
  for (auto& c : convolution_cases(
           "tiny", {.batch = 2, .channels = 3, .height = 6, .width = 5, .filters = 4, .kernel = 3}, false))
    cases.push_back(c);
  return cases;
}

TEST(Yardstick, RacesEveryKernelThatComputesAProductAndFindsItRight) {
  GpuCampaign campaign(0, tiny_cases(), tiny);
  std::set<std::string> raced;
  for (const auto& c : campaign.cases()) {
    const auto& result = campaign.measured(c);
    ASSERT_FALSE(result.ways.empty()) << c.name;
    for (const auto& way : result.ways) {
      raced.insert(way.name);
      EXPECT_LE(way.error, 1) << c.name << " " << way.name << " " << c.parameters;
      EXPECT_EQ(way.seconds.size(), 2U) << way.name;
    }
    EXPECT_EQ(result.peak.size(), 2U);
    EXPECT_EQ(result.best(false), nullptr) << "there is no library here";
  }
  for (const auto& kernel : kernels::cuda::ladder())
    EXPECT_TRUE(raced.contains(kernel.name)) << kernel.name;
  EXPECT_TRUE(campaign.correct());
}

TEST(Yardstick, WritesRowsASummaryAndATableThatCanBeReadAgain) {
  GpuCampaign campaign(0, tiny_cases(), tiny);
  campaign.measured(campaign.cases().front());
  const auto ways = campaign.found(campaign.cases().front())->ways.size();
  EXPECT_EQ(campaign.found(campaign.cases().back()), nullptr);
  const auto rows = campaign.rows();
  EXPECT_EQ(rows.size(), 2 * (ways + 1));
  EXPECT_EQ(rows.front().name, "gemm/fp32/naive");
  EXPECT_EQ(rows.front().parameters, "m=24 n=40 k=32 ab=nt");
  std::ostringstream summary;
  campaign.print_summary(summary);
  EXPECT_NE(summary.str().find("not compared with: built without cuBLASLt"), std::string::npos)
      << summary.str();
  EXPECT_NE(summary.str().find("of fma without memory"), std::string::npos) << summary.str();
  const auto table = kernels::cuda::gemm::Table::parse(campaign.product_table(), "here");
  ASSERT_EQ(table.rows().size(), ways);
  EXPECT_EQ(table.rows().front().kernel, "naive");
  EXPECT_TRUE(table.rows().front().transpose_b);
  EXPECT_TRUE(table.rows().front().microseconds.has_value());
}

TEST(Yardstick, CoversItsWorkingSetWithSetsOfOperands) {
  const auto backend = kernels::cuda::make_cuda_backend({});
  const Product product{.m = 32, .n = 32, .k = 32};
  EXPECT_EQ(plan_race(*backend, product, {})->sets(), 1);
  EXPECT_EQ(plan_race(*backend, product, {.working_set = Bytes(10 * 3 * 4096)})->sets(), 10);
}

/// Floats in device memory.
class OnDevice {
 public:
  OnDevice(kernels::cuda::CudaDevice& device, const std::vector<float>& values)
      : memory_(device, Bytes(static_cast<std::int64_t>(values.size()) * 4)) {
    set(values);
  }
  void set(const std::vector<float>& values) const {
    kernels::cuda::check(cudaMemcpy(memory_.data(), values.data(), values.size() * 4, cudaMemcpyHostToDevice),
                         "cudaMemcpy");
  }
  [[nodiscard]] void* data() const { return memory_.data(); }

 private:
  kernels::cuda::yardstick::Memory memory_;
};

TEST(Yardstick, SeesOneWrongElementAndWhatIsNoNumber) {
  kernels::cuda::CudaDevice device(0);
  const auto stream = device.stream(kernels::Device::Queue::compute);
  constexpr std::int64_t m = 5, n = 7, k = 9;
  std::vector<float> a(m * k), b(k * n), c(m * n);
  for (std::size_t i = 0; i < a.size(); ++i)
    a[i] = static_cast<float>(i % 5) - 2;
  for (std::size_t i = 0; i < b.size(); ++i)
    b[i] = static_cast<float>(i % 3) - 1;
  for (std::int64_t i = 0; i < m; ++i)
    for (std::int64_t j = 0; j < n; ++j)
      for (std::int64_t l = 0; l < k; ++l)
        c[i * n + j] += a[i * k + l] * b[l * n + j];
  const OnDevice on_a(device, a), on_b(device, b), on_c(device, c);
  const kernels::cuda::gemm::Arguments p{
      .a = on_a.data(), .b = on_b.data(), .m = m, .n = n, .k = k, .row_a = k, .row_b = n, .row_c = n};
  const kernels::cuda::yardstick::ExpectedElements expected(p, kernels::cuda::gemm::Arithmetic::fp32, stream);
  EXPECT_EQ(expected.error_of(on_c.data(), stream), 0);
  c[11] += 1e-3F;
  on_c.set(c);
  EXPECT_GT(expected.error_of(on_c.data(), stream), 1);
  c[11] = std::nanf("");
  on_c.set(c);
  EXPECT_EQ(expected.error_of(on_c.data(), stream), std::numeric_limits<double>::infinity());
}

TEST(Yardstick, FillsWithNormalNumbers) {
  kernels::cuda::CudaDevice device(0);
  constexpr std::int64_t n = 20'000;
  std::vector<float> values(n);
  const OnDevice memory(device, values);
  kernels::cuda::yardstick::fill_normal(memory.data(), n, false, 3,
                                        device.stream(kernels::Device::Queue::compute));
  device.synchronize();
  kernels::cuda::check(cudaMemcpy(values.data(), memory.data(), n * 4, cudaMemcpyDeviceToHost), "cudaMemcpy");
  double sum = 0, squares = 0;
  for (const double value : values) {
    sum += value;
    squares += value * value;
  }
  EXPECT_NEAR(sum / n, 0, 5 / std::sqrt(n));
  EXPECT_NEAR(squares / n, 1, 5 * std::sqrt(2.0 / n));
}

TEST(Yardstick, CountsThePeaksOperations) {
  const auto backend = kernels::cuda::make_cuda_backend({});
  const auto chip = kernels::cuda::chip_figures(*backend);
  const double sm = chip.multiprocessors;
  EXPECT_EQ(chip.architecture, 90);
  EXPECT_EQ(issue_peak(*backend, Precision::fp32, 2), 2.0 * 2 * sm * 4 * 256 * 16 * 16);
  EXPECT_EQ(issue_peak(*backend, Precision::tf32, 1), 2.0 * sm * 2 * 8 * 8 * (16 * 8 * 8));
  EXPECT_EQ(issue_peak(*backend, Precision::bf16, 1), 2.0 * sm * 2 * 16 * (64 * 256 * 16));
  EXPECT_EQ(peak_instruction(*backend, Precision::bf16), "wgmma");
  backend->device().synchronize();
}

TEST(Yardstick, DescribesEveryKernelOfTheLadder) {
  std::ostringstream table;
  print_ladder(table, nullptr);
  for (const auto& kernel : kernels::cuda::ladder())
    EXPECT_NE(table.str().find("| " + kernel.name + " | "), std::string::npos) << table.str();
  EXPECT_EQ(table.str().find("see its file"), std::string::npos) << table.str();
  EXPECT_NE(table.str().find("not measured yet: no GPU was at hand"), std::string::npos);
}

TEST(Yardstick, SelectsShapesOfTheReferenceWorkloadsAndLargeSquares) {
  std::set<std::string> names;
  int narrow = 0;
  for (const auto& c : gpu_cases()) {
    names.insert(c.name + " " + c.parameters);
    narrow += c.product && c.product->k == 784 && c.product->n == 128 && c.precision == Precision::fp32 &&
              !c.product->transpose_a;
  }
  for (const char* name :
       {"gemm/fp32 m=8192 n=8192 k=8192 ab=nn", "gemm/bf16-c16 m=4096 n=4096 k=4096 ab=nn",
        "gemm/tf32 m=128 n=784 k=60000 ab=tn", "layer/bf16 workload=mlp-wide batch=4096 in=2048 out=2048"})
    EXPECT_TRUE(names.contains(name)) << name;
  EXPECT_GE(narrow, 10);
}

}  // namespace
}  // namespace partita::tests
