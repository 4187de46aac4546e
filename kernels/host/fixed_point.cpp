/// Loops that the compiler vectorises. A power of two changes no bit of a mantissa: the one rounding is that
/// to a whole number.
#include "partita/kernels/fixed_point.hpp"

#include <algorithm>
#include <cmath>

namespace partita::kernels {
namespace {

template <class T>
Fit to_fixed_point(std::span<const T> x, double scale, double largest, std::int32_t* whole) {
  std::int64_t fitting = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    const double value = std::nearbyint(static_cast<double>(x[i]) * scale);
    const bool fits = std::fabs(value) <= largest;
    fitting += fits;
    whole[i] = static_cast<std::int32_t>(fits ? value : 0);
  }
  if (fitting == static_cast<std::int64_t>(x.size())) return Fit::all;
  return std::ranges::all_of(x, [](T value) { return std::isfinite(value); }) ? Fit::too_large
                                                                              : Fit::not_finite;
}

template <class T>
void from_fixed_point(std::span<const std::int32_t> whole, double scale, T* x) {
  for (std::size_t i = 0; i < whole.size(); ++i)
    x[i] = static_cast<T>(static_cast<double>(whole[i]) * scale);
}

}  // namespace

Fit to_fixed_point(ConstView x, int f, std::int64_t largest, View whole) {
  const double scale = std::ldexp(1, f);
  const auto bound = static_cast<double>(largest);
  auto* const to = whole.as<std::int32_t>().data();
  if (x.type() == DataType::float64) return to_fixed_point(x.as<double>(), scale, bound, to);
  return to_fixed_point(x.as<float>(), scale, bound, to);
}

void from_fixed_point(ConstView whole, int f, View x) {
  const double scale = std::ldexp(1, -f);
  const auto from = whole.as<std::int32_t>();
  if (x.type() == DataType::float64) return from_fixed_point(from, scale, x.as<double>().data());
  from_fixed_point(from, scale, x.as<float>().data());
}

}  // namespace partita::kernels
