/// Names and shapes of the files of a set, the same that `data::load` looks for; an earlier set is removed
/// from the folder, labels first, and the new labels are written last.
#include "write_set.hpp"

#include <algorithm>
#include <cmath>
#include <string>
#include <system_error>

#include "partita/base/error.hpp"
#include "partita/base/paths.hpp"
#include "partita/data/class_names.hpp"

namespace partita::app {
namespace {

namespace fs = std::filesystem;

/// `random` has no natural range: a pixel is 64 levels a standard deviation around the middle.
std::vector<std::uint8_t> pixels_of(const data::Dataset& set) {
  if (!set.images.empty()) return set.images;
  std::vector<std::uint8_t> pixels(set.features.size());
  std::transform(set.features.begin(), set.features.end(), pixels.begin(), [](float value) {
    return static_cast<std::uint8_t>(std::clamp(std::lround(128.0 + 64.0 * value), 0L, 255L));
  });
  return pixels;
}

std::string end_of(data::Compression compression) {
  return compression == data::Compression::gzip ? ".gz" : "";
}

void write_images(const fs::path& half, const data::Dataset& set, data::Compression compression) {
  const auto& shape = set.sample_shape;
  std::vector<std::int64_t> extents{set.samples.value(), shape[1], shape[2]};
  if (shape[0] != 1) extents.insert(extents.begin() + 1, shape[0]);
  const auto kind = "-images-idx" + std::to_string(extents.size()) + "-ubyte";
  data::write_idx(half.string() + kind + end_of(compression), extents, pixels_of(set), compression);
}

void write_labels(const fs::path& half, const data::Dataset& set, data::Compression compression) {
  data::write_idx(half.string() + "-labels-idx1-ubyte" + end_of(compression),
                  std::vector<std::int64_t>{set.samples.value()},
                  std::vector<std::uint8_t>(set.labels.begin(), set.labels.end()), compression);
}

}  // namespace

void make_folder(const char* key, const fs::path& folder) {
  if (const auto problem = base::make_folders(folder); !problem.empty())
    throw base::ConfigError({{key, folder.string(), problem}});
}

std::vector<fs::path> files_of_set(const fs::path& folder) {
  std::vector<fs::path> files;
  std::error_code ignored;
  const auto add = [&](const std::string& name) {
    if (fs::exists(fs::symlink_status(folder / name, ignored))) files.push_back(folder / name);
  };
  for (const char* kind : {"-labels-idx1-ubyte", "-images-idx3-ubyte", "-images-idx4-ubyte"})
    for (const char* half : {"train", "t10k"})
      for (const char* end : {"", ".gz"})
        add(std::string(half) + kind + end);
  add(data::class_names_file);
  return files;
}

void write_set(const fs::path& folder, const data::DataPair& pair, data::Compression compression) {
  make_folder("--output", folder);
  for (const auto& path : files_of_set(folder))
    base::refuse_path(path, base::remove_file(path));
  const auto train = folder / "train", test = folder / "t10k";
  write_images(train, pair.train, compression);
  write_images(test, pair.test, compression);
  if (!pair.train.class_names.empty()) data::write_class_names(folder, pair.train.class_names);
  write_labels(test, pair.test, compression);
  write_labels(train, pair.train, compression);
}

}  // namespace partita::app
