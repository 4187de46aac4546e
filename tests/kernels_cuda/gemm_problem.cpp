#include "gemm_problem.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <sstream>

#include "launch.hpp"

namespace partita::tests {
namespace {

using kernels::cuda::check;

constexpr std::int64_t guard = 64;  ///< elements before and after each matrix

/// A bfloat16 as its bits; half of a float.
std::uint16_t to_bf16(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  return static_cast<std::uint16_t>((bits + 0x7FFF + (bits >> 16 & 1)) >> 16);
}
float from_bf16(std::uint16_t bits) { return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16); }

/// A matrix [rows, columns] in memory of the device, guards around it and padding between its rows.
struct Matrix {
  std::int64_t rows, columns, row, first;
  bool bf16;
  std::vector<std::byte> bytes;  ///< as the host filled it
  std::byte* device = nullptr;

  Matrix(std::int64_t r, std::int64_t c, std::int64_t pad, std::int64_t shift, bool is_bf16, float fill)
      : rows(r), columns(c), row(c + pad), first(guard + shift), bf16(is_bf16) {
    bytes.resize((first + rows * row + guard) * width());
    for (std::int64_t i = 0; i < first + rows * row + guard; ++i)
      put(i, fill);
    check(cudaMalloc(&device, bytes.size()), "cudaMalloc");
  }
  Matrix(const Matrix&) = delete;
  ~Matrix() { cudaFree(device); }

  [[nodiscard]] std::int64_t width() const { return bf16 ? 2 : 4; }
  [[nodiscard]] std::int64_t index(std::int64_t i, std::int64_t j) const { return first + i * row + j; }
  void put(std::int64_t at, float value) {
    const std::uint16_t half = to_bf16(value);
    std::memcpy(&bytes[at * width()], bf16 ? static_cast<const void*>(&half) : &value, width());
  }
  [[nodiscard]] float get(const std::vector<std::byte>& from, std::int64_t at) const {
    std::uint16_t half = 0;
    float value = 0;
    std::memcpy(bf16 ? static_cast<void*>(&half) : &value, &from[at * width()], width());
    return bf16 ? from_bf16(half) : value;
  }
  [[nodiscard]] double operator()(std::int64_t i, std::int64_t j) const { return get(bytes, index(i, j)); }
  [[nodiscard]] std::byte* data() const { return device + first * width(); }
  void upload() const {
    check(cudaMemcpy(device, bytes.data(), bytes.size(), cudaMemcpyHostToDevice), "cudaMemcpy");
  }
  [[nodiscard]] std::vector<std::byte> download() const {
    std::vector<std::byte> result(bytes.size());
    check(cudaMemcpy(result.data(), device, bytes.size(), cudaMemcpyDeviceToHost), "cudaMemcpy");
    return result;
  }
  /// Random normal elements, whole in bfloat16 if `few_bits`.
  void randomise(std::mt19937& random, bool few_bits) {
    std::normal_distribution<float> normal;
    for (std::int64_t i = 0; i < rows; ++i)
      for (std::int64_t j = 0; j < columns; ++j) {
        const float value = normal(random);
        put(index(i, j), few_bits ? from_bf16(to_bf16(value)) : value);
      }
  }
};

constexpr float not_a_number = std::numeric_limits<float>::quiet_NaN();

/// All matrices of a problem; what no kernel may read is NaN.
struct Matrices {
  Matrix a, b, c, mask, bias, row_sums;

