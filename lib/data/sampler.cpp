/// Fisher–Yates with counted random numbers: the draw for place i of an epoch is a function of (seed, epoch,
/// i).
#include "partita/data/sampler.hpp"

#include <limits>
#include <numeric>
#include <utility>

#include "partita/base/error.hpp"
#include "partita/kernels/philox.hpp"

namespace partita::data {
namespace {

/// bits · n / 2⁶⁴: uniform in [0, n) up to a bias of n / 2⁶⁴.
std::int64_t scale_to(std::uint64_t bits, std::int64_t n) {
  __extension__ using Wide = unsigned __int128;
  return static_cast<std::int64_t>((static_cast<Wide>(bits) * static_cast<Wide>(n)) >> 64);
}

}  // namespace

Sampler::Sampler(SamplerOptions options) : options_(options) {
  base::expect(options_.samples >= kernels::Samples(0), "a sampler has samples", options_.samples);
  order_.resize(static_cast<std::size_t>(options_.samples.value()));
  std::iota(order_.begin(), order_.end(), std::int64_t{0});
}

std::span<const std::int64_t> Sampler::order(std::int64_t epoch) {
  base::expect(epoch >= 0 && epoch <= std::numeric_limits<std::uint32_t>::max(), "an epoch fits into 32 bits",
               epoch);
  if (options_.shuffle && epoch != epoch_) shuffle(epoch);
  epoch_ = epoch;
  return order_;
}

void Sampler::shuffle(std::int64_t epoch) {
  using kernels::RandomPurpose;
  const auto stream =
      kernels::random_stream(options_.seed, RandomPurpose::shuffle, static_cast<std::uint32_t>(epoch));
  std::iota(order_.begin(), order_.end(), std::int64_t{0});
  for (auto i = options_.samples.value() - 1; i > 0; --i) {
    const auto bits = kernels::random_bits(stream, static_cast<std::uint64_t>(i));
    std::swap(order_[static_cast<std::size_t>(i)], order_[static_cast<std::size_t>(scale_to(bits, i + 1))]);
  }
}

}  // namespace partita::data
