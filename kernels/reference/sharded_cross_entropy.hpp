/// Softmax cross-entropy over classes that are cut into shards, in the two halves of the contract.
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <stdexcept>

#include "partita/kernels/backend.hpp"

namespace partita::kernels::reference {

/// One shard: the columns [first_class, first_class + classes) of the logits of a batch that is not empty.
template <class T>
struct ShardedCrossEntropy {
  std::int64_t batch, classes, first_class;
  static constexpr T lowest = -std::numeric_limits<T>::infinity();

  void statistics(ConstView logits, ConstView labels, std::span<T> out) const {
    for (std::int64_t i = 0; i < batch; ++i) {
      const auto row = row_of(logits, i);
      const auto label = label_of(labels, i) - first_class;
      const T largest =
          std::accumulate(row.begin(), row.end(), lowest, [](T a, T b) { return b > a ? b : a; });
      double total = 0;  // relative to the maximum, or to 0 if there is none: NaN must stay
      for (const T logit : row)
        total +=
            std::exp(static_cast<double>(logit) - (largest == lowest ? 0.0 : static_cast<double>(largest)));
      T picked = 0;
      if (label >= 0 && label < classes) {
        picked = row[static_cast<std::size_t>(label)];
        if (std::find(row.begin(), row.begin() + label, picked) != row.begin() + label) total = -total;
      }
      const auto at = static_cast<std::size_t>(3 * i);
      out[at] = largest, out[at + 1] = static_cast<T>(total), out[at + 2] = picked;
    }
  }

  LossSums finish(std::span<const std::int64_t> class_offsets, std::span<const T> statistics,
                  ConstView logits, ConstView labels, double gradient_scale, View dlogits) const {
    const auto shards = static_cast<std::int64_t>(class_offsets.size()) - 1;
    if (shards < 0 || static_cast<std::int64_t>(statistics.size()) != shards * batch * 3)
      throw std::logic_error("statistics are not [shards, batch, 3]");
    LossSums sums;
    for (std::int64_t i = 0; i < batch; ++i) {
      const auto at = [&](std::int64_t shard, std::int64_t which) {
        return statistics[static_cast<std::size_t>((shard * batch + i) * 3 + which)];
      };
      const auto label = label_of(labels, i);
      if (label < 0 || label >= class_offsets.back())
        throw std::out_of_range("a label is no class of any shard");
      const auto owner =
          std::upper_bound(class_offsets.begin(), class_offsets.end(), label) - class_offsets.begin() - 1;
      T largest = lowest;
      for (std::int64_t s = 0; s < shards; ++s)
        largest = at(s, 0) > largest ? at(s, 0) : largest;
      double total = 0;
      for (std::int64_t s = 0; s < shards; ++s)
        total += std::abs(static_cast<double>(at(s, 1))) *
                 std::exp(static_cast<double>(at(s, 0)) - static_cast<double>(largest));
      sums.loss += std::log(total) + static_cast<double>(largest) - static_cast<double>(at(owner, 2));
      bool correct = at(owner, 2) == largest && !std::signbit(at(owner, 1));
      for (std::int64_t s = 0; s < owner; ++s)
        if (class_offsets[static_cast<std::size_t>(s)] < class_offsets[static_cast<std::size_t>(s + 1)])
          correct = correct && at(s, 0) != largest;
      sums.correct += correct;
      if (dlogits.empty()) continue;
      const auto row = row_of(logits, i);
      const auto gradient = dlogits.as<T>().subspan(static_cast<std::size_t>(i * classes), row.size());
      for (std::size_t j = 0; j < row.size(); ++j) {
        const double p = std::exp(static_cast<double>(row[j]) - static_cast<double>(largest)) / total;
        const bool hot = static_cast<std::int64_t>(j) + first_class == label;
        gradient[j] = static_cast<T>((p - (hot ? 1.0 : 0.0)) * gradient_scale);
      }
    }
    return sums;
  }

 private:
  [[nodiscard]] std::span<const T> row_of(ConstView logits, std::int64_t i) const {
    if (classes == 0) return {};
    return logits.as<T>().subspan(static_cast<std::size_t>(i * classes), static_cast<std::size_t>(classes));
  }
  [[nodiscard]] static std::int64_t label_of(ConstView labels, std::int64_t i) {
    return labels.as<std::int32_t>()[static_cast<std::size_t>(i)];
  }
};

}  // namespace partita::kernels::reference
