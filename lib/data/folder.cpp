/// `<half>-images-idx3-ubyte` [samples, height, width] or `<half>-images-idx4-ubyte` [samples, channels,
/// height, width], and `<half>-labels-idx1-ubyte` [samples]; the halves are `train` and `t10k`, each file
/// plain or with `.gz`. `classes.txt` may name the classes.

#include "folder.hpp"

#include <algorithm>
#include <cstdlib>
#include <string>
#include <system_error>

#include "partita/data/class_names.hpp"
#include "partita/data/idx.hpp"

namespace partita::data {
namespace {

namespace fs = std::filesystem;
using kernels::Samples;
using Violations = std::vector<base::Violation>;

constexpr std::int64_t classes_of_known_sets = 10;

/// The first of `stem` and `stem`.gz that is there.
std::optional<fs::path> find_stem(const fs::path& folder, const std::string& stem) {
  std::error_code ignored;
  for (const auto& name : {stem, stem + ".gz"})
    if (fs::exists(folder / name, ignored)) return folder / name;
  return std::nullopt;
}

void refuse_missing(const fs::path& folder, const std::string& stem, const std::string& others,
                    Violations& violations) {
  violations.push_back({.key = (folder / stem).string(),
                        .value = "",
                        .message = "the file does not exist, nor " + stem + ".gz" + others});
}

/// The files of one half, as far as they could be read.
struct Files {
  fs::path images_path, labels_path;
  std::optional<IdxArray> images, labels;

  [[nodiscard]] kernels::Shape sample_shape() const {
    const auto& e = images->extents;
    return e.size() == 3 ? kernels::Shape{1, e[1], e[2]} : kernels::Shape{e[1], e[2], e[3]};
  }
};

void read_images(const fs::path& folder, const std::string& half, Files& files, Violations& violations) {
  const auto grey = half + "-images-idx3-ubyte", channels = half + "-images-idx4-ubyte";
  const auto three = find_stem(folder, grey), four = find_stem(folder, channels);
  if (three && four)
    violations.push_back({.key = four->string(),
                          .value = "",
                          .message = three->filename().string() + " is there too; keep one of them"});
  else if (!three && !four)
    refuse_missing(folder, grey, ", nor " + channels + "[.gz]", violations);
  else
    files.images = read_idx(files.images_path = three ? *three : *four, three ? 3 : 4, violations);
}

Files read_files(const fs::path& folder, const std::string& half, Violations& violations) {
  Files files;
  read_images(folder, half, files, violations);
  const auto stem = half + "-labels-idx1-ubyte";
  if (const auto path = find_stem(folder, stem)) {
    files.labels_path = *path;
    files.labels = read_idx(*path, 1, violations);
  } else {
    refuse_missing(folder, stem, "", violations);
  }
  return files;
}

void check_contents(const Files& files, Violations& violations) {
  if (files.images && files.images->values.empty())
    violations.push_back({.key = files.images_path.string(),
                          .value = "",
                          .message = "holds no pixels: " + std::to_string(files.images->extents[0]) +
                                     " images of " + kernels::to_string(files.sample_shape())});
  if (files.images && files.labels && files.images->extents[0] != files.labels->extents[0])
    violations.push_back({.key = files.labels_path.string(),
                          .value = "",
                          .message = "holds " + std::to_string(files.labels->extents[0]) + " labels, but " +
                                     files.images_path.filename().string() + " holds " +
                                     std::to_string(files.images->extents[0]) + " images"});
}

/// How many classes there are, and what says so.
struct Classes {
  std::int64_t count;
  std::string by;
};

Classes classes_of(const DataOptions& options, const std::vector<std::string>& names, const Files& train) {
  if (options.classes) return {*options.classes, "data.classes"};
  if (!names.empty()) return {static_cast<std::int64_t>(names.size()), class_names_file};
  if (options.name == "mnist" || options.name == "fashion-mnist")
    return {classes_of_known_sets, options.name + "'s classes"};
  if (!train.labels || train.labels->values.empty()) return {256, "labels of a byte"};
  return {1 + *std::max_element(train.labels->values.begin(), train.labels->values.end()),
          "the training set's labels"};
}

void check_labels(const Files& files, const Classes& classes, Violations& violations) {
  if (!files.labels) return;
  const auto& labels = files.labels->values;
  const auto is_bad = [&](std::uint8_t label) { return label >= classes.count; };
  const auto bad = std::find_if(labels.begin(), labels.end(), is_bad);
  if (bad == labels.end()) return;
  const auto total = std::count_if(bad, labels.end(), is_bad);
  violations.push_back({.key = files.labels_path.string(),
                        .value = "",
                        .message = "label " + std::to_string(*bad) + " of sample " +
                                   std::to_string(bad - labels.begin()) + " is out of range, expected 0 to " +
                                   std::to_string(classes.count - 1) + " by " + classes.by + " (" +
                                   std::to_string(total) + (total == 1 ? " such label" : " such labels") +
                                   "); the nearest is data.classes=" +
                                   std::to_string(1 + *std::max_element(labels.begin(), labels.end()))});
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

Dataset assemble(const std::string& name, Files files, std::int64_t classes,
                 const std::vector<std::string>& names, Samples samples) {
  Dataset set{.name = name, .task = Task::classification, .samples = samples};
  set.sample_shape = files.sample_shape();
  set.classes = classes;
  set.class_names = names;
  complete_class_names(set);
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
       .message =
           "the folder of the data set " + options.name +
           " does not exist (data.dir / data.name); partita-data fetch, import or generate makes one"});
  return std::nullopt;
}

}  // namespace

void complete_class_names(Dataset& set) {
  auto& names = set.class_names;
  if (names.empty()) return;
  const auto named = names.size();
  names.resize(static_cast<std::size_t>(set.classes));
  for (std::size_t i = named; i < names.size(); ++i)
    names[i] = std::to_string(i);
}

std::optional<DataPair> read_folder(const DataOptions& options, Violations& violations) {
  const auto folder = find_folder(options, violations);
  if (!folder) return std::nullopt;
  const auto found = violations.size();
  auto train = read_files(*folder, "train", violations);
  auto test = read_files(*folder, "t10k", violations);
  const auto names = read_class_names(*folder, violations);
  const auto classes = classes_of(options, names, train);
  for (const auto* files : {&train, &test}) {
    check_contents(*files, violations);
    check_labels(*files, classes, violations);
  }
  if (train.images && test.images && train.sample_shape() != test.sample_shape())
    violations.push_back({.key = test.images_path.string(),
                          .value = "",
                          .message = "its images are " + kernels::to_string(test.sample_shape()) +
                                     ", the training set's " + kernels::to_string(train.sample_shape())});
  if (violations.size() > found) return std::nullopt;
  const auto train_samples = limit("data.train-samples", options.train_samples, train, violations);
  const auto test_samples = limit("data.test-samples", options.test_samples, test, violations);
  if (violations.size() > found) return std::nullopt;
  std::vector<fs::path> paths{train.images_path, train.labels_path, test.images_path, test.labels_path,
                              *folder / class_names_file};
  return DataPair{.train = assemble(options.name, std::move(train), classes.count, names, train_samples),
                  .test = assemble(options.name, std::move(test), classes.count, names, test_samples),
                  .sha256 = "",
                  .files = std::move(paths)};
}

}  // namespace partita::data
