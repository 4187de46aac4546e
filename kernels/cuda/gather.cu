/// Rows of a table picked by index: samples of a data set that lives on the device become a batch, converted
/// and normalised on the way, each channel by its own numbers. One block row a sample, the elements of a
/// channel along the threads.
#include <limits>

#include "issue.hpp"
#include "vectors.hpp"

namespace partita::kernels::cuda {
namespace {

struct Normalisation {
  float scale, shift;
};

template <class In>
__device__ float converted(In value, Normalisation by) {
  return fmaf(static_cast<float>(value), by.scale, by.shift);
}
__device__ std::int32_t converted(std::int32_t value, Normalisation) { return value; }

template <class In, class Out>
__global__ void pick(std::int64_t table_rows, const In* table, ChannelScales by, std::int64_t rows,
                     const std::int64_t* indices, Out missing, Out* out) {
  const std::int64_t columns = by.channels * by.pixels;
  for (std::int64_t c = blockIdx.z; c < by.channels; c += gridDim.z) {
    const Normalisation of_channel{by.scale ? static_cast<float>(by.scale[c]) : 1.0f,
                                   by.shift ? static_cast<float>(by.shift[c]) : 0.0f};
    for (std::int64_t i = blockIdx.y; i < rows; i += gridDim.y) {
      const std::int64_t row = indices[i];
      const bool present = row >= 0 && row < table_rows;
      const In* from = table + (present ? row : 0) * columns + c * by.pixels;
      for (std::int64_t j = thread_index(); j < by.pixels; j += thread_count())
        out[i * columns + c * by.pixels + j] = present ? converted(from[j], of_channel) : missing;
    }
  }
}

}  // namespace

template <class In, class Out>
void gather(std::int64_t table_rows, const In* table, const ChannelScales& by, std::int64_t rows,
            const std::int64_t* indices, Out* out, cudaStream_t stream) {
  if (rows == 0 || by.channels * by.pixels == 0) return;
  const bool real = std::numeric_limits<Out>::has_quiet_NaN;
  const Out missing = real ? std::numeric_limits<Out>::quiet_NaN() : static_cast<Out>(-1);
  const auto at_most = [](std::int64_t n) { return static_cast<unsigned>(std::min<std::int64_t>(n, 65535)); };
  const dim3 grid(blocks_for(by.pixels, 1024), at_most(rows), at_most(by.channels));
  launch(pick<In, Out>, {.grid = grid, .block = dim3(elementwise_threads)}, stream, table_rows, table, by,
         rows, indices, missing, out);
}

template void gather(std::int64_t, const std::uint8_t*, const ChannelScales&, std::int64_t,
                     const std::int64_t*, float*, cudaStream_t);
template void gather(std::int64_t, const float*, const ChannelScales&, std::int64_t, const std::int64_t*,
                     float*, cudaStream_t);
template void gather(std::int64_t, const std::int32_t*, const ChannelScales&, std::int64_t,
                     const std::int64_t*, std::int32_t*, cudaStream_t);

}  // namespace partita::kernels::cuda
