/// The order of an epoch's samples, as a function of (seed, epoch, number of samples) alone: no grid appears
/// in it, so every rank computes the same order and takes its share of each batch by cutting.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "partita/kernels/count.hpp"

namespace partita::data {

struct SamplerOptions {
  kernels::Samples samples;
  std::uint64_t seed = 1;
  bool shuffle = true;  ///< false: 0, 1, 2, … in every epoch
};

class Sampler {
 public:
  explicit Sampler(SamplerOptions);

  /// The permutation of [0, samples) of one epoch (counted from 0, below 2³²). Shuffled by Fisher and Yates'
  /// method with counter-based draws. Repeated calls for one epoch cost nothing; the span lives until another
  /// is asked for.
  std::span<const std::int64_t> order(std::int64_t epoch);

 private:
  void shuffle(std::int64_t epoch);

  SamplerOptions options_;
  std::int64_t epoch_ = -1;
  std::vector<std::int64_t> order_;
};

}  // namespace partita::data
