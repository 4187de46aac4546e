/// From options to both halves of a data set, and everything that can be wrong on the way.

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <string>
#include <system_error>

#include "partita/base/digest.hpp"
#include "partita/data/dataset.hpp"
#include "partita/data/idx.hpp"
#include "partita/data/synthetic.hpp"

namespace partita::data {
namespace {

namespace fs = std::filesystem;
using kernels::Samples;
using Violations = std::vector<base::Violation>;

/// Test samples of synthetic sets are drawn from here on, so that they do not move with the number before
/// them.
/// A multiple of ten, so that `digits` stay balanced.
constexpr Samples first_test_sample{5'000'000'000};
constexpr std::int64_t most_synthetic_elements = std::int64_t{1} << 36;
constexpr std::int64_t classes_of_known_sets = 10;

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
      std::any_of(extents.begin(), extents.end(), [](auto n) { return n < 1 || n > 1 << 20; }))
    violations.push_back({.key = key,
                          .value = kernels::to_string(shape),
                          .message = "must have 1 to 4 extents, each from 1 to 1048576"});
}

void check_random(const RandomOptions& random, Violations& violations) {
  check_shape("data.features", random.features, violations);
  if (random.task == Task::regression) check_shape("data.targets", random.targets, violations);
  if (random.task == Task::classification && (random.classes < 2 || random.classes > 1 << 20))
    violations.push_back({.key = "data.classes",
                          .value = std::to_string(random.classes),
                          .message = "must be from 2 to 1048576"});
}

void check_options(const DataOptions& options, Violations& violations) {
  if (options.name.empty())
    violations.push_back(
        {.key = "data.name", .value = "", .message = "must name a data set: digits, random or a folder"});
  if (options.mean && !std::isfinite(*options.mean))
    violations.push_back({.key = "data.mean", .value = number(*options.mean), .message = "must be finite"});
  if (options.stddev && !(std::isfinite(*options.stddev) && *options.stddev > 0))
    violations.push_back(
        {.key = "data.std", .value = number(*options.stddev), .message = "must be above 0 and finite"});
  if (options.classes && (*options.classes < 1 || *options.classes > 256))
    violations.push_back({.key = "data.classes",
                          .value = std::to_string(*options.classes),
                          .message = "must be from 1 to 256, as labels are bytes"});
  check_samples("data.train-samples", options.train_samples, violations);
  check_samples("data.test-samples", options.test_samples, violations);
  if (options.name == "random") check_random(options.random, violations);
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

DataPair draw(const DataOptions& options) {
  if (options.name == "digits")
    return {
        .train = make_digits(options.seed, Samples(0), options.train_samples.value_or(Samples(12000))),
        .test = make_digits(options.seed, first_test_sample, options.test_samples.value_or(Samples(2000))),
        .sha256 = ""};
  return {.train = make_random(options.random, options.seed, Samples(0),
                               options.train_samples.value_or(Samples(100))),
          .test = make_random(options.random, options.seed, first_test_sample,
                              options.test_samples.value_or(Samples(100))),
          .sha256 = ""};
}

/// `stem` or `stem`.gz, whichever is there; the plain one when both are.
std::optional<fs::path> find_file(const fs::path& folder, const std::string& stem, Violations& violations) {
  std::error_code ignored;
  for (const auto& name : {stem, stem + ".gz"})
    if (fs::exists(folder / name, ignored)) return folder / name;
  violations.push_back({.key = (folder / stem).string(),
                        .value = "",
                        .message = "the file does not exist, nor " + stem + ".gz"});
  return std::nullopt;
}

/// The files of one half, as far as they could be read.
struct Files {
  std::string half;
  fs::path images_path, labels_path;
  std::optional<IdxArray> images, labels;
};

Files read_files(const fs::path& folder, const std::string& half, Violations& violations) {
  Files files{.half = half, .images_path = {}, .labels_path = {}, .images = {}, .labels = {}};
  if (const auto path = find_file(folder, half + "-images-idx3-ubyte", violations)) {
    files.images_path = *path;
    files.images = read_idx(*path, 3, violations);
  }
  if (const auto path = find_file(folder, half + "-labels-idx1-ubyte", violations)) {
    files.labels_path = *path;
    files.labels = read_idx(*path, 1, violations);
  }
  return files;
}

void check_contents(const Files& files, Violations& violations) {
  if (files.images) {
    const auto& extents = files.images->extents;
    if (std::find(extents.begin(), extents.end(), 0) != extents.end())
      violations.push_back({.key = files.images_path.string(),
                            .value = "",
                            .message = "holds no pixels: " + std::to_string(extents[0]) + " images of " +
                                       std::to_string(extents[1]) + "x" + std::to_string(extents[2])});
  }
  if (files.images && files.labels && files.images->extents[0] != files.labels->extents[0])
    violations.push_back({.key = files.labels_path.string(),
                          .value = "",
                          .message = "holds " + std::to_string(files.labels->extents[0]) + " labels, but " +
                                     files.images_path.filename().string() + " holds " +
                                     std::to_string(files.images->extents[0]) + " images"});
}

void check_labels(const Files& files, std::int64_t classes, Violations& violations) {
  if (!files.labels) return;
  const auto& labels = files.labels->values;
  const auto bad = std::find_if(labels.begin(), labels.end(), [&](auto label) { return label >= classes; });
  if (bad == labels.end()) return;
  const auto total = std::count_if(bad, labels.end(), [&](auto label) { return label >= classes; });
  violations.push_back({.key = files.labels_path.string(),
                        .value = "",
                        .message = "label " + std::to_string(*bad) + " of sample " +
                                   std::to_string(bad - labels.begin()) + " is out of range, expected 0 to " +
                                   std::to_string(classes - 1) + " (" + std::to_string(total) +
                                   " such labels)"});
}

std::int64_t classes_of(const DataOptions& options, const Files& train) {
  if (options.classes) return *options.classes;
  if (options.name == "mnist" || options.name == "fashion-mnist") return classes_of_known_sets;
  if (!train.labels || train.labels->values.empty()) return 256;
  return 1 + *std::max_element(train.labels->values.begin(), train.labels->values.end());
}

/// How many of the file's samples are used.
Samples limit(const char* key, std::optional<Samples> wanted, const Files& files, Violations& violations) {
  const Samples held(files.images->extents[0]);
  if (wanted && *wanted > held)
    violations.push_back({.key = key,
                          .value = std::to_string(wanted->value()),
                          .message = "must be at most " + std::to_string(held.value()) + ", the samples of " +
                                     files.images_path.string()});
  return std::min(wanted.value_or(held), held);
}

Dataset assemble(const std::string& name, Files files, std::int64_t classes, Samples samples) {
  Dataset set{.name = name, .task = Task::classification, .samples = samples};
  const auto& extents = files.images->extents;
  set.sample_shape = {1, extents[1], extents[2]};
  set.classes = classes;
  set.images = std::move(files.images->values);
  set.images.resize(static_cast<std::size_t>((samples.value() * set.sample_elements()).value()));
  const auto first = files.labels->values.begin();
  set.labels.assign(first, first + samples.value());
  return set;
}

std::optional<fs::path> find_folder(const DataOptions& options, Violations& violations) {
  fs::path dir = options.dir;
  if (dir.empty())
    if (const char* from_environment = std::getenv("PARTITA_DATA_DIR")) dir = from_environment;
  if (dir.empty()) {
    violations.push_back(
        {.key = "data.dir",
         .value = "",
         .message = "must be set (or PARTITA_DATA_DIR in the environment) for the data set " + options.name +
                    "; digits and random need no files"});
    return std::nullopt;
  }
  std::error_code ignored;
  if (fs::is_directory(dir / options.name, ignored)) return dir / options.name;
  violations.push_back(
      {.key = (dir / options.name).string(),
       .value = "",
       .message = "the folder of the data set " + options.name +
                  " does not exist (data.dir / data.name); partita-data fetch or generate makes one"});
  return std::nullopt;
}

std::optional<DataPair> read(const DataOptions& options, Violations& violations) {
  const auto folder = find_folder(options, violations);
  if (!folder) return std::nullopt;
  const auto found = violations.size();
  auto train = read_files(*folder, "train", violations);
  auto test = read_files(*folder, "t10k", violations);
  const auto classes = classes_of(options, train);
  for (const auto* files : {&train, &test}) {
    check_contents(*files, violations);
    check_labels(*files, classes, violations);
  }
  if (train.images && test.images &&
      !std::equal(train.images->extents.begin() + 1, train.images->extents.end(),
                  test.images->extents.begin() + 1))
    violations.push_back({.key = test.images_path.string(),
                          .value = "",
                          .message = "its images are " + std::to_string(test.images->extents[1]) + "x" +
                                     std::to_string(test.images->extents[2]) + ", the training set's " +
                                     std::to_string(train.images->extents[1]) + "x" +
                                     std::to_string(train.images->extents[2])});
  if (violations.size() > found) return std::nullopt;
  const auto train_samples = limit("data.train-samples", options.train_samples, train, violations);
  const auto test_samples = limit("data.test-samples", options.test_samples, test, violations);
  if (violations.size() > found) return std::nullopt;
  return DataPair{.train = assemble(options.name, std::move(train), classes, train_samples),
                  .test = assemble(options.name, std::move(test), classes, test_samples),
                  .sha256 = ""};
}

/// Normalisation is the training set's for both halves; numbers of `random` are used as they are.
void finish(const DataOptions& options, DataPair& pair) {
  Moments moments;
  if (pair.train.features.empty()) moments = moments_of(pair.train);
  if (!(moments.stddev > 0)) moments.stddev = 1;  // every pixel is the same
  base::Sha256 digest;
  for (auto* set : {&pair.train, &pair.test}) {
    set->mean = options.mean.value_or(moments.mean);
    set->stddev = options.stddev.value_or(moments.stddev);
    update_digest(*set);
    digest.update(set->sha256);
  }
  pair.sha256 = digest.hex();
}

}  // namespace

std::optional<DataPair> load(const DataOptions& options, Violations& violations) {
  const auto found = violations.size();
  const bool synthetic = options.name == "digits" || options.name == "random";
  check_options(options, violations);
  if (synthetic) check_memory(options, violations);
  if (options.name.empty()) return std::nullopt;
  std::optional<DataPair> pair;
  if (!synthetic)
    pair = read(options, violations);
  else if (violations.size() == found)
    pair = draw(options);
  if (violations.size() > found) return std::nullopt;
  finish(options, *pair);
  return pair;
}

DataPair load(const DataOptions& options) {
  Violations violations;
  auto pair = load(options, violations);
  if (!pair) throw base::ConfigError(std::move(violations));
  return std::move(*pair);
}

}  // namespace partita::data
