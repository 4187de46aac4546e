/// One block of random bytes, and one of random numbers, cut into samples anew for each network.
#include "samples.hpp"

#include <algorithm>
#include <cstring>

#include "partita/kernels/philox.hpp"

namespace partita::calibrate {
namespace {

constexpr std::int64_t most_samples = 60'000;

std::uint64_t bits(std::uint64_t index) {
  return kernels::random_bits(kernels::random_stream(1, kernels::RandomPurpose::synthetic_data, 0), index);
}

void grow(std::vector<std::uint8_t>& bytes, std::int64_t size) {
  std::size_t at = bytes.size();
  if (static_cast<std::int64_t>(at) >= size) return;
  bytes.resize(static_cast<std::size_t>(size));
  for (; at + sizeof(std::uint64_t) <= bytes.size(); at += sizeof(std::uint64_t)) {
    const auto word = bits(at);
    std::memcpy(bytes.data() + at, &word, sizeof word);
  }
}

/// Within ±1.
void grow(std::vector<float>& numbers, std::int64_t size) {
  std::size_t at = numbers.size();
  if (static_cast<std::int64_t>(at) >= size) return;
  numbers.resize(static_cast<std::size_t>(size));
  for (; at < numbers.size(); ++at)
    numbers[at] = static_cast<float>(static_cast<std::int64_t>(bits(at) >> 40) - (1 << 23)) * 0x1p-23F;
}

/// Reads all, a cache line at a time: a training's samples have just been read when it begins, while those of
/// a network that came minutes ago the host may have put away.
template <class T>
void visit(const std::vector<T>& values) {
  constexpr std::size_t line = 64 / sizeof(T);
  for (std::size_t i = 0; i < values.size(); i += line)
    [[maybe_unused]] const volatile T read = values[i];
}

}  // namespace

const data::Dataset& Samples::of(const model::ModelSpec& model, std::int64_t batch) {
  const bool images = model.input.rank() == 3, classifies = model.loss == model::Loss::cross_entropy;
  const auto elements = model.input.elements().value(),
             outputs = model.layers.back().output.elements().value();
  const auto fitting = bytes_ / (elements * (images ? 1 : 4));
  const auto samples = std::max(batch, std::min(fitting, most_samples));
  // A set has either images or features, and either labels or targets; what it has not waits here.
  if (!set_.images.empty()) set_.images.swap(images_);
  if (!set_.features.empty()) set_.features.swap(features_);
  if (!set_.targets.empty()) set_.targets.swap(targets_);
  set_.labels.clear();
  if (images)
    grow(images_, samples * elements), set_.images.swap(images_);
  else
    grow(features_, samples * elements), set_.features.swap(features_);
  if (classifies) {
    for (std::int64_t i = 0; i < samples; ++i)
      set_.labels.push_back(static_cast<std::int32_t>(bits(static_cast<std::uint64_t>(i)) %
                                                      static_cast<std::uint64_t>(outputs)));
  } else {
    grow(targets_, samples * outputs), set_.targets.swap(targets_);
  }
  visit(set_.images);
  visit(set_.features);
  set_.samples = kernels::Samples(samples);
  set_.sample_shape = model.input;
  set_.task = classifies ? data::Task::classification : data::Task::regression;
  set_.classes = classifies ? outputs : 0;
  set_.target_shape = classifies ? kernels::Shape{} : kernels::Shape{outputs};
  return set_;
}

}  // namespace partita::calibrate