  Matrices(const Problem& q, bool bf16)
      : a(q.transpose_a ? q.k : q.m, q.transpose_a ? q.m : q.k, q.pad_a, q.shift, bf16, not_a_number),
        b(q.transpose_b ? q.n : q.k, q.transpose_b ? q.k : q.n, q.pad_b, q.shift, bf16, not_a_number),
        c(q.m, q.n, q.pad_c, q.shift, q.c_is_bf16, not_a_number),
        mask(q.m, q.n, q.pad_c, q.shift, q.c_is_bf16, not_a_number),
        bias(1, q.n, 0, q.shift, false, not_a_number),
        row_sums(1, q.m, 0, q.shift, false, not_a_number) {
    std::mt19937 random(q.seed);
    a.randomise(random, q.few_bits);
    b.randomise(random, q.few_bits);
    if (q.mask) mask.randomise(random, false);
    if (q.bias) bias.randomise(random, false);
    if (q.beta != 0) {
      c.randomise(random, false);
      row_sums.randomise(random, false);
    }
    for (const Matrix* matrix : {&a, &b, &c, &mask, &bias, &row_sums})
      matrix->upload();
  }
  [[nodiscard]] gemm::Arguments arguments(const Problem& q) const {
    return {.a = a.data(),
            .b = b.data(),
            .c = c.data(),
            .bias = q.bias ? reinterpret_cast<const float*>(bias.data()) : nullptr,
            .mask = q.mask ? mask.data() : nullptr,
            .row_sums = q.row_sums ? reinterpret_cast<float*>(row_sums.data()) : nullptr,
            .m = q.m,
            .n = q.n,
            .k = q.k,
            .row_a = a.row,
            .row_b = b.row,
            .row_c = c.row,
            .alpha = q.alpha,
            .beta = q.beta,
            .transpose_a = q.transpose_a,
            .transpose_b = q.transpose_b,
            .relu = q.relu,
            .c_is_bf16 = q.c_is_bf16};
  }
};

/// A value and how far from it a kernel's may lie.
struct Expected {
  double value, error;
};

/// Sums of k terms in float32 whose magnitudes sum to `magnitude`, products rounded by `product_error`.
Expected scaled(const Problem& q, double sum, double magnitude, double product_error, double before) {
  const double sum_error = magnitude * (std::ldexp(static_cast<double>(q.k) + 4, -23) + product_error);
  const double old = q.beta != 0 ? q.beta * before : 0;
  return {q.alpha * sum + old, std::abs(q.alpha) * sum_error + std::ldexp(std::abs(old), -22)};
}

Expected expected_c(const Problem& q, const Matrices& x, const std::vector<double>& a,
                    const std::vector<double>& b, double product_error, std::int64_t i, std::int64_t j) {
  double sum = 0, magnitude = 0;
  for (std::int64_t k = 0; k < q.k; ++k) {
    const double product = a[i * q.k + k] * b[j * q.k + k];
    sum += product;
    magnitude += std::abs(product);
  }
  Expected result = scaled(q, sum, magnitude, product_error, x.c(i, j));
  if (q.bias) result.value += x.bias(0, j);
  result.error += std::ldexp(std::abs(result.value), -21);
  if (q.relu) result.value = std::max(0.0, result.value);
  if (q.mask && !(x.mask(i, j) > 0)) result = {0, 0};
  if (q.c_is_bf16) result.error += std::ldexp(std::abs(result.value) + result.error, -8);
  return result;
}

/// op(A) [m, k] and op(B)ᵀ [n, k], dense.
std::vector<double> dense(const Matrix& x, std::int64_t rows, std::int64_t k, bool k_innermost) {
  std::vector<double> result(rows * k);
  for (std::int64_t i = 0; i < rows; ++i)
    for (std::int64_t j = 0; j < k; ++j)
      result[i * k + j] = k_innermost ? x(i, j) : x(j, i);
  return result;
}

/// The first element of a matrix that is not as expected, or touched though it is none.
template <class ExpectedAt>
std::string first_error(const Matrix& matrix, const std::vector<std::byte>& bytes, const ExpectedAt& at) {
  std::vector<std::byte> outside = bytes;
  for (std::int64_t i = 0; i < matrix.rows; ++i)
    for (std::int64_t j = 0; j < matrix.columns; ++j) {
      const Expected expected = at(i, j);
      const double value = matrix.get(bytes, matrix.index(i, j));
      if (!(std::abs(value - expected.value) <= expected.error)) {
        std::ostringstream text;
        text << "[" << i << ", " << j << "] is " << value << ", not " << expected.value << " ± "
             << expected.error;
        return text.str();
      }
      const std::int64_t byte = matrix.index(i, j) * matrix.width();
      std::memcpy(&outside[byte], &matrix.bytes[byte], matrix.width());
    }
  return outside == matrix.bytes ? "" : "something was written outside the matrix";
}

Outcome run_once(const gemm::Kernel& kernel, const gemm::Arguments& arguments, const Matrices& x,
                 const gemm::Chip& chip) {
  x.c.upload();
  x.row_sums.upload();
  const auto bytes = static_cast<std::size_t>(kernel.workspace(arguments, chip).value());
  std::byte* workspace = nullptr;
  if (bytes > 0) {
    check(cudaMalloc(&workspace, bytes), "cudaMalloc");
    check(cudaMemset(workspace, 0xFF, bytes), "cudaMemset");
  }
  kernel.run(arguments, workspace, chip, nullptr);
  check(cudaDeviceSynchronize(), "cudaDeviceSynchronize");
  if (workspace != nullptr) check(cudaFree(workspace), "cudaFree");
  return {x.c.download(), x.row_sums.download()};
}

double product_error_of(gemm::Arithmetic arithmetic, bool few_bits) {
  return arithmetic == gemm::Arithmetic::tf32 && !few_bits ? std::ldexp(1.01, -10) : 0;
}

}  // namespace

