/// The set `random`: features are standard normal draws, each a function of (seed, sample, element), so that
/// any part can be drawn alone. Classes are those that a random linear teacher scores highest; targets are
/// drawn.
#include <algorithm>

#include "partita/data/synthetic.hpp"
#include "partita/kernels/host_pages.hpp"

namespace partita::data {
namespace {

constexpr std::uint32_t input_stream = 16, target_stream = 17, teacher_stream = 18;

kernels::RandomStream stream_of(std::uint64_t seed, std::uint32_t which) {
  return kernels::random_stream(seed, kernels::RandomPurpose::synthetic_data, which);
}

/// [count, width] normal draws of samples [first, first + count).
std::vector<float> draw_normal(kernels::RandomStream stream, std::int64_t first, std::int64_t count,
                               std::int64_t width) {
  std::vector<float> values;
  kernels::reserve_huge_pages(values, static_cast<std::size_t>(count * width));
  values.resize(static_cast<std::size_t>(count * width));
  for (std::int64_t i = 0; i < count * width; ++i)
    values[static_cast<std::size_t>(i)] =
        static_cast<float>(kernels::random_normal(stream, static_cast<std::uint64_t>(first * width + i)));
  return values;
}

/// argmax_k Σ_j teacher[k, j]·x[j] for each sample; ties go to the lowest class.
std::vector<std::int32_t> teach(const Dataset& set, const std::vector<float>& teacher) {
  const auto width = static_cast<std::size_t>(set.sample_elements().value());
  std::vector<std::int32_t> labels(static_cast<std::size_t>(set.samples.value()));
  for (std::size_t i = 0; i < labels.size(); ++i) {
    double best = 0;
    for (std::int64_t k = 0; k < set.classes; ++k) {
      const float* weights = teacher.data() + static_cast<std::size_t>(k) * width;
      const float* x = set.features.data() + i * width;
      double score = 0;
      for (std::size_t j = 0; j < width; ++j)
        score += static_cast<double>(weights[j]) * x[j];
      if (k == 0 || score > best) {
        best = score;
        labels[i] = static_cast<std::int32_t>(k);
      }
    }
  }
  return labels;
}

}  // namespace

Dataset make_random(const RandomOptions& options, std::uint64_t seed, kernels::Samples first,
                    kernels::Samples count) {
  Dataset set{.name = "random", .task = options.task, .samples = count, .sample_shape = options.features};
  const auto width = set.sample_elements().value();
  set.features = draw_normal(stream_of(seed, input_stream), first.value(), count.value(), width);
  if (options.task == Task::regression) {
    set.target_shape = options.targets;
    set.targets = draw_normal(stream_of(seed, target_stream), first.value(), count.value(),
                              options.targets.elements().value());
  } else {
    set.classes = options.classes;
    set.labels = teach(set, draw_normal(stream_of(seed, teacher_stream), 0, options.classes, width));
  }
  return set;
}

}  // namespace partita::data
