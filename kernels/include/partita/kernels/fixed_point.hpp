/// Values as whole multiples of 2⁻ᶠ, whose sums are exact in any order, and mod 2³² under any masks. On the
/// host; float32 or float64.
#pragma once

#include "partita/kernels/view.hpp"

namespace partita::kernels {

/// The largest whole number of which so many sum up to less than 2³¹, whatever their signs.
constexpr std::int64_t largest_term(int terms) { return ((std::int64_t{1} << 31) - 1) / terms; }

/// Whether a whole number is near enough to each value.
enum class Fit { all, too_large, not_finite };

/// whole[i] = round(x[i] · 2ᶠ), of equally near ones the even; int32. Where that is above `largest` in
/// magnitude it is 0, and the result says so.
Fit to_fixed_point(ConstView x, int f, std::int64_t largest, View whole);

/// x[i] = whole[i] · 2⁻ᶠ.
void from_fixed_point(ConstView whole, int f, View x);

}  // namespace partita::kernels