std::string Problem::text() const {
  std::ostringstream out;
  out << m << "×" << n << "×" << k << (transpose_a ? " Aᵀ" : " A") << (transpose_b ? " Bᵀ" : " B") << " pads "
      << pad_a << " " << pad_b << " " << pad_c << " shift " << shift << " alpha " << alpha << " beta " << beta
      << (bias ? " bias" : "") << (relu ? " relu" : "") << (mask ? " mask" : "")
      << (row_sums ? " row sums" : "") << (c_is_bf16 ? " C in bfloat16" : "")
      << (few_bits ? "" : " of many bits");
  return out.str();
}

bool check_product(const gemm::Kernel& kernel, const Problem& q, const gemm::Chip& chip) {
  const Matrices x(q, kernel.arithmetic == gemm::Arithmetic::bf16);
  const gemm::Arguments arguments = x.arguments(q);
  if (!kernel.supports(arguments)) return false;
  const std::string about = std::string(kernel.name) + " " + q.text() + " on " +
                            std::to_string(chip.multiprocessors) + " multiprocessors: ";
  const Outcome outcome = run_once(kernel, arguments, x, chip);
  EXPECT_TRUE(outcome == run_once(kernel, arguments, x, chip)) << about << "other bits the second time";

  const auto a = dense(x.a, q.m, q.k, !q.transpose_a), b = dense(x.b, q.n, q.k, q.transpose_b);
  const double product_error = product_error_of(kernel.arithmetic, q.few_bits);
  EXPECT_EQ("", first_error(x.c, outcome.c,
                            [&](std::int64_t i, std::int64_t j) {
                              return expected_c(q, x, a, b, product_error, i, j);
                            }))
      << about << "C";
  const auto row_sum = [&](std::int64_t, std::int64_t i) {
    if (!q.row_sums) return Expected{x.row_sums(0, i), 0};
    double sum = 0, magnitude = 0;
    for (std::int64_t k = 0; k < q.k; ++k) {
      sum += a[i * q.k + k];
      magnitude += std::abs(a[i * q.k + k]);
    }
    return scaled(q, sum, magnitude, 0, x.row_sums(0, i));
  };
  if (q.row_sums)
    EXPECT_EQ("", first_error(x.row_sums, outcome.row_sums, row_sum)) << about << "row sums";
  else
    EXPECT_TRUE(outcome.row_sums == x.row_sums.bytes) << about << "row sums were not asked for";
  return true;
}

}  // namespace partita::tests
