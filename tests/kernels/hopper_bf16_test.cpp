/// The Hopper kernel against products in double: on the emulated device, and on a real one of compute
/// capability 9.0.
///
/// Operands are random bfloat16 values, so that the double product is exact in them; |error| ≤
/// c·k·2⁻²⁴·Σ|a||b|, and half a unit of bfloat16 where C is. C's unused columns are poisoned and must stay as
/// they are.
#include "hopper_bf16.hpp"

#include <cuda_bf16.h>
#include <cuda_runtime.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdio>
#include <cstring>
#include <random>
#include <vector>

#include "hopper_tiles.hpp"
#include "launch.hpp"

namespace partita::kernels::cuda::gemm {
namespace {

struct Case {
  std::int64_t m, n, k;
  bool transpose_a = false, transpose_b = false, c_is_bf16 = false;
  float alpha = 1, beta = 0;
  bool bias = false, relu = false, mask = false, row_sums = false;
  int multiprocessors = 4;
  std::int64_t padding = 0;  ///< of rows, in elements; a multiple of 8
};

std::ostream& operator<<(std::ostream& out, const Case& c) {
  return out << c.m << "x" << c.n << "x" << c.k << (c.transpose_a ? " t" : " n")
             << (c.transpose_b ? "t" : "n") << (c.c_is_bf16 ? " bf16" : " fp32") << " alpha " << c.alpha
             << " beta " << c.beta << (c.bias ? " bias" : "") << (c.relu ? " relu" : "")
             << (c.mask ? " mask" : "") << (c.row_sums ? " row sums" : "") << " on " << c.multiprocessors;
}

/// Device memory with values that the test knows on the host.
template <class T>
class Memory {
 public:
  explicit Memory(std::vector<T> values) : values_(std::move(values)) {
    if (values_.empty()) return;
    check(cudaMalloc(reinterpret_cast<void**>(&data_), bytes()), "cudaMalloc");
    check(cudaMemcpy(data_, values_.data(), bytes(), cudaMemcpyHostToDevice), "cudaMemcpy");
  }
  Memory(const Memory&) = delete;
  Memory& operator=(const Memory&) = delete;
  ~Memory() { (void)cudaFree(data_); }
  T* data() { return data_; }
  const std::vector<T>& host() const { return values_; }
  std::vector<T> fetch() const {
    std::vector<T> values(values_.size());
    if (!values.empty())
      check(cudaMemcpy(values.data(), data_, bytes(), cudaMemcpyDeviceToHost), "cudaMemcpy");
    return values;
  }

 private:
  std::size_t bytes() const { return values_.size() * sizeof(T); }
  std::vector<T> values_;
  T* data_ = nullptr;
};

std::int64_t up_to_eight(std::int64_t columns) { return (columns + 7) / 8 * 8; }

std::vector<__nv_bfloat16> random_bf16(std::int64_t size, std::mt19937& random) {
  std::normal_distribution<float> normal;
  std::vector<__nv_bfloat16> values;
  for (std::int64_t i = 0; i < size; ++i)
    values.push_back(__float2bfloat16(normal(random)));
  return values;
}

std::vector<float> random_fp32(std::int64_t size, std::mt19937& random) {
  std::normal_distribution<float> normal;
  std::vector<float> values;
  for (std::int64_t i = 0; i < size; ++i)
    values.push_back(normal(random));
  return values;
}

template <class Element>
std::vector<Element> random_c(std::int64_t size, std::mt19937& random) {
  if constexpr (sizeof(Element) == 2)
    return random_bf16(size, random);
  else
    return random_fp32(size, random);
}

/// Sum and sum of magnitudes of one element's products.
struct Sum {
  double value = 0, magnitude = 0;
};

template <class Element>
class Trial {
 public:
  Trial(const Case& c, unsigned seed)
      : case_(c),
        random_(seed),
        row_a_(up_to_eight(c.transpose_a ? c.m : c.k) + c.padding),
        row_b_(up_to_eight(c.transpose_b ? c.k : c.n) + c.padding),
        row_c_(up_to_eight(c.n) + c.padding),
        a_(random_bf16((c.transpose_a ? c.k : c.m) * row_a_, random_)),
        b_(random_bf16((c.transpose_b ? c.n : c.k) * row_b_, random_)),
        c_(random_c<Element>(c.m * row_c_, random_)),
        mask_(random_c<Element>(c.m * row_c_, random_)),
        bias_(random_fp32(c.n, random_)),
        row_sums_(random_fp32(c.m, random_)) {}

