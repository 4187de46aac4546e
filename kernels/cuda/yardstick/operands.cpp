/// Which elements of a product are checked (all of a small one, corners and random ones of a large one), and
/// how far they may lie from the sums in double.
#include "operands.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <random>

#include "launch.hpp"

namespace partita::kernels::cuda::yardstick {
namespace {

constexpr double all_below = 1 << 24;  ///< multiply-adds of a product of which all elements are checked
constexpr std::int64_t checked_elements = 4096;  ///< of a larger one

/// A matrix fetched to the host, float32 or bfloat16.
class Fetched {
 public:
  Fetched(const void* from, std::int64_t n, bool bf16, cudaStream_t stream)
      : bf16_(bf16), bytes_(static_cast<std::size_t>(n) * (bf16 ? 2 : 4)) {
    if (n == 0) return;
    check(cudaMemcpyAsync(bytes_.data(), from, bytes_.size(), cudaMemcpyDeviceToHost, stream),
          "cudaMemcpyAsync");
    check(cudaStreamSynchronize(stream), "cudaStreamSynchronize");
  }
  [[nodiscard]] double operator[](std::int64_t i) const {
    return bf16_ ? std::bit_cast<float>(static_cast<std::uint32_t>(at<std::uint16_t>(i)) << 16)
                 : at<float>(i);
  }
  [[nodiscard]] double mean_magnitude() const {
    const std::int64_t n = static_cast<std::int64_t>(bytes_.size()) / (bf16_ ? 2 : 4);
    double sum = 0;
    for (std::int64_t i = 0; i < n; ++i)
      sum += std::abs((*this)[i]);
    return n == 0 ? 0 : sum / static_cast<double>(n);
  }

 private:
  template <class T>
  [[nodiscard]] T at(std::int64_t i) const {
    return reinterpret_cast<const T*>(bytes_.data())[i];
  }
  bool bf16_;
  std::vector<std::byte> bytes_;
};

/// Indices of C to look at: all, or random ones with the four corners.
std::vector<std::int64_t> chosen(const gemm::Arguments& p) {
  const std::int64_t size = p.m * p.n;
  std::vector<std::int64_t> indices;
  if (static_cast<double>(size) * static_cast<double>(p.k) <= all_below || size <= checked_elements) {
    for (std::int64_t i = 0; i < size; ++i)
      indices.push_back(i);
    return indices;
  }
  indices = {0, p.n - 1, size - p.n, size - 1};
  std::mt19937_64 generator(1);
  std::uniform_int_distribution<std::int64_t> any(0, size - 1);
  while (static_cast<std::int64_t>(indices.size()) < checked_elements)
    indices.push_back(any(generator));
  return indices;
}

/// Sums in float32 err by at most 8·ε·k typical products. TF32 operands lose up to 2⁻¹⁰ of themselves, each
/// in a direction of its own, so that k products lose √k of that: 32 times the product of both losses is
/// beyond eight standard deviations. A result in bfloat16 loses 2⁻⁸ of itself, here of six standard
/// deviations.
/// Tensor cores cut off what does not fit behind a sum instead of rounding it (so does an H200), and what is
/// lost does not cancel: in the mean half a unit of 2⁻²³ of the sum so far, here of up to four standard
/// deviations, each time that 16 products are added (of TF32: 8). Over all of them that is two thirds of k /
/// 16 times the loss at the end.
double allowance(const gemm::Arguments& p, gemm::Arithmetic arithmetic, double typical_product) {
  const double k = static_cast<double>(p.k), root = std::sqrt(k);
  double units = 8.0 * std::numeric_limits<float>::epsilon() * k;
  const double additions =
      arithmetic == gemm::Arithmetic::fp32 ? 0 : k / (arithmetic == gemm::Arithmetic::tf32 ? 8 : 16);
  units += additions * 0x1p-24 * 4 * root * 2 / 3 / 0.6366;
  if (arithmetic == gemm::Arithmetic::tf32) units += 32 * 0x1p-10 * root / 2;
  if (p.c_is_bf16) units += 6 * 0x1p-8 * root / 0.6366;
  return units * typical_product;
}

}  // namespace

ExpectedElements::ExpectedElements(const gemm::Arguments& p, gemm::Arithmetic arithmetic, cudaStream_t stream)
    : size_(p.m * p.n), c_is_bf16_(p.c_is_bf16) {
  const bool bf16 = arithmetic == gemm::Arithmetic::bf16;
  const Fetched a(p.a, p.m * p.k, bf16, stream), b(p.b, p.k * p.n, bf16, stream);
  allowed_ = allowance(p, arithmetic, a.mean_magnitude() * b.mean_magnitude());
  for (const auto index : chosen(p)) {
    const std::int64_t row = index / p.n, column = index % p.n;
    double sum = 0;
    for (std::int64_t k = 0; k < p.k; ++k)
      sum += a[p.transpose_a ? k * p.m + row : row * p.k + k] *
             b[p.transpose_b ? column * p.k + k : k * p.n + column];
    elements_.push_back({index, sum});
  }
}

double ExpectedElements::error_of(const void* c, cudaStream_t stream) const {
  const Fetched result(c, size_, c_is_bf16_, stream);
  double worst = 0;
  for (const auto& element : elements_) {
    const double difference = std::abs(result[element.index] - element.value);
    if (!std::isfinite(difference)) return std::numeric_limits<double>::infinity();
    worst = std::max(worst, difference);
  }
  return allowed_ > 0 ? worst / allowed_ : worst;
}

}  // namespace partita::kernels::cuda::yardstick
