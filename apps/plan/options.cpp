/// Which options there are, and their bounds.
#include "options.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <string_view>
#include <utility>

#include "partita/base/number.hpp"
#include "partita/command_line/command_line.hpp"

namespace partita::plan_app {
namespace {

using predict::Objective;

constexpr int most_ranks = 4096;

constexpr std::array<std::pair<std::string_view, Objective>, 3> objectives{
    {{"step", Objective::step}, {"epoch", Objective::epoch}, {"memory", Objective::memory}}};

constexpr std::array<job::OwnOption, 7> own{
    {{"ranks", "N", "ranks of the machine (1 to 4096)"},
     {"memory", "SIZE", "that a rank has, such as 512MiB or 4GiB; plans that need more are left out"},
     {"top", "N", "plans that are simulated at least, and shown (1 to 1000, 10)"},
     {"objective", "WORD",
      "what is to be least: the time of a step or of an epoch, or memory of the largest rank (step)"},
     {"no-extrapolation", "",
      "refuse to guess: name all kernels of plans whose times the machine file does not tell"},
     {"write", "FILE", "write the run file of the best plan"},
     {"write-all", "FOLDER", "write those of all plans that are simulated, and plans.csv"}}};

/// Bytes of "4GiB", "1.5GB", "1000000".
std::optional<kernels::Bytes> size_of(const std::string& text) {
  const auto letter = text.find_first_not_of("0123456789.eE+");
  const auto number = base::number_of<double>(text.substr(0, letter));
  const std::string unit = letter == std::string::npos ? "" : text.substr(letter);
  constexpr std::array<std::pair<std::string_view, double>, 8> units{{{"", 1},
                                                                      {"B", 1},
                                                                      {"KiB", 1024},
                                                                      {"MiB", 1048576},
                                                                      {"GiB", 1073741824},
                                                                      {"kB", 1e3},
                                                                      {"MB", 1e6},
                                                                      {"GB", 1e9}}};
  for (const auto& [name, size] : units)
    if (unit == name && number && *number > 0 && *number * size < 1e18)
      return kernels::Bytes(static_cast<std::int64_t>(std::floor(*number * size)));
  return {};
}

}  // namespace

Options parse(int argc, const char* const* argv, std::vector<base::Violation>& violations) {
  Options options{.line = job::split_command_line(argc, argv, own, violations)};
  const auto& given = options.line.own;
  const auto number = [&](const std::string& name, std::int64_t most, std::int64_t otherwise) {
    if (!options.line.has(name)) return otherwise;
    return command_line::whole_number(name, given.at(name), 1, most, violations).value_or(otherwise);
  };
  options.ranks = static_cast<int>(number("ranks", most_ranks, 1));
  options.search.top = static_cast<std::size_t>(number("top", 1000, 10));
  if (!options.line.has("ranks"))
    violations.push_back({"ranks", "", "is missing: for how many ranks is the plan, such as --ranks=4"});
  if (options.line.has("memory")) {
    options.search.memory = size_of(given.at("memory"));
    if (!options.search.memory)
      violations.push_back({"memory", given.at("memory"), "must be a size above 0, such as 512MiB or 4GiB"});
  }
  if (options.line.has("objective")) {
    const auto& word = given.at("objective");
    const auto known = std::ranges::find(objectives, word, &std::pair<std::string_view, Objective>::first);
    if (known != objectives.end())
      options.search.objective = known->second;
    else
      violations.push_back({"objective", word, "must be one of step | epoch | memory"});
  }
  options.may_guess = !options.line.has("no-extrapolation");
  for (const auto& [name, path] : {std::pair("write", &options.write), {"write-all", &options.write_all}}) {
    if (!options.line.has(name)) continue;
    *path = given.at(name);
    if (path->empty()) violations.push_back({name, "", "needs a path"});
  }
  return options;
}

std::string usage() {
  return "Usage: partita-plan --config FILE.ini --ranks=N --machine=FILE.machine [--section.key=value "
         "...]\n\n"
         "Finds the split of a training that a machine takes least time for, as its model predicts. Keys of "
         "the run\n"
         "that split it (grid, pipeline) are replaced. Nothing is trained.\n\n" +
         job::help_of(own) + "\n";
}

}  // namespace partita::plan_app