  Arguments arguments() {
    return {.a = a_.data(),
            .b = b_.data(),
            .c = c_.data(),
            .bias = case_.bias ? bias_.data() : nullptr,
            .mask = case_.mask ? mask_.data() : nullptr,
            .row_sums = case_.row_sums ? row_sums_.data() : nullptr,
            .m = case_.m,
            .n = case_.n,
            .k = case_.k,
            .row_a = row_a_,
            .row_b = row_b_,
            .row_c = row_c_,
            .alpha = case_.alpha,
            .beta = case_.beta,
            .transpose_a = case_.transpose_a,
            .transpose_b = case_.transpose_b,
            .relu = case_.relu,
            .c_is_bf16 = case_.c_is_bf16};
  }

  std::vector<Element> run() {
    const Chip chip{.architecture = 90, .multiprocessors = case_.multiprocessors};
    EXPECT_TRUE(hopper_bf16.supports(arguments())) << case_;
    hopper_bf16.run(arguments(), nullptr, chip, nullptr);
    check(cudaDeviceSynchronize(), "cudaDeviceSynchronize");
    return c_.fetch();
  }

  void compare(const std::vector<Element>& found) const {
    int wrong = 0;
    for (std::int64_t i = 0; i < case_.m && wrong < 5; ++i)
      for (std::int64_t j = 0; j < row_c_ && wrong < 5; ++j) {
        const auto at = static_cast<std::size_t>(i * row_c_ + j);
        if (j >= case_.n) {
          const bool same = std::memcmp(&found[at], &c_.host()[at], sizeof(Element)) == 0;
          wrong += !same;
          EXPECT_TRUE(same) << case_ << ": wrote beyond its columns at " << i << ", " << j;
          continue;
        }
        const Sum sum = product(i, j);
        const double expected = epilogue(i, j, sum.value);
        double bound = 2.0 * static_cast<double>(case_.k + 4) * std::ldexp(1, -24) * (sum.magnitude + 4);
        if (sizeof(Element) == 2) bound += std::abs(expected) * std::ldexp(1, -8);
        const double is = static_cast<float>(found[at]);
        wrong += !(std::abs(is - expected) <= bound);
        EXPECT_LE(std::abs(is - expected), bound)
            << case_ << " at " << i << ", " << j << ": " << is << " for " << expected;
      }
  }

  void compare_row_sums() const {
    const auto found = row_sums_.fetch();
    for (std::int64_t i = 0; i < case_.m; ++i) {
      Sum sum;
      for (std::int64_t k = 0; k < case_.k; ++k) {
        sum.value += a(i, k);
        sum.magnitude += std::abs(a(i, k));
      }
      const auto at = static_cast<std::size_t>(i);
      double expected = row_sums_.host()[at];  // untouched where nobody asks
      if (case_.row_sums) expected = double{case_.alpha} * sum.value + double{case_.beta} * expected;
      const double bound = 2.0 * static_cast<double>(case_.k + 4) * std::ldexp(1, -24) * (sum.magnitude + 4);
      ASSERT_LE(std::abs(found[at] - expected), case_.row_sums ? bound : 0) << case_ << " row sum " << i;
    }
  }

 private:
  double a(std::int64_t i, std::int64_t k) const {
    return static_cast<float>(
        a_.host()[static_cast<std::size_t>(case_.transpose_a ? k * row_a_ + i : i * row_a_ + k)]);
  }
  double b(std::int64_t k, std::int64_t j) const {
    return static_cast<float>(
        b_.host()[static_cast<std::size_t>(case_.transpose_b ? j * row_b_ + k : k * row_b_ + j)]);
  }

  Sum product(std::int64_t i, std::int64_t j) const {
    Sum sum;
    for (std::int64_t k = 0; k < case_.k; ++k) {
      sum.value += a(i, k) * b(k, j);
      sum.magnitude += std::abs(a(i, k) * b(k, j));
    }
    return sum;
  }

  double epilogue(std::int64_t i, std::int64_t j, double sum) const {
    const auto at = static_cast<std::size_t>(i * row_c_ + j);
    double value = double{case_.alpha} * sum;
    if (case_.beta != 0) value += double{case_.beta} * static_cast<float>(c_.host()[at]);
    if (case_.bias) value += bias_.host()[static_cast<std::size_t>(j)];
    if (case_.relu && value < 0) value = 0;
    if (case_.mask && !(static_cast<float>(mask_.host()[at]) > 0)) value = 0;
    return value;
  }

