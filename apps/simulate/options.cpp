/// Which options there are, and their bounds.
#include "options.hpp"

#include <array>

#include "partita/command_line/command_line.hpp"

namespace partita::simulate {
namespace {

/// That the model of every rank and round takes.
constexpr int most_ranks = 4096;

constexpr std::array<job::OwnOption, 2> own{
    {{"ranks", "N", "ranks of the machine (without: as many as the grid of the run; 1 to 4096)"},
     {"what-if", "CHANGES",
      "a machine that differs, such as \"network.bandwidth=2x; rank.3.speed=0.5x\"; figures are\n      "
      "compute.speed, "
      "memory.bandwidth, network[.LEVEL].bandwidth | latency | overhead,\n      window.bandwidth | latency, "
      "rank.N.speed"}}};

}  // namespace

Options parse(int argc, const char* const* argv, std::vector<base::Violation>& violations) {
  Options options{.line = job::split_command_line(argc, argv, own, violations)};
  if (options.line.has("ranks"))
    options.ranks = static_cast<int>(
        command_line::whole_number("ranks", options.line.own.at("ranks"), 1, most_ranks, violations)
            .value_or(1));
  if (options.line.has("what-if")) options.what_if = options.line.own.at("what-if");
  return options;
}

std::string usage() {
  return "Usage: partita-simulate --config FILE.ini --machine FILE.machine [--section.key=value ...]\n"
         "                        [--output FILE.h5]\n\n"
         "Predicts what partita-train would do with the same keys on the machine. No ranks are started, "
         "nothing "
         "is trained.\n\n" +
         job::help_of(own) + "\n";
}

}  // namespace partita::simulate
