/// Follows the blocks of kernels/cpu/few_channels_*.cpp.
#include "partita/kernels/few_channels.hpp"

#include <algorithm>

namespace partita::kernels {
namespace {

constexpr std::int64_t lanes = 16, flops_of_vector = 2 * lanes;
/// Sums under way at once that keep two pipelines of four cycles busy.
constexpr std::int64_t filling_sums = 8;
/// Filters, or values of a window row, whose gradients are summed up together.
constexpr std::int64_t together = 5;

std::int64_t vectors_of(std::int64_t values) { return (values + lanes - 1) / lanes; }

bool is_plain(const ConvolutionShape& s) {
  return s.layout == Layout::nhwc && s.padding == Extent2(0) && s.batch > 0;
}

}  // namespace

double flops_of_own_forward(const ConvolutionShape& s) {
  if (!is_plain(s) || s.filters > 2 * lanes || s.channels >= lanes) return 0;
  const auto vectors = vectors_of(s.filters);
  const std::int64_t wide = vectors == 1 ? 12 : 8, narrow = 4;  // pixels of a block
  const auto sums = [&](std::int64_t pixels) { return std::max(pixels * vectors, filling_sums); };
  const auto rest = s.out_width() % wide;
  const auto of_row =
      s.out_width() / wide * sums(wide) + rest / narrow * sums(narrow) + rest % narrow * sums(1);
  const auto window = s.kernel.h * s.kernel.w * s.channels;
  return static_cast<double>(s.batch * s.out_height() * of_row * window * flops_of_vector);
}

double flops_of_own_gradient(const ConvolutionShape& s) {
  if (!is_plain(s)) return 0;
  const auto row = s.kernel.w * s.channels, pixels = s.out_height() * s.out_width();
  // A block of lanes may reach past a sample into the next one, not past that.
  const bool small_window =
      s.filters <= lanes && row <= together && s.kernel.h <= together && pixels * s.filters >= lanes;
  const bool wide_rows = row > lanes / 2 && row <= 4 * lanes && s.channels < lanes;
  if (!small_window && !wide_rows) return 0;
  std::int64_t of_pixel = 0;
  if (row <= together) {
    of_pixel = std::max(s.kernel.h * row * vectors_of(s.filters), filling_sums);
  } else {
    for (std::int64_t first = 0; first < s.filters; first += together)
      of_pixel += std::max(std::min(together, s.filters - first) * vectors_of(row), filling_sums);
    of_pixel *= s.kernel.h;
  }
  return static_cast<double>(s.batch * pixels * of_pixel * flops_of_vector);
}

}  // namespace partita::kernels
