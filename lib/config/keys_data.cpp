/// Keys of the data: which set, and how its samples become a model's input.
#include <algorithm>

#include "key_kinds.hpp"

namespace partita::config {
namespace {

using base::KeyRole;

// The references of these lambdas would be taken for operators.
// clang-format off

/// Earlier versions knew it of random data only, and printed their default for every set.
Key classes() {
  auto key = optional_number<std::int64_t>(
      "data.classes", "labels are below it; default: 10 of random data, what a set's folder says, else the largest "
      "training label + 1", {data::least_classes, data::most_classes},
      [](RunOptions& o) -> auto& { return o.data.classes; });
  key.means = [plain = key.print](const RunOptions& o) {
    return plain(o).value_or(text_of(data::RandomOptions{}.classes));
  };
  return key;
}

/// One number where every channel has the same.
std::vector<double> shortened(const std::vector<double>& numbers) {
  const bool alike = !numbers.empty() && std::ranges::count(numbers, numbers.front()) == std::ssize(numbers);
  return alike ? std::vector{numbers.front()} : numbers;
}

/// Numbers that would be used anyway mean the same as none.
Key normalisation(const std::string& name, const std::string& meaning, Bounds<double> bounds,
                  std::vector<double> data::DataOptions::*asked, std::vector<double> data::Moments::*own) {
  Key key = channel_numbers(
      name, meaning, bounds, [=](RunOptions& o) -> auto& { return o.data.*asked; });
  key.means = [=](const RunOptions& o) {
    const auto numbers = shortened(o.data.*asked);
    const bool is_own = o.own_normalisation && numbers == shortened((*o.own_normalisation).*own);
    return numbers.empty() || is_own ? std::nullopt : std::optional(data::to_string(numbers));
  };
  return std::move(key).changing_past();
}

}  // namespace

std::vector<Key> data_keys() {
  using O = RunOptions;
  return {
      text(
          "data.name", "digits, random, or the folder of an IDX set",
          [](O& o) -> auto& { return o.data.name; }).as(KeyRole::data_set),
      {.name = "data.dir",
       .meaning = "folder of the data sets (default: PARTITA_DATA_DIR)",
       .decides_result = false,
       .role = KeyRole::data_set,
       .read = [](O& o, const std::string& value) { return o.data.dir = value, std::string(); },
       .print =
           [](const O& o) { return o.data.dir.empty() ? std::nullopt : std::optional(o.data.dir.string()); }},
      normalisation(
          "data.mean", "subtracted from pixels in [0, 1]: one number, or one for each channel; default: the training "
          "set's", {-no_limit, no_limit}, &data::DataOptions::mean, &data::Moments::mean),
      normalisation(
          "data.std", "divides the pixels, likewise; default: the training set's", {0, no_limit, true},
          &data::DataOptions::stddev, &data::Moments::stddev),
      optional_number<std::int64_t>(
          "data.train-samples", "training samples used or drawn", {1, data::most_samples},
          [](O& o) -> auto& { return o.data.train_samples; }).as(KeyRole::data_set),
      optional_number<std::int64_t>(
          "data.test-samples", "test samples used or drawn", {1, data::most_samples},
          [](O& o) -> auto& { return o.data.test_samples; }).as(KeyRole::data_set),
      optional_number<std::int64_t>(
          "data.hold-out", "so many of the training samples, the last ones, are held out to be tested on instead of the "
          "test set", {1, data::most_samples},
          [](O& o) -> auto& { return o.data.hold_out; }).as(KeyRole::data_set),
      number<std::uint64_t>(
          "data.seed", "of synthetic data", {0, UINT64_MAX}, [](O& o) -> auto& { return o.data.seed; }).as(KeyRole::data_set),
      choice(
          "data.task", "of random data", std::array{data::Task::regression, data::Task::classification},
          [](O& o) -> auto& { return o.data.random.task; }).as(KeyRole::data_set),
      shape(
          "data.features", "of a sample of random data",
          [](O& o) -> auto& { return o.data.random.features; }).as(KeyRole::data_set),
      shape(
          "data.targets", "of a target of random data (regression)",
          [](O& o) -> auto& { return o.data.random.targets; }).as(KeyRole::data_set),
      classes().as(KeyRole::data_set),
  };
}

// clang-format on

}  // namespace partita::config
