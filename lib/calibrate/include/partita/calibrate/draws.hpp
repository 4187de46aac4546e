/// Random numbers for shapes and sizes: the same on every rank, since they depend on a seed and on how many
/// were drawn.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <span>

#include "partita/kernels/philox.hpp"

namespace partita::calibrate {

class Draws {
 public:
  /// What `which` is drawn from is independent of what others are.
  Draws(std::uint64_t seed, std::uint32_t which)
      : stream_(kernels::random_stream(seed, kernels::RandomPurpose::synthetic_data, which)) {}

  /// In [0, 1).
  double uniform() { return kernels::random_uniform(stream_, drawn_++); }
  bool chance(double probability) { return uniform() < probability; }
  /// In [0, n).
  std::int64_t below(std::int64_t n) { return static_cast<std::int64_t>(uniform() * static_cast<double>(n)); }
  /// In [least, most], the logarithm evenly.
  std::int64_t log_uniform(std::int64_t least, std::int64_t most) {
    const double low = std::log(static_cast<double>(least)), high = std::log(static_cast<double>(most) + 1);
    const auto drawn = static_cast<std::int64_t>(std::exp(low + uniform() * (high - low)));
    return std::min(std::max(drawn, least), most);
  }
  template <class T>
  void shuffle(std::span<T> items) {
    for (std::size_t i = items.size(); i > 1; --i)
      std::swap(items[i - 1], items[static_cast<std::size_t>(below(static_cast<std::int64_t>(i)))]);
  }

 private:
  kernels::RandomStream stream_;
  std::uint64_t drawn_ = 0;
};

}  // namespace partita::calibrate
