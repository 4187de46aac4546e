/// Convolution of up to four channels, directly: the patch of the image and the filters in shared memory.
///
/// What it saves against the gathered product: with 9 to 100 taps a sum is over before a pipeline of slices
/// has filled, and each input would be copied to shared memory kernel.h·kernel.w times; here it is copied
/// once a block. A block has some rows of one sample and up to 64 filters, a thread four pixels and four or
/// eight filters: per tap it reads four inputs (neighbouring threads, neighbouring pixels) and one or two
/// vectors of filters (the same for most of a warp).
///
/// Traffic: X once, and the rows under the borders of blocks twice; Y once. Sums run over taps in order. Not
/// measured here yet.
#include "convolution/few_channels.hpp"
#include "launch.hpp"
#include "ptx/shared_memory.hpp"

namespace partita::kernels::cuda::convolution {
namespace {

constexpr int pixels_per_thread = DirectTiling::pixels_per_thread;

/// Shared memory: filters [taps][block_filters] (0 past the last), where each tap lies in the patch [taps],
/// the patch [channels][patch_height][patch_width] (0 in the padding).
struct Parts {
  float* filters;
  int* places;
  float* patch;
};

__device__ __forceinline__ void fill(const DirectForward& p, const Parts& shared, int sample, int first_row,
                                     int first_filter) {
  const int thread = static_cast<int>(threadIdx.x), threads = static_cast<int>(blockDim.x);
  for (int i = thread; i < p.block_filters * p.taps; i += threads) {
    const auto [filter, tap] = divide(i, p.all_taps);
    shared.filters[tap * p.block_filters + filter] =
        first_filter + filter < p.filters ? p.weight[(first_filter + filter) * p.taps + tap] : 0.0F;
  }
  for (int i = thread; i < p.taps; i += threads) {
    const auto [channel, position] = divide(i, p.window);
    const auto [row, column] = divide(position, p.window_row);
    shared.places[i] = (channel * p.patch_height + row) * p.patch_width + column;
  }
  const float* image = p.x + static_cast<std::int64_t>(sample) * p.channels * p.height * p.width;
  const int top = first_row * p.stride_h - p.padding_h;
  for (int i = thread; i < p.channels * p.patch_height * p.patch_width; i += threads) {
    const auto [channel, position] = divide(i, p.patch_plane);
    const auto [row, column] = divide(position, p.patch_row);
    const int h = top + row, w = column - p.padding_w;
    const bool present = h >= 0 && h < p.height && w >= 0 && w < p.width;
    shared.patch[i] = present ? image[(channel * p.height + h) * p.width + w] : 0.0F;
  }
}

/// Results of `Filters` filters from `filter` on, at pixels `pixel`, `pixel` + spacing, …
template <int Filters>
__device__ __forceinline__ void compute(const DirectForward& p, const Parts& shared, int pixel, int spacing,
                                        int pixels, int filter, int first_filter, float* out) {
  int corner[pixels_per_thread];
#pragma unroll
  for (int j = 0; j < pixels_per_thread; ++j) {
    const int inside = pixel + j * spacing < pixels ? pixel + j * spacing : 0;
    const auto [row, column] = divide(inside, p.row);
    corner[j] = row * p.stride_h * p.patch_width + column * p.stride_w;
  }
  float sum[Filters][pixels_per_thread] = {};
#pragma unroll 4
  for (int tap = 0; tap < p.taps; ++tap) {
    const float* input = shared.patch + shared.places[tap];
    const auto* factors = reinterpret_cast<const float4*>(shared.filters + tap * p.block_filters + filter);
    float value[pixels_per_thread];
#pragma unroll
    for (int j = 0; j < pixels_per_thread; ++j)
      value[j] = input[corner[j]];
#pragma unroll
    for (int i = 0; i < Filters; i += 4) {
      const float4 factor = factors[i / 4];
#pragma unroll
      for (int j = 0; j < pixels_per_thread; ++j) {
        sum[i][j] = fmaf(factor.x, value[j], sum[i][j]);
        sum[i + 1][j] = fmaf(factor.y, value[j], sum[i + 1][j]);
        sum[i + 2][j] = fmaf(factor.z, value[j], sum[i + 2][j]);
        sum[i + 3][j] = fmaf(factor.w, value[j], sum[i + 3][j]);
      }
    }
  }
  const auto plane = static_cast<std::int64_t>(p.out_height) * p.out_width;
#pragma unroll
  for (int i = 0; i < Filters; ++i) {
    if (first_filter + filter + i >= p.filters) break;
    const float bias = p.bias == nullptr ? 0.0F : p.bias[first_filter + filter + i];
#pragma unroll
    for (int j = 0; j < pixels_per_thread; ++j) {
      float result = sum[i][j] + bias;
      if (p.relu && result < 0.0F) result = 0.0F;
      if (pixel + j * spacing < pixels) out[(filter + i) * plane + pixel + j * spacing] = result;
    }
  }
}

template <int Filters>
__global__ void __launch_bounds__(256) few_channels(const DirectForward p) {
  auto* memory = ptx::shared_memory<float>();
  const Parts shared{memory, reinterpret_cast<int*>(memory + p.taps * p.block_filters),
                     memory + p.taps * (p.block_filters + 1)};
  const int first_row = static_cast<int>(blockIdx.x) * p.block_rows, sample = static_cast<int>(blockIdx.y);
  const int first_filter = static_cast<int>(blockIdx.z) * p.block_filters;
  fill(p, shared, sample, first_row, first_filter);
  __syncthreads();
  // The rows of a block lie one behind the other in Y, so its pixels are numbered through. A warp has
  // neighbours.
  const int rows = min(p.block_rows, p.out_height - first_row), pixels = rows * p.out_width;
  const int spacing = (pixels + pixels_per_thread - 1) / pixels_per_thread;
  const int groups = (min(p.block_filters, p.filters - first_filter) + Filters - 1) / Filters;
  float* out =
      p.y + ((static_cast<std::int64_t>(sample) * p.filters + first_filter) * p.out_height + first_row) *
                p.out_width;
  for (int work = static_cast<int>(threadIdx.x); work < groups * spacing;
       work += static_cast<int>(blockDim.x)) {
    const int group = work / spacing;
    compute<Filters>(p, shared, work - group * spacing, spacing, pixels, group * Filters, first_filter, out);
  }
}

}  // namespace

DirectForward direct_forward(const ConvolutionShape& s, const DirectTiling& tiling) {
  const auto window = s.kernel.h * s.kernel.w;
  return {.channels = static_cast<int>(s.channels),
          .height = static_cast<int>(s.height),
          .width = static_cast<int>(s.width),
          .filters = static_cast<int>(s.filters),
          .taps = static_cast<int>(s.channels * window),
          .out_height = static_cast<int>(s.out_height()),
          .out_width = static_cast<int>(s.out_width()),
          .stride_h = static_cast<int>(s.stride.h),
          .stride_w = static_cast<int>(s.stride.w),
          .padding_h = static_cast<int>(s.padding.h),
          .padding_w = static_cast<int>(s.padding.w),
          .block_rows = tiling.rows,
          .block_filters = tiling.filters,
          .patch_height = tiling.patch_height,
          .patch_width = tiling.patch_width,
          .relu = s.epilogue == Epilogue::relu,
          .all_taps = Divisor(s.channels * window),
          .window = Divisor(window),
          .window_row = Divisor(s.kernel.w),
          .row = Divisor(s.out_width()),
          .patch_row = Divisor(tiling.patch_width),
          .patch_plane = Divisor(tiling.patch_height * tiling.patch_width)};
}

void run(const DirectForward& p, const DirectTiling& tiling, std::int64_t batch, cudaStream_t stream) {
  const LaunchShape shape{.grid = dim3(static_cast<unsigned>(tiling.row_tiles), static_cast<unsigned>(batch),
                                       static_cast<unsigned>(tiling.filter_tiles)),
                          .block = dim3(static_cast<unsigned>(tiling.threads)),
                          .shared_bytes = static_cast<unsigned>(tiling.shared_bytes)};
  if (tiling.filters_per_thread == 4)
    launch(few_channels<4>, shape, stream, p);
  else
    launch(few_channels<8>, shape, stream, p);
}

}  // namespace partita::kernels::cuda::convolution
