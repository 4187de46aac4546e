/// Dropout: y = x where this sample's draw of the logical element says so, scaled, else 0. A draw is
/// Philox4x32-10 of (seed, layer, logical element), so a shard draws what the whole would have drawn; nothing
/// is kept for the backward pass, which draws again.
///
/// The host keeps an element where random_uniform(…) = bits·2⁻⁵³ ≥ p. Both sides of bits ≥ p·2⁵³ are exact in
/// float64, so comparing the integer bits with ⌈p·2⁵³⌉ decides the same without float64 arithmetic.
#include <cmath>
#include <stdexcept>

#include "issue.hpp"
#include "partita/kernels/philox.hpp"
#include "vectors.hpp"

namespace partita::kernels::cuda {
namespace {

/// How elements of a stored sample, in memory order, are numbered logically. 32-bit: divisions of 64 bits are
/// slow.
struct Numbering {
  std::uint32_t elements = 0;  ///< stored, of a sample
  std::uint32_t inner = 1;     ///< in memory order [outer, inner]
  std::int64_t outer_step = 0, inner_step = 0, first = 0, full_elements = 0;
};

__device__ std::int64_t logical_of(const Numbering& by, std::uint32_t i) {
  const std::uint32_t outer = i / by.inner, inner = i - outer * by.inner;
  return by.first + outer * by.outer_step + inner * by.inner_step;
}

__global__ void drop(Numbering by, std::int64_t batch, const StepValues* step, std::uint32_t layer,
                     std::int64_t first_sample, std::uint64_t threshold, float scale, const float* x,
                     float* y) {
  const RandomStream stream = random_stream(step->dropout_seed, RandomPurpose::dropout, layer);
  for (std::int64_t n = blockIdx.y; n < batch; n += gridDim.y) {
    const std::int64_t origin = (first_sample + n) * by.full_elements, at = n * by.elements;
    for (std::int64_t i = thread_index(); i < by.elements; i += thread_count()) {
      const std::int64_t logical = origin + logical_of(by, static_cast<std::uint32_t>(i));
      const bool kept = (random_bits(stream, static_cast<std::uint64_t>(logical)) >> 11) >= threshold;
      y[at + i] = kept ? x[at + i] * scale : 0.0F;
    }
  }
}

}  // namespace

void dropout(const DropoutShape& s, const StepValues* step, std::uint32_t layer, Samples first_sample,
             const float* x, float* y, cudaStream_t stream) {
  const std::int64_t pixels = s.height * s.width, elements = s.channels * pixels;
  if (elements > INT32_MAX) throw std::length_error("dropout of a sample of more than 2^31 elements");
  if (s.batch == 0 || elements == 0) return;
  // A flat tensor is one pixel in either layout.
  const bool planes = s.layout == Layout::nchw && pixels > 1;
  const std::int64_t plane = s.full_plane();
  const Numbering by{.elements = static_cast<std::uint32_t>(elements),
                     .inner = static_cast<std::uint32_t>(planes ? pixels : s.channels),
                     .outer_step = planes ? plane : 1,
                     .inner_step = planes ? 1 : plane,
                     .first = s.first_channel * plane + s.first_row * s.width,
                     .full_elements = s.full_elements()};
  const auto threshold = static_cast<std::uint64_t>(std::ceil(std::ldexp(s.probability, 53)));
  const auto scale = static_cast<float>(1.0 / (1.0 - s.probability));
  const dim3 grid(blocks_for(elements, 1024), static_cast<unsigned>(std::min<std::int64_t>(s.batch, 65535)));
  launch(drop, {.grid = grid, .block = dim3(elementwise_threads)}, stream, by, s.batch, step, layer,
         first_sample.value(), threshold, scale, x, y);
}

}  // namespace partita::kernels::cuda
