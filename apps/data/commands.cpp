#include "commands.hpp"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <iomanip>
#include <iostream>
#include <system_error>

#include "fetch.hpp"

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

std::string suffix(data::Compression compression) {
  return compression == data::Compression::gzip ? ".gz" : "";
}

void write_half(const fs::path& folder, const std::string& half, const data::Dataset& set,
                data::Compression compression) {
  const auto n = set.samples.value();
  const std::vector<std::uint8_t> labels(set.labels.begin(), set.labels.end());
  data::write_idx(folder / (half + "-images-idx3-ubyte" + suffix(compression)),
                  std::vector<std::int64_t>{n, set.sample_shape[1], set.sample_shape[2]}, pixels_of(set),
                  compression);
  data::write_idx(folder / (half + "-labels-idx1-ubyte" + suffix(compression)), std::vector<std::int64_t>{n},
                  labels, compression);
}

void check_generate(const GenerateCommand& command, std::vector<base::Violation>& violations) {
  const auto& random = command.data.random;
  if (command.data.name != "digits" && command.data.name != "random")
    violations.push_back(
        {.key = "--name", .value = command.data.name, .message = "must be digits or random"});
  if (command.output.empty())
    violations.push_back({.key = "--output", .value = "", .message = "must name the folder to write"});
  const auto folder = command.output.lexically_normal();
  if (const auto name = folder.filename().empty() ? folder.parent_path().filename() : folder.filename();
      name == "digits" || name == "random")
    violations.push_back({.key = "--output",
                          .value = command.output.string(),
                          .message = "its last part becomes a data.name, where " + name.string() +
                                     " means the set without files; choose my-" + name.string()});
  if (command.data.name == "random" && (random.features.rank() != 3 || random.features[0] != 1))
    violations.push_back({.key = "--features",
                          .value = kernels::to_string(random.features),
                          .message = "must be 1xHEIGHTxWIDTH: an IDX file of images has one channel"});
  if (command.data.name == "random" && random.classes > 256)
    violations.push_back({.key = "--classes",
                          .value = std::to_string(random.classes),
                          .message = "must be at most 256: labels are bytes"});
  if (command.overwrite) return;
  std::error_code ignored;
  for (const char* half : {"train", "t10k"})
    for (const char* kind : {"-images-idx3-ubyte", "-labels-idx1-ubyte"})
      for (const char* end : {"", ".gz"})
        if (const auto file = command.output / (std::string(half) + kind + end); fs::exists(file, ignored))
          violations.push_back(
              {.key = file.string(), .value = "", .message = "exists; pass --overwrite to replace it"});
}

/// A file of the other kind would hide or contradict the one just written.
void remove_other_kind(const fs::path& folder, data::Compression compression) {
  const auto other =
      compression == data::Compression::gzip ? data::Compression::none : data::Compression::gzip;
  for (const char* half : {"train", "t10k"})
    for (const char* kind : {"-images-idx3-ubyte", "-labels-idx1-ubyte"})
      fs::remove(folder / (half + std::string(kind) + suffix(other)));
}

void print_half(const char* half, const data::Dataset& set) {
  const auto moments = data::moments_of(set);
  std::vector<std::int64_t> count(static_cast<std::size_t>(set.classes));
  for (const auto label : set.labels)
    ++count[static_cast<std::size_t>(label)];
  std::cout << half << ".samples = " << set.samples << '\n'
            << half << ".shape = " << kernels::to_string(set.sample_shape) << '\n'
            << half << ".classes = " << set.classes << '\n'
            << half << ".samples-per-class =";
  for (const auto n : count)
    std::cout << ' ' << n;
  std::cout << '\n'
            << std::fixed << std::setprecision(4) << half << ".mean = " << moments.mean << '\n'
            << half << ".std = " << moments.stddev << '\n'
            << half << ".sha256 = " << set.sha256 << '\n';
}

}  // namespace

int generate(const GenerateCommand& command) {
  std::vector<base::Violation> violations;
  check_generate(command, violations);
  std::optional<data::DataPair> pair;
  if (violations.empty()) pair = data::load(command.data, violations);
  if (!violations.empty()) throw base::ConfigError(std::move(violations));
  fs::create_directories(command.output);
  write_half(command.output, "train", pair->train, command.compression);
  write_half(command.output, "t10k", pair->test, command.compression);
  if (command.overwrite) remove_other_kind(command.output, command.compression);
  return verify({.folder = command.output});
}

int verify(const VerifyCommand& command) {
  auto folder = fs::absolute(command.folder).lexically_normal();
  if (folder.filename().empty()) folder = folder.parent_path();
  data::DataOptions options;
  options.name = folder.filename().string();
  options.dir = folder.parent_path();
  if (options.name == "digits" ||
      options.name == "random") {  // names of synthetic sets: look at the files instead
    options.name = "./" + options.name;
  }
  const auto pair = data::load(options);
  print_half("train", pair.train);
  print_half("test", pair.test);
  std::cout << "sha256 = " << pair.sha256 << '\n';
  return 0;
}

int fetch(const FetchCommand& command) {
  std::vector<base::Violation> violations;
  const auto* source = find_source(command.name);
  if (!source)
    violations.push_back(
        {.key = "fetch", .value = command.name, .message = "must be mnist or fashion-mnist"});
  fs::path dir = command.dir;
  if (dir.empty())
    if (const char* from_environment = std::getenv("PARTITA_DATA_DIR")) dir = from_environment;
  if (dir.empty())
    violations.push_back(
        {.key = "--dir", .value = "", .message = "must be set, or PARTITA_DATA_DIR in the environment"});
  if (!violations.empty()) throw base::ConfigError(std::move(violations));
  const auto& mirrors = command.mirrors.empty() ? source->mirrors : command.mirrors;
  for (const auto& file : source->files)
    fetch_file(file, mirrors, dir / source->name, [](const std::string& line) { std::cerr << line << '\n'; });
  return verify({.folder = dir / source->name});
}

}  // namespace partita::app
