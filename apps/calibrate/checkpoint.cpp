/// Two sizes tell what each checkpoint takes from what each byte does.
#include "checkpoint.hpp"

#include <algorithm>
#include <numeric>
#include <system_error>
#include <vector>

#include "partita/base/clock.hpp"
#include "partita/base/paths.hpp"
#include "partita/calibrate/rows.hpp"
#include "partita/memory/arena.hpp"
#include "partita/results/checkpoint.hpp"
#include "partita/results/statistics.hpp"

namespace partita::calibrate {
namespace {

using kernels::Bytes;
using kernels::DataType;
using kernels::Elements;

class Folder {
 public:
  explicit Folder(std::filesystem::path path) : path_(std::move(path)) {
    base::refuse_path(path_, base::make_folders(path_));
  }
  ~Folder() {
    std::error_code none;
    std::filesystem::remove_all(path_, none);
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  [[nodiscard]] const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

double seconds_to_write(const Folder& folder, Bytes bytes) {
  constexpr int samples = 3;
  const Elements elements(bytes.value() / 4);
  const memory::HostBuffer values(bytes_of(DataType::float32, elements));
  const auto numbers = values.view(DataType::float32, elements).as<float>();
  std::iota(numbers.begin(), numbers.end(), 0.0F);  // nothing that a file system would leave out
  const kernels::Shape shape{elements.value()};
  std::vector<double> seconds;
  for (int sample = 0; sample < samples; ++sample) {
    results::StoredFile stored;
    const double begin = base::now_seconds();
    for (auto part = results::write_shard(
             folder.path(), 0, {},
             {{.block = {.layer = "all", .name = "weight", .shape = shape, .rows = elements.value()},
             .weights = values.view(DataType::float32, elements),
             .states = {}}},
             {}, stored);
         !part.advance();) {
    }
    seconds.push_back(base::now_seconds() - begin);
  }
  return results::median(seconds);
}

}  // namespace

machine::Checkpoint measure_checkpoint(const std::filesystem::path& file, Bytes bytes) {
  const Folder folder(file.parent_path() / ("." + file.filename().string() + ".checkpoint"));
  const Bytes few(bytes.value() / 100);
  const double small = seconds_to_write(folder, few), large = seconds_to_write(folder, bytes);
  const double byte_seconds =
      std::max(large - small, 0.01 * large) / static_cast<double>((bytes - few).value());
  return {.bytes_per_second = rounded(1 / byte_seconds),
          .seconds = rounded(std::max(0.0, small - byte_seconds * static_cast<double>(few.value())))};
}

}  // namespace partita::calibrate
