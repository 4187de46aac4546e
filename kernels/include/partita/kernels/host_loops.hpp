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

/// Does `update` unless this step or an earlier one is not finite, as `Backend::update` says.
template <class T, class Update>
void update_if_finite(const StepValues& step, ConstView sums, View w, ConstView g,
                      std::int64_t* non_finite_step, Update update) {
  if (*non_finite_step >= 0) return;
  if (!std::isfinite(sums.as<double>()[0]) || !some_finite(g.as<T>(), looked_at)) {
    *non_finite_step = step.step;
    return;
  }
  update();
  if (!some_finite(std::span<const T>(w.as<T>()), looked_at)) *non_finite_step = step.step;
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
