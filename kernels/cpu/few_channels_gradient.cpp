/// Weight gradient as sums of outer products over all pixels: one side (filters, or values of a window's row)
/// in the lanes, a few values of the other broadcast, all sums in registers.
#include <algorithm>
#include <cstring>

#include "few_channels.hpp"
#include "lanes.hpp"

namespace partita::kernels::cpu {
namespace {

/// Filters (or values of a window row) are broadcast together: with up to 5 vectors the sums fit 32
/// registers.
using own_loops::group;

}  // namespace

/// Steps between pixels and rows of the side in the lanes and of the side that is broadcast, in elements.
struct OuterProductGradient::Walk {
  std::int64_t height, width;
  std::int64_t lane_row, lane_pixel, scalar_row, scalar_pixel;
  std::int64_t scalar_next;  ///< from one window row to the next
};

namespace {

/// sums[r][f][v] += lanes[v] · scalars[r][f] over all pixels of a sample; R·F·V registers. Lanes past the end
/// of a window row or of the filters gather values that nobody reads.
template <int V, int R, int F, class Walk>
void accumulate(const float* lanes, const float* scalars, const Walk& w, float* sums) {
  // Copied one by one: an array whose address is taken would live in memory, not in registers.
  Lanes sum[R * F * V];
#pragma GCC unroll 25
  for (int i = 0; i < R * F * V; ++i)
    sum[i] = load(sums + i * width);
  for (std::int64_t y = 0; y < w.height; ++y) {
    const float* l = lanes + y * w.lane_row;
    const float* s = scalars + y * w.scalar_row;
    for (std::int64_t x = 0; x < w.width; ++x, l += w.lane_pixel, s += w.scalar_pixel) {
      Lanes value[V];
#pragma GCC unroll 4
      for (int v = 0; v < V; ++v)
        value[v] = load(l + v * width);
#pragma GCC unroll 5
      for (int r = 0; r < R; ++r)
#pragma GCC unroll 5
        for (int f = 0; f < F; ++f)
#pragma GCC unroll 4
          for (int v = 0; v < V; ++v)
            sum[(r * F + f) * V + v] += value[v] * s[r * w.scalar_next + f];
    }
  }
#pragma GCC unroll 25
  for (int i = 0; i < R * F * V; ++i)
    std::memcpy(sums + i * width, &sum[i], sizeof(Lanes));
}

template <class Walk>
using Kernel = void (*)(const float*, const float*, const Walk&, float*);

template <int V, int R, class Walk>
Kernel<Walk> with_group(std::int64_t f) {
  static constexpr Kernel<Walk> all[] = {accumulate<V, R, 1, Walk>, accumulate<V, R, 2, Walk>,
                                         accumulate<V, R, 3, Walk>, accumulate<V, R, 4, Walk>,
                                         accumulate<V, R, 5, Walk>};
  static_assert(std::size(all) == group);
  return all[f - 1];
}

template <class Walk>
Kernel<Walk> select(std::int64_t v, std::int64_t r, std::int64_t f) {
  if (v == 1) {
    switch (r) {
      case 1:
        return with_group<1, 1, Walk>(f);
      case 2:
        return with_group<1, 2, Walk>(f);
      case 3:
        return with_group<1, 3, Walk>(f);
      case 4:
        return with_group<1, 4, Walk>(f);
      default:
        return with_group<1, 5, Walk>(f);
    }
  }
  return v == 2 ? with_group<2, 1, Walk>(f) : v == 3 ? with_group<3, 1, Walk>(f) : with_group<4, 1, Walk>(f);
}

}  // namespace

OuterProductGradient::OuterProductGradient(const ConvolutionShape& s, int threads)
    : s_(s), threads_(threads) {
  const std::int64_t row = s.kernel.w * s.channels;
  filters_in_lanes_ = row <= group;
  vectors_ = ceil_divide(filters_in_lanes_ ? s.filters : row, width);
  blocks_ = filters_in_lanes_ ? 1 : s.kernel.h * ceil_divide(s.filters, group);
}

OuterProductGradient::Walk OuterProductGradient::walk() const {
  const std::int64_t x_row = s_.width * s_.channels, y_row = s_.out_width() * s_.filters;
  Walk w{.height = s_.out_height(),
         .width = s_.out_width(),
         .lane_row = x_row * s_.stride.h,
         .lane_pixel = s_.channels * s_.stride.w,
         .scalar_row = y_row,
         .scalar_pixel = s_.filters,
         .scalar_next = x_row};
  if (filters_in_lanes_) {
    std::swap(w.lane_row, w.scalar_row);
    std::swap(w.lane_pixel, w.scalar_pixel);
  }
  return w;
}

/// Sums by block, then the last sample of the side in the lanes, which is read up to a block of lanes past
/// its end.
std::size_t OuterProductGradient::workspace() const {
  const std::int64_t sums = blocks_ * group * group * vectors_ * width;
  const std::int64_t sample =
      std::max(s_.height * s_.width * s_.channels, s_.out_height() * s_.out_width() * s_.filters);
  return static_cast<std::size_t>(sums + sample + 4 * width) * sizeof(float);
}

void OuterProductGradient::run(const float* x, const float* dy, float* dweight, Write write,
                               std::byte* workspace) const {
  const std::int64_t x_sample = s_.height * s_.width * s_.channels,
                     y_sample = s_.out_height() * s_.out_width() * s_.filters;
  const float* lanes = filters_in_lanes_ ? dy : x;
  const float* scalars = filters_in_lanes_ ? x : dy;
  const std::int64_t lane_sample = filters_in_lanes_ ? y_sample : x_sample,
                     scalar_sample = filters_in_lanes_ ? x_sample : y_sample;
  const std::int64_t block_sums = group * group * vectors_ * width;
  float* const sums = reinterpret_cast<float*>(workspace);
  float* const last = sums + blocks_ * block_sums;
  std::memset(sums, 0, static_cast<std::size_t>(blocks_ * block_sums) * sizeof(float));
  std::memcpy(last, lanes + (s_.batch - 1) * lane_sample,
              static_cast<std::size_t>(lane_sample) * sizeof(float));
  const Walk w = walk();
  const std::int64_t groups = ceil_divide(s_.filters, group);
  // Blocks are independent, so that the result does not depend on the number of threads.
#pragma omp parallel for num_threads(threads_) schedule(static) if (threads_ > 1)
  for (std::int64_t part = 0; part < std::min<std::int64_t>(threads_, blocks_); ++part) {
    const std::int64_t parts = std::min<std::int64_t>(threads_, blocks_);
    for (std::int64_t n = 0; n < s_.batch; ++n) {
      const float* l = n + 1 == s_.batch ? last : lanes + n * lane_sample;
      const float* s = scalars + n * scalar_sample;
      for (std::int64_t block = part * blocks_ / parts; block < (part + 1) * blocks_ / parts; ++block) {
        if (filters_in_lanes_) {
          select<Walk>(vectors_, s_.kernel.h, s_.kernel.w * s_.channels)(l, s, w, sums);
        } else {
          const std::int64_t row = block / groups, first = block % groups * group;
          select<Walk>(vectors_, 1, std::min(group, s_.filters - first))(
              l + row * s_.width * s_.channels, s + first, w, sums + block * block_sums);
        }
      }
    }
  }
  unpack(sums, dweight, write);
}

void OuterProductGradient::unpack(const float* sums, float* dweight, Write write) const {
  const std::int64_t row = s_.kernel.w * s_.channels, lanes = vectors_ * width;
  const std::int64_t groups = ceil_divide(s_.filters, group), block_sums = group * group * lanes;
  for (std::int64_t k = 0; k < s_.filters; ++k)
    for (std::int64_t c = 0; c < s_.channels; ++c)
      for (std::int64_t i = 0; i < s_.kernel.h; ++i)
        for (std::int64_t j = 0; j < s_.kernel.w; ++j, ++dweight) {
          const std::int64_t value = j * s_.channels + c;
          const float sum = filters_in_lanes_
                                ? sums[(i * row + value) * lanes + k]
                                : sums[(i * groups + k / group) * block_sums + k % group * lanes + value];
          *dweight = write == Write::accumulate ? *dweight + sum : sum;
        }
}

}  // namespace partita::kernels::cpu
