/// Counter-based random numbers: a draw is a pure function of (seed, stream, index), so a shard of a random
/// tensor is a slice of the whole one, on any grid.
///
/// Source: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011
/// (Philox4x32-10). What R123_CUDA_DEVICE marks may be called from CUDA kernels too, with the same bits.
#pragma once

#include <Random123/philox.h>

#include <cmath>
#include <cstdint>
#include <numbers>

namespace partita::kernels {

/// One of the independent sequences of a seed; modules number theirs in the high bits to stay apart.
struct RandomStream {
  std::uint64_t seed = 0;
  std::uint64_t stream = 0;
};

/// What a stream number is for; the low 32 bits are free for a layer, an epoch or a class.
enum class RandomPurpose : std::uint32_t {
  parameters = 1,
  shuffle = 2,
  dropout = 3,
  synthetic_data = 4,
  factors = 5
};

constexpr RandomStream random_stream(std::uint64_t seed, RandomPurpose purpose, std::uint32_t which) {
  return {seed, (static_cast<std::uint64_t>(purpose) << 32) | which};
}

/// Four independent 32-bit words for one counter value.
R123_CUDA_DEVICE inline r123::Philox4x32::ctr_type random_words(RandomStream s, std::uint64_t index) {
  const r123::Philox4x32::ctr_type counter{
      {static_cast<std::uint32_t>(index), static_cast<std::uint32_t>(index >> 32),
       static_cast<std::uint32_t>(s.stream), static_cast<std::uint32_t>(s.stream >> 32)}};
  const r123::Philox4x32::key_type key{
      {static_cast<std::uint32_t>(s.seed), static_cast<std::uint32_t>(s.seed >> 32)}};
  return r123::Philox4x32{}(counter, key);
}

/// 64 random bits.
R123_CUDA_DEVICE inline std::uint64_t random_bits(RandomStream s, std::uint64_t index) {
  const auto w = random_words(s, index);
  return (static_cast<std::uint64_t>(w[1]) << 32) | w[0];
}

/// Uniform in [0, 1) with 53 random bits.
R123_CUDA_DEVICE inline double random_uniform(RandomStream s, std::uint64_t index) {
  return static_cast<double>(random_bits(s, index) >> 11) * 0x1.0p-53;
}

/// Standard normal by Box and Muller, one draw an index.
inline double random_normal(RandomStream s, std::uint64_t index) {
  const auto w = random_words(s, index);
  const double u = (static_cast<double>(w[0]) + 0.5) * 0x1.0p-32;
  const double v = (static_cast<double>(w[1]) + 0.5) * 0x1.0p-32;
  return std::sqrt(-2.0 * std::log(u)) * std::cos(2.0 * std::numbers::pi * v);
}

}  // namespace partita::kernels
