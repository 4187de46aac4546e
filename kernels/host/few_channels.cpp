/// Follows the blocks of kernels/cpu/few_channels_*.cpp.
#include "partita/kernels/few_channels.hpp"

#include <algorithm>

namespace partita::kernels {
namespace {

using own_loops::lanes, own_loops::group, own_loops::narrow, own_loops::wide;

constexpr std::int64_t flops_of_vector = 2 * lanes;
/// Sums under way at once that keep two pipelines of four cycles busy.
constexpr std::int64_t filling_sums = 8;

std::int64_t vectors_of(std::int64_t values) { return (values + lanes - 1) / lanes; }

bool is_plain(const ConvolutionShape& s) {
  return s.layout == Layout::nhwc && s.padding == Extent2(0) && s.batch > 0;
}

std::int64_t row_of(const ConvolutionShape& s) { return s.kernel.w * s.channels; }

}  // namespace

bool has_own_forward(const ConvolutionShape& s) {
  return is_plain(s) && s.filters <= 2 * lanes && s.channels < lanes;
}

bool has_own_gradient(const ConvolutionShape& s) {
  // A block of lanes may reach past a sample into the next one, not past that.
  const bool fills_a_vector = s.out_height() * s.out_width() * s.filters >= lanes;
  const bool small_window = s.filters <= lanes && row_of(s) <= group && s.kernel.h <= group && fills_a_vector;
  const bool wide_rows = row_of(s) > lanes / 2 && row_of(s) <= 4 * lanes && s.channels < lanes;
  return is_plain(s) && (small_window || wide_rows);
}

double flops_of_own_forward(const ConvolutionShape& s) {
  if (!has_own_forward(s)) return 0;
  const auto vectors = vectors_of(s.filters), block = wide(vectors), rest = s.out_width() % block;
  const auto sums = [&](std::int64_t pixels) { return std::max(pixels * vectors, filling_sums); };
  const auto of_row =
      s.out_width() / block * sums(block) + rest / narrow * sums(narrow) + rest % narrow * sums(1);
  return static_cast<double>(s.batch * s.out_height() * of_row * s.kernel.h * row_of(s) * flops_of_vector);
}

double flops_of_own_gradient(const ConvolutionShape& s) {
  if (!has_own_gradient(s)) return 0;
  std::int64_t of_pixel = 0;
  if (row_of(s) <= group) {
    of_pixel = std::max(s.kernel.h * row_of(s) * vectors_of(s.filters), filling_sums);
  } else {
    for (std::int64_t first = 0; first < s.filters; first += group)
      of_pixel += std::max(std::min(group, s.filters - first) * vectors_of(row_of(s)), filling_sums);
    of_pixel *= s.kernel.h;
  }
  return static_cast<double>(s.batch * s.out_height() * s.out_width() * of_pixel * flops_of_vector);
}

}  // namespace partita::kernels
