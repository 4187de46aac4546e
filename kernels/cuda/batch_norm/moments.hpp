/// What batch normalisation makes of a channel's sums: µ, σ² and 1/√(σ² + ε), in float64.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>

namespace partita::kernels::cuda::batch_norm {

struct MeanAndVariance {
  double mean, variance;
};

/// Of sums [2, channels].
__device__ __forceinline__ MeanAndVariance of_sums(const double* sums, std::int64_t count, int channels,
                                                   int channel) {
  const double n = static_cast<double>(count), mean = sums[channel] / n;
  const double variance = fma(-mean, mean, sums[channels + channel] / n);
  return {mean, variance < 0 ? 0 : variance};  // NaN stays
}

/// `BatchMoments` in device memory.
struct Moments {
  const double* sums = nullptr;
  std::int64_t count = 0;
  const float *running_mean = nullptr, *running_variance = nullptr;
  double epsilon = 0;
  int channels = 0;

  struct Normal {
    double mean, inverse_deviation;
  };
  /// Takes a root and divisions: once for a channel and block, never for an element.
  [[nodiscard]] __device__ Normal of(int channel) const {
    const auto [mean, variance] = count > 0 ? of_sums(sums, count, channels, channel)
                                            : MeanAndVariance{static_cast<double>(running_mean[channel]),
                                                              static_cast<double>(running_variance[channel])};
    return {mean, 1 / sqrt(variance + epsilon)};
  }
};

}  // namespace partita::kernels::cuda::batch_norm
