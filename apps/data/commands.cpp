/// What each command does, in order: refuse what is wrong, claim the folder, write or fetch, then verify by
/// reading the set as a training would.
#include "commands.hpp"

#include <cstdlib>
#include <iomanip>
#include <iostream>
#include <optional>
#include <sstream>
#include <string_view>
#include <vector>

#include "partita/base/nearest.hpp"
#include "partita/base/paths.hpp"
#include "partita/data/cifar.hpp"
#include "partita/results/claim.hpp"
#include "write_set.hpp"

namespace partita::app {
namespace {

namespace fs = std::filesystem;

/// What keeps a set from being written into `folder`, which the option `role` names: its name, its
/// permissions, and the files of another set.
void check_output(const char* role, const fs::path& folder, bool overwrite,
                  std::vector<base::Violation>& violations) {
  if (folder.empty())
    return violations.push_back({.key = role, .value = "", .message = "must name the folder to write"});
  if (const auto problem = base::folder_problem(folder); !problem.empty())
    violations.push_back({.key = role, .value = folder.string(), .message = problem});
  const auto normal = folder.lexically_normal();
  if (const auto name = normal.filename().empty() ? normal.parent_path().filename() : normal.filename();
      name == "digits" || name == "random")
    violations.push_back({.key = role,
                          .value = folder.string(),
                          .message = "its last part becomes a data.name, where " + name.string() +
                                     " means the set without files; choose my-" + name.string()});
  std::error_code unseen;
  for (const auto& file : files_of_set(folder))
    if (!overwrite)
      violations.push_back(
          {.key = file.string(), .value = "", .message = "exists; pass --overwrite to replace the set"});
    else if (fs::is_directory(fs::symlink_status(file, unseen)))
      violations.push_back(
          {.key = file.string(), .value = "", .message = "is a folder, where a file is to be"});
}

void check_generate(const GenerateCommand& command, std::vector<base::Violation>& violations) {
  if (command.data.name != "digits" && command.data.name != "random")
    violations.push_back(
        {.key = "--name", .value = command.data.name, .message = "must be digits or random"});
  check_output("--output", command.output, command.overwrite, violations);
}

/// " 0.4914 0.4822 0.4465".
std::string four_digits(const std::vector<double>& numbers) {
  std::ostringstream text;
  text << std::fixed << std::setprecision(4);
  for (const auto value : numbers)
    text << ' ' << value;
  return text.str();
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
            << half << ".mean =" << four_digits(moments.mean) << '\n'
            << half << ".std =" << four_digits(moments.stddev) << '\n'
            << half << ".sha256 = " << set.sha256 << '\n';
}

std::string names_of_sources() {
  std::string names;
  for (const auto& source : known_sources())
    names += (names.empty() ? "" : ", ") + source.name;
  return names;
}

/// Makes the folder that a set is written into, and keeps other processes from it until the claims end.
void open_folder(const char* role, const fs::path& folder, results::Claims& claims) {
  make_folder(role, folder);
  const results::NamedPath kept[] = {{role, folder, results::Use::keeps}};
  auto violations = claims.take(kept);
  if (!violations.empty()) throw base::ConfigError(std::move(violations));
}

/// Writes a set into a folder that is claimed: whatever came into it while the set was read or drawn is not
/// replaced unasked.
void write_claimed(const char* role, const fs::path& folder, bool overwrite, const data::DataPair& pair,
                   data::Compression compression) {
  std::vector<base::Violation> violations;
  check_output(role, folder, overwrite, violations);
  if (!violations.empty()) throw base::ConfigError(std::move(violations));
  write_set(folder, pair, compression);
}

}  // namespace

int generate(const GenerateCommand& command) {
  std::vector<base::Violation> violations;
  check_generate(command, violations);
  std::optional<data::DataPair> pair;
  if (violations.empty()) pair = data::load(command.data, violations);
  if (!violations.empty()) throw base::ConfigError(std::move(violations));
  for (auto* set : {&pair->train, &pair->test})
    if (set->class_names.empty())
      for (std::int64_t c = 0; c < set->classes; ++c)
        set->class_names.push_back(std::to_string(c));
  results::Claims claims;
  open_folder("--output", command.output, claims);
  write_claimed("--output", command.output, command.overwrite, *pair, command.compression);
  return verify({.folder = command.output});
}

int import_set(const ImportCommand& command) {
  std::vector<base::Violation> violations;
  check_output("--output", command.output, command.overwrite, violations);
  std::optional<data::DataPair> pair;
  if (command.source.empty())
    violations.push_back(
        {.key = "import", .value = "", .message = "must be followed by a folder or an archive"});
  else
    pair = data::read_cifar(command.source, violations);
  if (!violations.empty()) throw base::ConfigError(std::move(violations));
  results::Claims claims;
  open_folder("--output", command.output, claims);
  write_claimed("--output", command.output, command.overwrite, *pair, command.compression);
  return verify({.folder = command.output});
}

int verify(const VerifyCommand& command) {
  if (command.folder.empty()) throw base::ConfigError({{"verify", "", "name the folder of a data set"}});
  if (const auto problem = base::path_problem(command.folder); !problem.empty())
    throw base::ConfigError({{"verify", command.folder.string(), problem}});
  auto folder = base::absolute(command.folder);
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
  if (const auto& names = pair.train.class_names; !names.empty()) {
    std::cout << "class-names = ";
    for (std::size_t c = 0; c < names.size(); ++c)
      std::cout << (c > 0 ? ", " : "") << names[c];
    std::cout << '\n';
  }
  std::cout << "sha256 = " << pair.sha256 << '\n';
  return 0;
}

int fetch(const FetchCommand& command) {
  std::vector<base::Violation> violations;
  const auto* source = find_source(command.name);
  if (!source) {
    std::vector<std::string_view> names;
    for (const auto& known : known_sources())
      names.push_back(known.name);
    violations.push_back(
        {.key = "fetch",
         .value = command.name,
         .message = "must be one of " + names_of_sources() + base::did_you_mean(command.name, names)});
  }
  fs::path dir = command.dir;
  if (dir.empty())
    if (const char* from_environment = std::getenv("PARTITA_DATA_DIR")) dir = from_environment;
  if (dir.empty())
    violations.push_back(
        {.key = "--dir", .value = "", .message = "must be set, or PARTITA_DATA_DIR in the environment"});
  if (!violations.empty()) throw base::ConfigError(std::move(violations));
  const auto& mirrors = command.mirrors.empty() ? source->mirrors : command.mirrors;
  const auto folder = dir / source->name;
  fetch_set(*source, mirrors, folder);
  return verify({.folder = folder});
}

void fetch_set(const Source& source, std::span<const std::string> mirrors, const fs::path& folder) {
  results::Claims claims;
  open_folder("--dir", folder, claims);
  for (const auto& file : source.files)
    fetch_file(file, mirrors, folder, [](const std::string& line) { std::cerr << line << '\n'; });
  // A set that is there is never replaced unasked, as single files are not.
  if (!source.is_archive || !files_of_set(folder).empty()) return;
  std::vector<base::Violation> violations;
  const auto pair = data::read_cifar(folder / source.files.front().name, violations);
  if (!pair) throw base::ConfigError(std::move(violations));
  write_claimed("--dir", folder, false, *pair, data::Compression::gzip);
}

}  // namespace partita::app
