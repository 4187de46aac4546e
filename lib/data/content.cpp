/// What is derived from samples alone: moments and digests.

#include <algorithm>
#include <array>
#include <cmath>
#include <string>
#include <vector>

#include "partita/base/digest.hpp"
#include "partita/base/error.hpp"
#include "partita/data/dataset.hpp"

namespace partita::data {
namespace {

/// Samples [samples, channels, pixels].
struct Planes {
  std::size_t channels, pixels;
};

/// From histograms: exact sums, so the moments do not depend on an order of adding.
Moments moments_of_images(const std::vector<std::uint8_t>& images, const Planes& planes) {
  std::vector<std::array<std::int64_t, 256>> histograms(planes.channels);
  for (std::size_t at = 0; at < images.size();)
    for (auto& count : histograms)
      for (std::size_t i = 0; i < planes.pixels; ++i)
        ++count[images[at++]];
  Moments moments{.mean = {}, .stddev = {}};
  const std::size_t values = images.size() / planes.channels;
  const auto n = static_cast<double>(values);
  for (const auto& count : histograms) {
    double sum = 0, squares = 0;
    for (std::size_t v = 0; v < count.size(); ++v) {
      const auto value = static_cast<double>(v), times = static_cast<double>(count[v]);
      sum += times * value;
      squares += times * value * value;
    }
    const double mean = sum / n, variance = std::max(0.0, squares / n - mean * mean);
    moments.mean.push_back(mean / 255);
    moments.stddev.push_back(std::sqrt(variance) / 255);
  }
  return moments;
}

Moments moments_of_features(const std::vector<float>& features, const Planes& planes) {
  Moments moments{.mean = std::vector<double>(planes.channels),
                  .stddev = std::vector<double>(planes.channels)};
  const std::size_t values = features.size() / planes.channels;
  const auto n = static_cast<double>(values);
  const auto for_each = [&](auto add) {
    for (std::size_t at = 0; at < features.size();)
      for (std::size_t c = 0; c < planes.channels; ++c)
        for (std::size_t i = 0; i < planes.pixels; ++i)
          add(c, features[at++]);
  };
  for_each([&](std::size_t c, double value) { moments.mean[c] += value; });
  for (auto& mean : moments.mean)
    mean /= n;
  for_each([&](std::size_t c, double value) {
    moments.stddev[c] += (value - moments.mean[c]) * (value - moments.mean[c]);
  });
  for (auto& stddev : moments.stddev)
    stddev = std::sqrt(stddev / n);
  return moments;
}

template <class T>
void update(base::Sha256& digest, const std::vector<T>& values) {
  digest.update(std::as_bytes(std::span(values)));
}

}  // namespace

Moments moments_of(const Dataset& set) {
  base::expect(!set.images.empty() || !set.features.empty(), "moments are of some samples");
  const auto channels = set.channels();
  const Planes planes{.channels = static_cast<std::size_t>(channels),
                      .pixels = static_cast<std::size_t>(set.sample_elements().value() / channels)};
  return set.features.empty() ? moments_of_images(set.images, planes)
                              : moments_of_features(set.features, planes);
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
