/// Sums of batch normalisation over the values of each channel.
///
/// They are added in float64, in an order that depends on the shape only: a thread the rows of a column, then
/// the block its warps, then the columns of a channel; where several blocks have parts of a channel a second
/// launch adds those. Traffic: X once, for gradient sums also dY; 16 bytes for each channel of a block.
/// Arithmetic: each element that is read is converted, and 2 operations of float64 follow in statistics, 1½
/// in gradient sums (3 for x and dy). Not measured here yet.
#include "batch_norm/columns.hpp"
#include "batch_norm/passes.hpp"

namespace partita::kernels::cuda::batch_norm {
namespace {

/// What is added up of (x, dy): two sums, the second one times a factor of the channel at the end.
struct StatisticsTerms {
  static constexpr bool reads_dy = false;
  struct Channel {};
  __device__ Channel of(int) const { return {}; }
  __device__ static void add(Channel, float x, float, double& first, double& second) {
    const auto value = static_cast<double>(x);
    first += value;
    second = fma(value, value, second);
  }
  __device__ static double factor(Channel) { return 1; }
};

struct GradientTerms {
  static constexpr bool reads_dy = true;
  using Channel = Moments::Normal;
  Moments moments;
  __device__ Channel of(int channel) const { return moments.of(channel); }
  __device__ static void add(const Channel& c, float x, float dy, double& first, double& second) {
    const auto gradient = static_cast<double>(dy);
    first += gradient;
    second = fma(gradient, static_cast<double>(x) - c.mean, second);
  }
  __device__ static double factor(const Channel& c) { return c.inverse_deviation; }
};

/// Warps add by shuffles alone.
constexpr double* no_room = nullptr;

/// Two sums of each warp and column of a block.
using ColumnSums = double[block_warps][2][tile_columns];
static_assert(block_threads == 2 * tile_columns);

/// Puts the sums of the block's channels where its parts belong: a thread adds the warps of a column, then a
/// warp the columns of a channel, or a thread where channels are many and so have few columns.
template <class Terms>
__device__ void fold(const Geometry& g, const Tile& tile,
                     const typename Terms::Channel (&channels)[tile_columns], ColumnSums& sums,
                     const Parts& parts) {
  const int thread = static_cast<int>(threadIdx.x);
  double& total = sums[0][thread / tile_columns][thread % tile_columns];
#pragma unroll
  for (int w = 1; w < block_warps; ++w)
    total += sums[w][thread / tile_columns][thread % tile_columns];
  __syncthreads();
  const int threads = 2 * tile.channels <= warp_threads ? warp_threads : 1;
  for (int i = thread / threads; i < 2 * tile.channels; i += block_threads / threads) {
    const int which = i < tile.channels ? 0 : 1, channel = i - which * tile.channels;
    const Range columns = columns_of(g, tile, tile.first_channel + channel);
    double sum = 0;
    for (int column = columns.begin + thread % threads; column < columns.end; column += threads)
      sum += sums[0][which][column];
    if (threads > 1) sum = Group<warp_threads>::reduce(sum, Sum(), no_room);
    if (thread % threads == 0)
      parts.at(static_cast<int>(blockIdx.y), which, static_cast<int>(blockIdx.x),
               tile.first_channel + channel) = which == 0 ? sum : sum * Terms::factor(channels[channel]);
  }
}

template <bool by_fours, class Terms>
__global__ void __launch_bounds__(block_threads)
    add_up(const Geometry g, const Terms terms, const float* x, const float* dy, const Parts parts) {
  __shared__ typename Terms::Channel channels[tile_columns];
  __shared__ ColumnSums sums;
  const Tile tile = tile_at(g, static_cast<int>(blockIdx.x));
  const auto own = own_channels<by_fours>(g, tile, terms, channels);
  double first[own_columns] = {}, second[own_columns] = {};
  for_rows<by_fours, Terms>(g, tile, [&](std::int64_t at) {
    const Four values = load<by_fours>(x + at, tile);
    const Four gradients = Terms::reads_dy ? load<by_fours>(dy + at, tile) : values;
#pragma unroll
    for (int k = 0; k < own_columns; ++k)
      Terms::add(own.of[k], values.of[k], gradients.of[k], first[k], second[k]);
  });
#pragma unroll
  for (int k = 0; k < own_columns; ++k) {
    sums[warp()][0][own_column<by_fours>(k)] = first[k];
    sums[warp()][1][own_column<by_fours>(k)] = second[k];
  }
  __syncthreads();
  fold<Terms>(g, tile, channels, sums, parts);
}

/// sums [2, channels]: a thread or a warp adds the parts of each.
template <int Threads>
__global__ void __launch_bounds__(block_threads)
    add_parts(const Geometry g, const Parts parts, double* sums) {
  using Result = Group<Threads>;
  const int i = static_cast<int>(blockIdx.x) * Result::rows + Result::row();
  const int which = i < g.channels ? 0 : 1, channel = i - which * g.channels;
  const Range tiles = channel < g.channels ? tiles_of(g, channel) : Range{0, 0};
  const int of_chunk = tiles.end - tiles.begin;
  double sum = 0;
#pragma unroll 4
  for (int part = Result::lane(); part < g.chunks * of_chunk; part += Threads)
    sum += parts.at(part / of_chunk, which, tiles.begin + part % of_chunk, channel);
  sum = Result::reduce(sum, Sum(), no_room);
  if (Result::lane() == 0 && channel < g.channels) sums[i] = sum;
}

template <int Threads>
void issue_parts(const Geometry& g, const Parts& parts, double* sums, cudaStream_t stream) {
  constexpr int at_once = Group<Threads>::rows;
  launch(add_parts<Threads>,
         {.grid = dim3((2 * static_cast<unsigned>(g.channels) + at_once - 1) / at_once),
          .block = dim3(block_threads)},
         stream, g, parts, sums);
}

template <class Terms>
void issue(const Geometry& g, const Terms& terms, const float* x, const float* dy, double* sums, double* room,
           cudaStream_t stream) {
  const bool whole = has_whole_channels(g);
  const Parts parts = whole ? whole_sums(g, sums) : parts_in(g, room);
  launch(by_fours(g, x, dy) ? add_up<true, Terms> : add_up<false, Terms>, blocks(g), stream, g, terms, x, dy,
         parts);
  if (whole) return;
  const bool few = g.chunks * most_tiles_of_a_channel(g) <= 8;
  (few ? issue_parts<1> : issue_parts<warp_threads>)(g, parts, sums, stream);
}

}  // namespace

void add_statistics(const Geometry& g, const float* x, double* sums, double* parts, cudaStream_t stream) {
  issue(g, StatisticsTerms(), x, nullptr, sums, parts, stream);
}

void add_gradients(const Geometry& g, const Moments& moments, const float* x, const float* dy, double* sums,
                   double* parts, cudaStream_t stream) {
  issue(g, GradientTerms{moments}, x, dy, sums, parts, stream);
}

}  // namespace partita::kernels::cuda::batch_norm
