/// Names and shapes of the files of a set, the same that `data::load` looks for; what an earlier set left in
/// the folder under other names is removed.
#include "write_set.hpp"

#include <algorithm>
#include <cmath>
#include <string>
#include <system_error>

#include "partita/base/error.hpp"
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

/// The files written.
std::vector<fs::path> write_half(const fs::path& folder, const std::string& half, const data::Dataset& set,
                                 data::Compression compression) {
  const auto n = set.samples.value();
  const auto& shape = set.sample_shape;
  const std::string end = compression == data::Compression::gzip ? ".gz" : "";
  std::vector<std::int64_t> extents{n, shape[1], shape[2]};
  if (shape[0] != 1) extents.insert(extents.begin() + 1, shape[0]);
  const auto images = folder / (half + "-images-idx" + std::to_string(extents.size()) + "-ubyte" + end);
  data::write_idx(images, extents, pixels_of(set), compression);
  const auto labels = folder / (half + "-labels-idx1-ubyte" + end);
  data::write_idx(labels, std::vector<std::int64_t>{n},
                  std::vector<std::uint8_t>(set.labels.begin(), set.labels.end()), compression);
  return {images, labels};
}

}  // namespace

void make_folder(const char* key, const fs::path& folder) {
  std::error_code error, unseen;
  fs::create_directories(folder, error);
  if (error && !fs::is_directory(folder, unseen))
    throw base::ConfigError({{key, folder.string(), "the folder cannot be made: " + error.message()}});
}

std::vector<fs::path> files_of_set(const fs::path& folder) {
  std::vector<fs::path> files;
  std::error_code ignored;
  const auto add = [&](const std::string& name) {
    if (fs::exists(fs::symlink_status(folder / name, ignored))) files.push_back(folder / name);
  };
  for (const char* half : {"train", "t10k"})
    for (const char* kind : {"-images-idx3-ubyte", "-images-idx4-ubyte", "-labels-idx1-ubyte"})
      for (const char* end : {"", ".gz"})
        add(std::string(half) + kind + end);
  add(data::class_names_file);
  return files;
}

void write_set(const fs::path& folder, const data::DataPair& pair, data::Compression compression) {
  make_folder("--output", folder);
  auto written = write_half(folder, "train", pair.train, compression);
  for (const auto& path : write_half(folder, "t10k", pair.test, compression))
    written.push_back(path);
  if (!pair.train.class_names.empty()) {
    data::write_class_names(folder, pair.train.class_names);
    written.push_back(folder / data::class_names_file);
  }
  for (const auto& path : files_of_set(folder))
    if (std::find(written.begin(), written.end(), path) == written.end()) fs::remove(path);
}

}  // namespace partita::app
