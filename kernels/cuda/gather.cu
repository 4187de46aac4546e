/// Rows of a table picked by index: samples of a data set that lives on the device become a batch, converted
/// and normalised on the way. One block row a sample, its elements along the threads.
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
__global__ void pick(std::int64_t table_rows, const In* table, std::int64_t columns, std::int64_t rows,
                     const std::int64_t* indices, Normalisation by, Out missing, Out* out) {
  for (std::int64_t i = blockIdx.y; i < rows; i += gridDim.y) {
    const std::int64_t row = indices[i];
    const bool present = row >= 0 && row < table_rows;
    for (std::int64_t j = thread_index(); j < columns; j += thread_count())
      out[i * columns + j] = present ? converted(table[row * columns + j], by) : missing;
  }
}

}  // namespace

template <class In, class Out>
void gather(std::int64_t table_rows, const In* table, std::int64_t columns, std::int64_t rows,
            const std::int64_t* indices, double scale, double shift, Out* out, cudaStream_t stream) {
  if (rows == 0 || columns == 0) return;
  const bool real = std::numeric_limits<Out>::has_quiet_NaN;
  const Out missing = real ? std::numeric_limits<Out>::quiet_NaN() : static_cast<Out>(-1);
  const dim3 grid(blocks_for(columns, 1024), static_cast<unsigned>(std::min<std::int64_t>(rows, 65535)));
  launch(pick<In, Out>, {.grid = grid, .block = dim3(elementwise_threads)}, stream, table_rows, table,
         columns, rows, indices, Normalisation{static_cast<float>(scale), static_cast<float>(shift)}, missing,
         out);
}

template void gather(std::int64_t, const std::uint8_t*, std::int64_t, std::int64_t, const std::int64_t*,
                     double, double, float*, cudaStream_t);
template void gather(std::int64_t, const float*, std::int64_t, std::int64_t, const std::int64_t*, double,
                     double, float*, cudaStream_t);
template void gather(std::int64_t, const std::int32_t*, std::int64_t, std::int64_t, const std::int64_t*,
                     double, double, std::int32_t*, cudaStream_t);

}  // namespace partita::kernels::cuda
