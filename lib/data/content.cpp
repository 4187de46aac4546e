/// What is derived from samples alone: moments and digests.

#include <array>
#include <cmath>
#include <string>

#include "partita/base/digest.hpp"
#include "partita/base/error.hpp"
#include "partita/data/dataset.hpp"

namespace partita::data {
namespace {

/// From a histogram: exact sums, so the moments do not depend on an order of adding.
Moments moments_of_images(const std::vector<std::uint8_t>& images) {
  std::array<std::int64_t, 256> count{};
  for (const auto value : images)
    ++count[value];
  double sum = 0, squares = 0;
  for (std::size_t v = 0; v < count.size(); ++v) {
    const auto value = static_cast<double>(v), times = static_cast<double>(count[v]);
    sum += times * value;
    squares += times * value * value;
  }
  const auto n = static_cast<double>(images.size());
  const double mean = sum / n, variance = std::max(0.0, squares / n - mean * mean);
  return {.mean = mean / 255, .stddev = std::sqrt(variance) / 255};
}

Moments moments_of_features(const std::vector<float>& features) {
  double sum = 0, squares = 0;
  for (const auto value : features)
    sum += value;
  const auto n = static_cast<double>(features.size());
  const double mean = sum / n;
  for (const auto value : features)
    squares += (value - mean) * (value - mean);
  return {.mean = mean, .stddev = std::sqrt(squares / n)};
}

template <class T>
void update(base::Sha256& digest, const std::vector<T>& values) {
  digest.update(std::as_bytes(std::span(values)));
}

}  // namespace

Moments moments_of(const Dataset& set) {
  base::expect(!set.images.empty() || !set.features.empty(), "moments are of some samples");
  return set.features.empty() ? moments_of_images(set.images) : moments_of_features(set.features);
}

void update_digest(Dataset& set) {
  base::Sha256 digest;
  digest.update(std::string("partita data set\n") +
                (set.task == Task::classification ? "classification " : "regression ") +
                std::to_string(set.samples.value()) + " of " + kernels::to_string(set.sample_shape) + " to " +
                kernels::to_string(set.target_shape) + "\n");
  update(digest, set.images);
  update(digest, set.features);
  update(digest, set.labels);
  update(digest, set.targets);
  set.sha256 = digest.hex();
}

}  // namespace partita::data
