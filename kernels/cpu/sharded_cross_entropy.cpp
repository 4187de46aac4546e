/// Softmax cross-entropy over classes that are cut into shards: exponentials in float32, sums in double.
#include <cmath>
#include <limits>
#include <stdexcept>

#include "elementwise.hpp"

namespace partita::kernels::cpu {
namespace {

constexpr float lowest = -std::numeric_limits<float>::infinity();
constexpr std::size_t per_sample = 3;

/// What all shards together know of a sample.
struct Whole {
  float largest;
  double total;  ///< Σ exp(logit − largest)
  double loss;
  bool correct;
};

/// Not inlined, so that every shard runs the same instructions and gets the same bits.
[[gnu::noinline]] Whole combine(const float* statistics, std::size_t batch,
                                std::span<const std::int64_t> class_offsets, std::int64_t label) {
  const std::size_t shards = class_offsets.size() - 1, step = batch * per_sample;
  Whole whole{.largest = lowest, .total = 0, .loss = 0, .correct = false};
  for (std::size_t s = 0; s < shards; ++s)
    if (statistics[s * step] > whole.largest) whole.largest = statistics[s * step];
  std::size_t owner = shards;
  bool lower_shard_as_large = false;
  for (std::size_t s = 0; s < shards; ++s) {
    const float* shard = statistics + s * step;
    // An empty shard adds 0 · exp(−∞ − largest) = 0.
    whole.total += std::abs(static_cast<double>(shard[1])) *
                   std::exp(static_cast<double>(shard[0]) - static_cast<double>(whole.largest));
    if (label >= class_offsets[s] && label < class_offsets[s + 1]) owner = s;
    if (owner == shards && class_offsets[s] < class_offsets[s + 1])
      lower_shard_as_large |= shard[0] == whole.largest;
  }
  if (owner == shards) throw std::out_of_range("a label is no class of any shard");
  const float* mine = statistics + owner * step;
  whole.loss = std::log(whole.total) + (static_cast<double>(whole.largest) - static_cast<double>(mine[2]));
  whole.correct = mine[2] == whole.largest && !std::signbit(mine[1]) && !lower_shard_as_large;
  return whole;
}

}  // namespace

void cross_entropy_statistics(const LogitsShard& shard, std::span<const float> logits,
                              std::span<const std::int32_t> labels, std::span<float> statistics) {
  const auto width = static_cast<std::size_t>(shard.classes);
  for (std::size_t i = 0; i < static_cast<std::size_t>(shard.batch); ++i) {
    const float* __restrict row = logits.data() + i * width;
    float largest = lowest;
    for (std::size_t j = 0; j < width; ++j)
      largest = row[j] > largest ? row[j] : largest;
    const float shift = largest == lowest ? 0.0F : largest;
    double total = 0;
    for (std::size_t j = 0; j < width; ++j)
      total += static_cast<double>(std::exp(row[j] - shift));
    float picked = 0;
    const std::int64_t label = labels[i] - shard.first_class;
    if (label >= 0 && label < shard.classes) {
      picked = row[label];
      bool tied = false;
      for (std::int64_t j = 0; j < label; ++j)
        tied |= row[j] == picked;
      if (tied) total = -total;
    }
    float* const out = statistics.data() + i * per_sample;
    out[0] = largest, out[1] = static_cast<float>(total), out[2] = picked;
  }
}

LossSums cross_entropy_finish(const LogitsShard& shard, std::span<const std::int64_t> class_offsets,
                              std::span<const float> statistics, std::span<const float> logits,
                              std::span<const std::int32_t> labels, double gradient_scale,
                              std::span<float> dlogits) {
  const auto batch = static_cast<std::size_t>(shard.batch), width = static_cast<std::size_t>(shard.classes);
  if (class_offsets.empty() || statistics.size() != (class_offsets.size() - 1) * batch * per_sample)
    throw std::logic_error("statistics are not [shards, batch, 3]");
  LossSums sums;
  for (std::size_t i = 0; i < batch; ++i) {
    const Whole whole = combine(statistics.data() + i * per_sample, batch, class_offsets, labels[i]);
    sums.loss += whole.loss;
    sums.correct += whole.correct;
    if (dlogits.empty()) continue;
    const float* __restrict row = logits.data() + i * width;
    float* __restrict out = dlogits.data() + i * width;
    const float scale = static_cast<float>(gradient_scale / whole.total);
    for (std::size_t j = 0; j < width; ++j)
      out[j] = std::exp(row[j] - whole.largest) * scale;
    const std::int64_t label = labels[i] - shard.first_class;
    if (label >= 0 && label < shard.classes) out[label] -= static_cast<float>(gradient_scale);
  }
  return sums;
}

}  // namespace partita::kernels::cpu
