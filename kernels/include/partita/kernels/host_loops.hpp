/// What back-ends on the host do alike, as plain loops: too little work to be worth more than one version.
#pragma once

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <stdexcept>
#include <vector>

#include "partita/kernels/backend.hpp"

namespace partita::kernels::host {

/// Whether `count` evenly spaced values are all finite.
template <class T>
bool some_finite(std::span<const T> values, std::int64_t count) {
  const auto n = static_cast<std::int64_t>(values.size());
  const std::int64_t stride = std::max<std::int64_t>(1, n / std::max<std::int64_t>(1, count));
  bool finite = true;
  for (std::int64_t i = 0; i < n; i += stride)
    finite = finite && std::isfinite(values[static_cast<std::size_t>(i)]);
  return finite;
}

/// What the gradient of an update is multiplied by.
inline double factor_of(const Update& on) { return on.scale.empty() ? 1 : on.scale.as<double>()[1]; }

/// What the learning rate of an update is multiplied by.
inline double trust_of(const OptimizerSpec& optimizer, const Update& on) {
  if (on.squares.empty()) return 1;
  const auto squares = on.squares.as<double>();
  return kernels::trust_of(optimizer, std::sqrt(squares[0]), factor_of(on) * std::sqrt(squares[1]));
}

/// Does `update`, which writes `written`, unless this step or an earlier one is not finite, as
/// `Backend::update` says; `read` is the gradient, where it is looked at.
template <class T, class Body>
void update_if_finite(const Update& on, ConstView read, View written, Body update) {
  if (*on.non_finite_step >= 0 || factor_of(on) == 0) return;
  const auto are_finite = [](ConstView values) {
    return std::ranges::all_of(values.as<double>(), [](double value) { return std::isfinite(value); });
  };
  const bool is_finite = std::isfinite(on.sums.as<double>()[0]) &&
                         (on.scale.empty() || are_finite(on.scale)) &&
                         (on.squares.empty() || are_finite(on.squares)) &&
                         (read.empty() || some_finite(read.as<T>(), looked_at));
  if (is_finite) update();
  if (!is_finite || !some_finite(std::span<const T>(written.as<T>()), looked_at))
    *on.non_finite_step = on.step->step;
}

inline void add_rows(ConstView rows, View total) {
  const auto all = rows.as<double>();
  const auto sums = total.as<double>();
  for (std::size_t column = 0; column < sums.size(); ++column) {
    double sum = 0;
    for (std::size_t i = column; i < all.size(); i += sums.size())
      sum += all[i];
    sums[column] = sum;
  }
}

inline void clip(std::int64_t parts, ConstView squares, double limit, View scale) {
  const auto all = squares.as<double>();
  const auto count = static_cast<std::size_t>(parts);
  double sum = 0;
  for (std::size_t part = 0; part < count; ++part)
    for (std::size_t i = part; i < all.size(); i += count)
      sum += all[i];
  const double norm = std::sqrt(sum);
  scale.as<double>()[0] = norm;
  scale.as<double>()[1] = clip_factor(norm, limit);
}

inline void store_square(double sum, View to, Write write) {
  double& target = to.as<double>()[0];
  target = write == Write::accumulate ? target + sum : sum;
}

template <class T>
void gather(ConstView table, std::int64_t columns, ConstView indices, ConstView scale, ConstView shift,
            View out) {
  const auto from = [&](auto rows, auto to, auto convert) {
    std::size_t at = 0;
    for (const std::int64_t index : indices.as<std::int64_t>())
      for (std::int64_t j = 0; j < columns; ++j, ++at)
        to[at] = convert(rows[static_cast<std::size_t>(index * columns + j)], j);
  };
  if (table.type() == DataType::int32)
    return from(table.as<std::int32_t>(), out.as<std::int32_t>(),
                [](std::int32_t v, std::int64_t) { return v; });
  static constexpr double one = 1, zero = 0;
  const auto scales = scale.empty() ? std::span(&one, 1) : scale.as<double>();
  const auto shifts = shift.empty() ? std::span(&zero, 1) : shift.as<double>();
  const auto pixels = columns / static_cast<std::int64_t>(scales.size());
  const auto scaled = [&](auto value, std::int64_t j) {
    const auto c = static_cast<std::size_t>(j / pixels);
    return static_cast<T>(static_cast<T>(value) * static_cast<T>(scales[c]) + static_cast<T>(shifts[c]));
  };
  if (table.type() == DataType::uint8) return from(table.as<std::uint8_t>(), out.as<T>(), scaled);
  from(table.as<float>(), out.as<T>(), scaled);
}

inline void store_sums(const LossSums& sums, View to) {
  to.as<double>()[0] = sums.loss;
  to.as<double>()[1] = static_cast<double>(sums.correct);
}

/// Grain g enters the tree at the level popcount(g); as many levels close as g has trailing ones.
inline void add_sums(ConstView parts, bool in_tree, View total) {
  const auto values = parts.as<double>();
  double levels[32] = {}, loss = 0, correct = 0;
  for (std::size_t i = 0; i < values.size() / 2; ++i) {
    correct += values[2 * i + 1];
    loss += values[2 * i];
    auto level = static_cast<std::size_t>(std::popcount(i));
    levels[level] = values[2 * i];
    for (int carries = std::countr_one(i); carries > 0; --carries, --level)
      levels[level - 1] += levels[level];
  }
  total.as<double>()[0] = in_tree ? levels[0] : loss;
  total.as<double>()[1] = correct;
}

}  // namespace partita::kernels::host
