/// Data without files: handwriting-like `digits` and `random` numbers. Sample i is a pure function of (seed,
/// i).
#pragma once

#include <cstdint>
#include <span>

#include "partita/data/dataset.hpp"
#include "partita/kernels/philox.hpp"

namespace partita::data {

/// The stored extent of a digit's picture: 28 × 28, as MNIST's.
inline constexpr std::int64_t digit_extent = 28;

/// Class of sample `index`: every ten consecutive samples hold each digit once, in a drawn order.
std::int32_t digit_label(std::uint64_t seed, std::int64_t index);

/// Draws sample `index` into [28, 28]: the digit's strokes with displaced control points, an affine
/// distortion, stroke width, contrast and noise. Computed without library functions or contraction, so every
/// machine draws the same bytes.
void draw_digit(std::uint64_t seed, std::int64_t index, std::span<std::uint8_t> pixels);

/// Samples [first, first + count) of `digits`; mean and stddev are left at 0 and 1.
Dataset make_digits(std::uint64_t seed, kernels::Samples first, kernels::Samples count);

/// Samples [first, first + count) of `random`.
Dataset make_random(const RandomOptions&, std::uint64_t seed, kernels::Samples first, kernels::Samples count);

}  // namespace partita::data
