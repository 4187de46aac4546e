/// From options to both halves of a data set, and everything that can be wrong on the way.

#include <algorithm>
#include <cmath>
#include <sstream>
#include <string>

#include "folder.hpp"
#include "partita/base/digest.hpp"
#include "partita/base/number.hpp"
#include "partita/data/synthetic.hpp"

namespace partita::data {
namespace {

using kernels::Samples;
using Violations = std::vector<base::Violation>;

/// Test samples of synthetic sets are drawn from here on, so that they do not move with the number before
/// them.
/// A multiple of ten, so that `digits` stay balanced.
constexpr Samples first_test_sample{most_samples + 1};
constexpr std::int64_t most_synthetic_elements = std::int64_t{1} << 36;

std::string number(double value) {
  std::ostringstream text;
  text << value;
  return text.str();
}

void check_samples(const char* key, std::optional<Samples> samples, Violations& violations) {
  if (samples && (*samples < Samples(1) || *samples >= first_test_sample))
    violations.push_back({.key = key,
                          .value = std::to_string(samples->value()),
                          .message = "must be from 1 to " + std::to_string(first_test_sample.value() - 1)});
}

void check_shape(const char* key, const kernels::Shape& shape, Violations& violations) {
  const auto extents = shape.extents();
  if (shape.rank() == 0 ||
      std::any_of(extents.begin(), extents.end(), [](auto n) { return n < 1 || n > most_extent; }))
    violations.push_back(
        {.key = key,
         .value = kernels::to_string(shape),
         .message = "must have 1 to 4 extents, each from 1 to " + std::to_string(most_extent)});
}

void check_classes(std::int64_t classes, Violations& violations) {
  if (classes < least_classes || classes > most_classes)
    violations.push_back(
        {.key = "data.classes",
         .value = std::to_string(classes),
         .message = "must be from " + std::to_string(least_classes) + " to " + std::to_string(most_classes)});
}

void check_random(const RandomOptions& random, Violations& violations) {
  check_shape("data.features", random.features, violations);
  if (random.task == Task::regression) check_shape("data.targets", random.targets, violations);
  if (random.task == Task::classification) check_classes(random.classes, violations);
}

void check_moments(const DataOptions& options, Violations& violations) {
  for (const double mean : options.mean)
    if (!std::isfinite(mean))
      violations.push_back({.key = "data.mean", .value = number(mean), .message = "must be finite"});
  for (const double stddev : options.stddev)
    if (!(std::isfinite(stddev) && stddev > 0))
      violations.push_back(
          {.key = "data.std", .value = number(stddev), .message = "must be above 0 and finite"});
}

RandomOptions random_options(const DataOptions& options) {
  auto random = options.random;
  random.classes = options.classes.value_or(random.classes);
  return random;
}

void check_options(const DataOptions& options, Violations& violations) {
  if (options.name.empty())
    violations.push_back(
        {.key = "data.name", .value = "", .message = "must name a data set: digits, random or a folder"});
  check_moments(options, violations);
  if (options.classes) check_classes(*options.classes, violations);
  check_samples("data.train-samples", options.train_samples, violations);
  check_samples("data.test-samples", options.test_samples, violations);
  check_samples("data.hold-out", options.hold_out, violations);
  if (options.hold_out && options.test_samples)
    violations.push_back({.key = "data.test-samples",
                          .value = std::to_string(options.test_samples->value()),
                          .message =
                              "is of the test set, in whose place data.hold-out puts training samples: "
                              "leave one of them out"});
  if (options.name == "random") check_random(random_options(options), violations);
}

/// Refuses synthetic sets that no memory holds.
void check_memory(const DataOptions& options, Violations& violations) {
  const auto samples =
      std::max(options.train_samples.value_or(Samples(0)), options.test_samples.value_or(Samples(0)));
  double elements = static_cast<double>(samples.value());
  if (options.name == "digits") {
    elements *= static_cast<double>(digit_extent * digit_extent);
  } else {
    double width = 1;
    for (const auto extent : options.random.features.extents())
      width *= static_cast<double>(extent);
    elements *= width;
  }
  if (elements > static_cast<double>(most_synthetic_elements))
    violations.push_back({.key = "data.train-samples",
                          .value = std::to_string(samples.value()),
                          .message = "asks for " + number(elements) + " numbers, at most " +
                                     std::to_string(most_synthetic_elements) + " are drawn"});
}

std::optional<DataPair> draw_digits(const DataOptions& options, Violations& violations) {
  DataPair pair{
      .train = make_digits(options.seed, Samples(0), options.train_samples.value_or(Samples(12000))),
      .test = make_digits(options.seed, first_test_sample, options.test_samples.value_or(Samples(2000))),
      .sha256 = ""};
  const auto classes = options.classes.value_or(pair.train.classes);
  if (classes < pair.train.classes) {
    violations.push_back({.key = "data.classes",
                          .value = std::to_string(classes),
                          .message = "digits have labels from 0 to 9; the nearest is 10"});
    return std::nullopt;
  }
  for (auto* set : {&pair.train, &pair.test}) {
    set->classes = classes;
    complete_class_names(*set);
  }
  return pair;
}

DataPair draw_random(const DataOptions& options) {
  const auto random = random_options(options);
  return {
      .train = make_random(random, options.seed, Samples(0), options.train_samples.value_or(Samples(100))),
      .test =
          make_random(random, options.seed, first_test_sample, options.test_samples.value_or(Samples(100))),
      .sha256 = ""};
}

/// One number for each channel of what was asked for, or of what was found.
std::vector<double> by_channel(const char* key, const std::vector<double>& asked,
                               const std::vector<double>& found, const Dataset& set, Violations& violations) {
  const auto channels = static_cast<std::size_t>(set.channels());
  const auto& chosen = asked.empty() ? found : asked;
  if (chosen.size() == channels) return chosen;
  if (chosen.size() == 1) return std::vector<double>(channels, chosen.front());
  violations.push_back({.key = key,
                        .value = to_string(chosen),
                        .message = "has " + std::to_string(chosen.size()) + " numbers, a sample of " +
                                   set.name + " has shape " + kernels::to_string(set.sample_shape) +
                                   ": give one number, or one for each channel; the nearest is " +
                                   std::to_string(channels)});
  return found;
}

/// The last `samples` of a column that holds `per_sample` values of each.
template <class T>
void move_last(std::vector<T>& from, std::vector<T>& to, std::int64_t samples, std::int64_t per_sample) {
  const auto values = from.empty() ? 0 : samples * per_sample;
  to.assign(from.end() - values, from.end());
  from.resize(from.size() - static_cast<std::size_t>(values));
}

void hold_out(Samples samples, DataPair& pair, Violations& violations) {
  auto& train = pair.train;
  auto& test = pair.test;
  if (samples >= train.samples)
    return violations.push_back({.key = "data.hold-out",
                                 .value = std::to_string(samples.value()),
                                 .message = "leaves none of the " + std::to_string(train.samples.value()) +
                                            " training samples; the nearest is " +
                                            std::to_string(train.samples.value() - 1)});
  const auto of_sample = train.sample_elements().value(), of_target = train.target_shape.elements().value();
  move_last(train.images, test.images, samples.value(), of_sample);
  move_last(train.features, test.features, samples.value(), of_sample);
  move_last(train.labels, test.labels, samples.value(), 1);
  move_last(train.targets, test.targets, samples.value(), of_target);
  train.samples -= samples;
  test.samples = samples;
}

/// Normalisation is the training set's for both halves; numbers of `random` are used as they are.
void finish(const DataOptions& options, DataPair& pair, Violations& violations) {
  Moments found;
  if (pair.train.features.empty()) found = moments_of(pair.train);
  for (auto& stddev : found.stddev)
    if (!(stddev > 0)) stddev = 1;  // every pixel is the same
  const Moments used{.mean = by_channel("data.mean", options.mean, found.mean, pair.train, violations),
                     .stddev = by_channel("data.std", options.stddev, found.stddev, pair.train, violations)};
  base::Sha256 digest;
  for (auto* set : {&pair.train, &pair.test}) {
    set->normalisation = used;
    set->own_normalisation = found;
    update_digest(*set);
    digest.update(set->sha256);
  }
  pair.sha256 = digest.hex();
}

}  // namespace

std::string to_string(const std::vector<double>& numbers) {
  std::string text;
  for (const auto value : numbers)
    text += (text.empty() ? "" : " ") + base::shortest(value);
  return text;
}

std::optional<DataPair> load(const DataOptions& options, Violations& violations) {
  const auto found = violations.size();
  const bool digits = options.name == "digits", random = options.name == "random";
  check_options(options, violations);
  if (digits || random) check_memory(options, violations);
  if (options.name.empty()) return std::nullopt;
  std::optional<DataPair> pair;
  if (!digits && !random)
    pair = read_folder(options, violations);
  else if (violations.size() == found)
    pair = digits ? draw_digits(options, violations) : draw_random(options);
  if (violations.size() > found) return std::nullopt;
  if (options.hold_out) hold_out(*options.hold_out, *pair, violations);
  if (violations.size() > found) return std::nullopt;
  finish(options, *pair, violations);
  if (violations.size() > found) return std::nullopt;
  return pair;
}

DataPair load(const DataOptions& options) {
  Violations violations;
  auto pair = load(options, violations);
  if (!pair) throw base::ConfigError(std::move(violations));
  return std::move(*pair);
}

}  // namespace partita::data
