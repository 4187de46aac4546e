/// Images are gathered sample by sample: consecutive indices are far apart in a shuffled epoch, so the next
/// sample is fetched into the cache while this one is converted. v ↦ v·scale + shift in one fused pass,
/// written once.

#include "partita/data/batch.hpp"

#include <algorithm>

#include "partita/base/error.hpp"

namespace partita::data {
namespace {

using kernels::DataType;
using kernels::Layout;

/// (v·unit − mean) / stddev.
struct Normalisation {
  double unit, mean, stddev;
};

/// Source channels-first [channels, pixels]; target the same, or [pixels, channels]. Where all channels are
/// treated alike and none moves, they are one.
struct SampleGeometry {
  std::int64_t channels, pixels;
  bool interleave;
};

/// What becomes of a channel's values; `unit` scales them before.
struct Conversion {
  double unit;
  const Moments& moments;

  [[nodiscard]] Normalisation of(std::int64_t channel) const {
    return {.unit = unit, .mean = moments.mean_of(channel), .stddev = moments.stddev_of(channel)};
  }
};

void convert(const std::uint8_t* source, std::int64_t n, std::int64_t stride, const Normalisation& by,
             float* out) {
  const auto scale = static_cast<float>(by.unit / by.stddev);
  const auto shift = static_cast<float>(-by.mean / by.stddev);
  if (stride == 1) {
    for (std::int64_t i = 0; i < n; ++i)
      out[i] = static_cast<float>(source[i]) * scale + shift;
  } else {
    for (std::int64_t i = 0; i < n; ++i)
      out[i * stride] = static_cast<float>(source[i]) * scale + shift;
  }
}

template <class From, class To>
void convert(const From* source, std::int64_t n, std::int64_t stride, const Normalisation& by, To* out) {
  for (std::int64_t i = 0; i < n; ++i)
    out[i * stride] = static_cast<To>((static_cast<double>(source[i]) * by.unit - by.mean) / by.stddev);
}

template <class From>
void prefetch(const From* sample, std::int64_t elements) {
  const auto* bytes = reinterpret_cast<const char*>(sample);
  const auto size = std::min<std::int64_t>(elements * static_cast<std::int64_t>(sizeof(From)), 4096);
  for (std::int64_t at = 0; at < size; at += 64)
    __builtin_prefetch(bytes + at);
}

template <class From, class To>
void gather(const std::vector<From>& samples, std::span<const std::int64_t> indices,
            const SampleGeometry& shape, const Conversion& by, std::span<To> x) {
  const auto elements = shape.channels * shape.pixels;
  To* out = x.data();
  for (std::size_t b = 0; b < indices.size(); ++b, out += elements) {
    const From* sample = samples.data() + indices[b] * elements;
    if (b + 1 < indices.size()) prefetch(samples.data() + indices[b + 1] * elements, elements);
    const auto stride = shape.interleave ? shape.channels : 1, step = shape.interleave ? 1 : shape.pixels;
    for (std::int64_t c = 0; c < shape.channels; ++c)
      convert(sample + c * shape.pixels, shape.pixels, stride, by.of(c), out + c * step);
  }
}

template <class To>
void gather_samples(const Dataset& set, std::span<const std::int64_t> indices, Layout layout,
                    std::span<To> x) {
  const auto channels = set.channels(), elements = set.sample_elements().value();
  const auto& moments = set.normalisation;
  const bool interleave = channels > 1 && layout == Layout::nhwc;
  const bool alike = !interleave && moments.mean.size() == 1 && moments.stddev.size() == 1;
  const SampleGeometry geometry{.channels = alike ? 1 : channels,
                                .pixels = alike ? elements : elements / channels,
                                .interleave = interleave};
  if (set.features.empty())
    gather(set.images, indices, geometry, {.unit = 1.0 / 255, .moments = moments}, x);
  else
    gather(set.features, indices, geometry, {.unit = 1, .moments = moments}, x);
}

template <class To>
void gather_targets(const Dataset& set, std::span<const std::int64_t> indices, std::span<To> y) {
  const auto n = set.target_shape.elements().value();
  for (std::size_t b = 0; b < indices.size(); ++b)
    std::copy_n(set.targets.data() + indices[b] * n, n, y.data() + static_cast<std::int64_t>(b) * n);
}

void require_in_set(const Dataset& set, std::span<const std::int64_t> indices) {
  for (const auto index : indices)
    base::expect(index >= 0 && index < set.samples.value(), "a batch's samples are in the set", index,
                 set.samples);
}

}  // namespace

void fill_samples(const Dataset& set, std::span<const std::int64_t> indices, Layout layout, kernels::View x) {
  base::expect(x.size() == static_cast<std::int64_t>(indices.size()) * set.sample_elements(),
               "a batch has as many elements as its samples", x.size(), indices.size());
  require_in_set(set, indices);
  if (indices.empty()) return;
  if (x.type() == DataType::float64) {
    gather_samples(set, indices, layout, x.as<double>());
  } else {
    base::expect(x.type() == DataType::float32, "a batch is float32 or float64");
    gather_samples(set, indices, layout, x.as<float>());
  }
}

void fill_answers(const Dataset& set, std::span<const std::int64_t> indices, kernels::View y) {
  require_in_set(set, indices);
  if (indices.empty()) return;
  const auto per_sample = set.task == Task::classification ? 1 : set.target_shape.elements().value();
  base::expect(y.size().value() == static_cast<std::int64_t>(indices.size()) * per_sample,
               "a batch's labels or targets have its size", y.size(), indices.size());
  if (set.task == Task::classification) {
    base::expect(y.type() == DataType::int32, "labels are int32");
    const auto labels = y.as<std::int32_t>();
    for (std::size_t b = 0; b < indices.size(); ++b)
      labels[b] = set.labels[static_cast<std::size_t>(indices[b])];
  } else if (y.type() == DataType::float64) {
    gather_targets(set, indices, y.as<double>());
  } else {
    base::expect(y.type() == DataType::float32, "targets are float32 or float64");
    gather_targets(set, indices, y.as<float>());
  }
}

}  // namespace partita::data
