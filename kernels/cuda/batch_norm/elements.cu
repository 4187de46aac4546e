/// Batch normalisation element by element: y of x, and dx of dy (and x).
///
/// No more than five operations of float32 an element. µ is taken as two floats, and x − µ first of all:
/// where a channel lies far from 0 its values keep their digits. Traffic: forward reads X and writes Y, the
/// data gradient reads X and dY (dY alone through running moments) and writes dX. Not measured here yet.
#include <limits>

#include "batch_norm/columns.hpp"
#include "batch_norm/passes.hpp"

namespace partita::kernels::cuda::batch_norm {
namespace {

/// A double as the sum of two floats.
struct TwoFloats {
  float high, low;
};
__device__ __forceinline__ TwoFloats two_floats(double value) {
  const auto high = static_cast<float>(value);
  return {high, static_cast<float>(value - static_cast<double>(high))};
}
/// Exact but for the last rounding where x is near the value.
__device__ __forceinline__ float minus(float x, const TwoFloats& value) {
  return (x - value.high) - value.low;
}
__device__ __forceinline__ double or_else(const float* values, int channel, double otherwise) {
  return values == nullptr ? otherwise : static_cast<double>(values[channel]);
}

/// y of x.
struct Normalisation {
  static constexpr bool reads_dy = false;
  struct Channel {
    TwoFloats mean;
    float scale, shift;
  };
  Moments moments;
  Affine affine;
  float least;  ///< that y may be
  __device__ Channel of(int channel) const {
    const auto [mean, inverse_deviation] = moments.of(channel);
    return {two_floats(mean), static_cast<float>(inverse_deviation * or_else(affine.weight, channel, 1)),
            static_cast<float>(or_else(affine.bias, channel, 0))};
  }
  __device__ float operator()(const Channel& c, float x, float) const {
    const float y = fmaf(minus(x, c.mean), c.scale, c.shift);
    return y < least ? least : y;  // NaN stays
  }
};

/// dx of x and dy, through the moments of a batch.
struct GradientThroughBatch {
  static constexpr bool reads_dy = true;
  struct Channel {
    TwoFloats mean;
    float mean_gradient, slope, scale;
  };
  Moments moments;
  const double* gradient_sums;
  const float* weight;
  __device__ Channel of(int channel) const {
    const auto [mean, inverse_deviation] = moments.of(channel);
    const double n = static_cast<double>(moments.count);
    return {two_floats(mean), static_cast<float>(gradient_sums[channel] / n),
            static_cast<float>(inverse_deviation * gradient_sums[moments.channels + channel] / n),
            static_cast<float>(inverse_deviation * or_else(weight, channel, 1))};
  }
  __device__ float operator()(const Channel& c, float x, float dy) const {
    return c.scale * fmaf(-minus(x, c.mean), c.slope, dy - c.mean_gradient);
  }
};

/// dx of dy where the moments are running ones.
struct GradientThroughRunning {
  static constexpr bool reads_dy = false;
  struct Channel {
    float scale;
  };
  Moments moments;
  const float* weight;
  __device__ Channel of(int channel) const {
    return {static_cast<float>(moments.of(channel).inverse_deviation * or_else(weight, channel, 1))};
  }
  __device__ float operator()(const Channel& c, float dy, float) const { return c.scale * dy; }
};

/// out = map(x, dy), element by element. No view is written that is read, so that rows are read ahead.
template <bool by_fours, class Map>
__global__ void __launch_bounds__(block_threads)
    transform(const Geometry g, const Map map, const float* __restrict__ x, const float* __restrict__ dy,
              float* __restrict__ out) {
  __shared__ typename Map::Channel channels[tile_columns];
  const Tile tile = tile_at(g, static_cast<int>(blockIdx.x));
  const auto own = own_channels<by_fours>(g, tile, map, channels);
  for_rows<by_fours, Map>(g, tile, [&](std::int64_t at) {
    const Four values = load<by_fours>(x + at, tile);
    const Four gradients = Map::reads_dy ? load<by_fours>(dy + at, tile) : values;
    Four result;
#pragma unroll
    for (int k = 0; k < own_columns; ++k)
      result.of[k] = map(own.of[k], values.of[k], gradients.of[k]);
    store<by_fours>(result, out + at, tile);
  });
}

template <class Map>
void issue(const Geometry& g, const Map& map, const float* x, const float* dy, float* out,
           cudaStream_t stream) {
  launch(by_fours(g, x, dy, out) ? transform<true, Map> : transform<false, Map>, blocks(g), stream, g, map, x,
         dy, out);
}

}  // namespace

void normalise(const Geometry& g, const Moments& moments, const Affine& affine, bool relu, const float* x,
               float* y, cudaStream_t stream) {
  const float least = relu ? 0.0F : -std::numeric_limits<float>::infinity();
  issue(g, Normalisation{moments, affine, least}, x, nullptr, y, stream);
}

void gradient_through_batch(const Geometry& g, const Moments& moments, const double* gradient_sums,
                            const float* weight, const float* x, const float* dy, float* dx,
                            cudaStream_t stream) {
  issue(g, GradientThroughBatch{moments, gradient_sums, weight}, x, dy, dx, stream);
}

void gradient_through_running(const Geometry& g, const Moments& moments, const float* weight, const float* dy,
                              float* dx, cudaStream_t stream) {
  issue(g, GradientThroughRunning{moments, weight}, dy, nullptr, dx, stream);
}

}  // namespace partita::kernels::cuda::batch_norm
