/// What a sweep can be told: its file and the command line, which wins.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "partita/base/error.hpp"

namespace partita::sweep {

enum class Combine { cartesian, zip };

/// Every n-th configuration, the k-th first: one task of a job array.
struct Shard {
  int k = 1, n = 1;
};

using Assignments = std::vector<std::pair<std::string, std::string>>;

struct Varied {
  std::string key;
  std::string list;  ///< as written
  std::vector<std::string> values;
};

struct Options {
  std::filesystem::path file;    ///< the sweep's own
  std::filesystem::path config;  ///< the base run, as seen from the working folder
  int ranks = 1;                 ///< of a group
  Combine combine = Combine::cartesian;
  std::optional<Varied> seeds;  ///< repetitions of every configuration, whatever `combine` is
  bool save_models = false;
  std::filesystem::path output;  ///< folder; default: the file's stem
  Assignments fixed;             ///< keys of the run that differ from the base run in all configurations
  std::vector<Varied> vary;      ///< in the order of the file
  Shard shard;
  bool resume = false, overwrite = false, index_only = false;
  bool help = false, version = false, print_config = false, dry_run = false;

  [[nodiscard]] bool has_work() const { return !help && !version && !print_config; }
  [[nodiscard]] bool runs() const { return has_work() && !dry_run && !index_only; }
};

/// Appends every violation: files that cannot be read, unknown keys (with the nearest known one), keys given
/// twice or both fixed and varied, empty lists, zipped lists of unequal lengths.
Options parse(int argc, const char* const* argv, std::vector<base::Violation>& violations);

/// The options as a sweep file that `parse` reads back to the same options, from the same working folder.
std::string print_config(const Options&);

std::string help_text();

}  // namespace partita::sweep
