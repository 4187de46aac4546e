/// The command line of a program that takes a run's keys and some options of its own.
#pragma once

#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "partita/job/job.hpp"
#include "partita/results/named_path.hpp"

namespace partita::job {

struct OwnOption {
  std::string_view name, value, meaning;  ///< "ranks", "N", what it does; without a value a switch
  bool value_may_lack = false;            ///< without one it is kept as ""
};

struct CommandLine {
  std::map<std::string, std::string> own;  ///< what was given of them, by name; a switch is ""
  std::vector<std::string> run;            ///< the words that are left, the program's name first
  std::vector<std::string_view> known;     ///< all own options that there are
  [[nodiscard]] bool has(const std::string& name) const { return own.contains(name); }
};

/// Appends own options that are given twice, lack their value or have one too many.
CommandLine split_command_line(int argc, const char* const* argv, std::span<const OwnOption>,
                               std::vector<base::Violation>& violations);

/// What a program that starts no ranks reads of a run, as if on `ranks` ranks, and with 0 on as many as the
/// run's own grid has, or on the fewest that its way to synchronise goes with. Its files are held, with those
/// that the program writes besides the run's output and has to check itself. `earlier` violations come first.
Input read_described_input(const CommandLine&, int ranks, std::vector<base::Violation> earlier,
                           std::vector<results::NamedPath> written = {});

/// The lines of --help that explain own options.
std::string help_of(std::span<const OwnOption>);

}  // namespace partita::job