  Case case_;
  std::mt19937 random_;
  std::int64_t row_a_, row_b_, row_c_;
  Memory<__nv_bfloat16> a_, b_;
  Memory<Element> c_, mask_;
  Memory<float> bias_, row_sums_;
};

template <class Element>
void check_elements(const Case& c, unsigned seed) {
  Trial<Element> trial(c, seed);
  trial.compare(trial.run());
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
                    .n = 139,
                    .k = 75,
                    .transpose_a = transpose_a,
                    .transpose_b = transpose_b,
                    .c_is_bf16 = c_is_bf16});
}

TEST(HopperBf16, WideTilesInAllTranspositions) {
  for (const bool transpose_a : {false, true})
    for (const bool transpose_b : {false, true}) {
      const Case c{.m = 300,
                   .n = 250,
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
  check_case({.m = 700, .n = 300, .k = 72, .c_is_bf16 = true, .multiprocessors = 2});
  check_case(
      {.m = 520, .n = 520, .k = 40, .transpose_b = true, .multiprocessors = 5});  // an odd one is left over
}

TEST(HopperBf16, SmallAndNarrowOnes) {
  for (const auto& [m, n, k] : {std::array{1, 1, 1}, {1, 8, 64}, {64, 1, 7}, {5, 129, 65}, {129, 3, 128}})
    check_case({.m = m, .n = n, .k = k, .transpose_a = m == 5, .transpose_b = n == 1, .c_is_bf16 = n == 8});
}

TEST(HopperBf16, Epilogues) {
  for (const bool c_is_bf16 : {false, true}) {
    check_case(
        {.m = 130, .n = 71, .k = 64, .c_is_bf16 = c_is_bf16, .alpha = -0.5f, .beta = 0.75f, .padding = 16});
    check_case({.m = 70, .n = 135, .k = 64, .c_is_bf16 = c_is_bf16, .bias = true, .relu = true});
    check_case({.m = 70, .n = 135, .k = 64, .c_is_bf16 = c_is_bf16, .beta = 1, .mask = true, .padding = 8});
  }
  check_case(
      {.m = 140, .n = 250, .k = 64, .alpha = 2, .beta = 1, .bias = true, .relu = true, .multiprocessors = 2});
}

TEST(HopperBf16, RowSums) {
  for (const bool transpose_a : {false, true}) {
    check_case({.m = 150,
                .n = 139,
                .k = 200,
                .transpose_a = transpose_a,
                .alpha = 0.5f,
                .beta = 1,
                .row_sums = true});
    check_case({.m = 600,
                .n = 260,
                .k = 70,
                .transpose_a = transpose_a,
                .c_is_bf16 = true,
                .row_sums = true,
                .multiprocessors = 2});
  }
  check_case({.m = 100, .n = 3, .k = 0, .transpose_b = true, .beta = 3, .row_sums = true});
}

TEST(HopperBf16, WithoutProductsTheEpilogueStays) {
  check_case({.m = 70, .n = 30, .k = 0, .beta = 2, .bias = true});
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
  Trial<float> one(c, 5), other(c, 5);
  const auto first = one.run(), second = other.run();
  EXPECT_EQ(std::memcmp(first.data(), second.data(), first.size() * sizeof(float)), 0);
}

TEST(HopperBf16, SaysWhatItCannotCompute) {
  Trial<float> trial({.m = 64, .n = 64, .k = 64}, 1);
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
  EXPECT_FALSE(refuses([](Arguments&) {}));
  EXPECT_EQ(hopper_bf16.minimum_architecture, hopper_bf16.maximum_architecture);
}

/// Why this machine cannot run the kernel; empty if it can.
std::string problem() {
  int count = 0, major = 0, minor = 0;
  if (const auto error = cudaGetDeviceCount(&count); error != cudaSuccess || count == 0)
    return std::string("no CUDA device: ") + cudaGetErrorString(error);
  check(cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, 0), "cudaDeviceGetAttribute");
  check(cudaDeviceGetAttribute(&minor, cudaDevAttrComputeCapabilityMinor, 0), "cudaDeviceGetAttribute");
  return major == 9 && minor == 0 ? "" : "not a device of compute capability 9.0";
}

}  // namespace
}  // namespace partita::kernels::cuda::gemm

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  if (const auto problem = partita::kernels::cuda::gemm::problem(); !problem.empty()) {
    std::printf("SKIP: %s\n", problem.c_str());
    return 77;
  }
  return RUN_ALL_TESTS();
}
