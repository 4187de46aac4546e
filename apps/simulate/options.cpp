/// Which options there are, and their bounds.
#include "options.hpp"

#include <algorithm>
#include <array>
#include <cctype>

#include "partita/base/line_file.hpp"
#include "partita/base/nearest.hpp"
#include "partita/base/number.hpp"
#include "partita/command_line/command_line.hpp"

namespace partita::simulate {
namespace {

constexpr int most_ranks = 1 << 20, most_played_ranks = 4096;

constexpr std::array<job::OwnOption, 8> own{
    {{"ranks", "N", "ranks of the machine (without: as many as the grid of the run; 1 to 1048576)"},
     {"what-if", "CHANGES",
      "a machine that differs, such as \"network.bandwidth=2x; rank.3.speed=0.5x\"; figures are\n      "
      "compute.speed, "
      "memory.bandwidth, network[.LEVEL].bandwidth | latency | overhead,\n      window.bandwidth | latency, "
      "rank.N.speed"},
     {"noise", "DEVIATION",
      "how far steps scatter where kernels do: of the logarithm of their times, such as 0.05 (0 to 2);\n     "
      " "
      "without a value by the variance in the machine file",
      true},
     {"failures", "SECONDS",
      "what failures leave of a training: \"mtbf=86400 checkpoint=5 restart=60\", of a node, for one, after "
      "one;\n      what is left out of the last two follows from the checkpoint rate in the machine file"},
     {"scaling", "A..B",
      "a table of A, 2A, … B ranks, the grid's data axis growing, instead of one prediction"},
     {"no-extrapolation", "", "refuse to guess: name all kernels whose times the machine file does not tell"},
     {"export", "FORMAT",
      "a step for another simulator: goal (LogGOPSim), smpi (SimGrid), chakra; or the machine\n      "
      "for SimGrid: platform"},
     {"export-to", "PATH", "where: a file (goal, platform) or a folder (smpi, chakra)"}}};

void read_scaling(Options& options, std::vector<base::Violation>& violations) {
  const auto& text = options.line.own.at("scaling");
  const auto dots = text.find("..");
  const auto first = base::number_of<int>(text.substr(0, dots));
  const auto last = dots == std::string::npos ? first : base::number_of<int>(text.substr(dots + 2));
  if (!first || !last || *first < 1 || *last < *first || *last > most_ranks)
    return violations.push_back(
        {"scaling", text,
         "must be A..B with 1 <= A <= B <= " + std::to_string(most_ranks) + ", such as 1..4096"});
  options.scaling = {*first, *last};
  if (options.line.has("ranks"))
    violations.push_back(
        {"ranks", options.line.own.at("ranks"), "is of one prediction, without --scaling=A..B"});
  for (const auto* const other : {"noise", "failures"})
    if (options.line.has(other))
      violations.push_back({other, options.line.own.at(other), "is of one prediction, without --scaling"});
}

/// A number from `least` to `most` where the text is one.
std::optional<double> number_in(const std::string& text, double least, double most) {
  const auto number = base::number_of<double>(text);
  return number && *number >= least && *number <= most ? number : std::nullopt;
}

void read_noise(Options& options, std::vector<base::Violation>& violations) {
  const auto& text = options.line.own.at("noise");
  if (!text.empty()) options.deviation = number_in(text, 0, 2);
  options.noise = text.empty() || options.deviation;
  if (!options.noise) violations.push_back({"noise", text, "must be a number from 0 to 2, such as 0.05"});
}

std::string in_small_letters(std::string text) {
  for (char& c : text)
    c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return text;
}

void read_failures(Options& options, std::vector<base::Violation>& violations) {
  const auto& text = options.line.own.at("failures");
  std::string twice;
  const auto values = base::values_of(in_small_letters(text), twice);
  NodeFailures failures;
  std::string wrong = twice.empty() ? "" : ": " + twice + " is given twice";
  constexpr std::array<std::string_view, 3> names{"mtbf", "checkpoint", "restart"};
  for (const auto& [name, value] : values) {
    const auto seconds = number_in(value, name == "mtbf" ? 1e-3 : name == "checkpoint" ? 1e-9 : 0, 1e12);
    if (std::find(names.begin(), names.end(), name) == names.end())
      wrong += (wrong.empty() ? ": '" : ", '") + name + "' is none of them" + base::did_you_mean(name, names);
    else if (!seconds)
      wrong += (wrong.empty() ? ": " : ", ") + name + "=" + value + " is no number of seconds" +
               (name == "restart" ? " from 0" : " above 0");
    if (name == "mtbf") failures.mtbf_seconds = seconds.value_or(1);
    if (name == "checkpoint") failures.checkpoint_seconds = seconds;
    if (name == "restart") failures.restart_seconds = seconds;
  }
  if (!values.contains("mtbf")) wrong += wrong.empty() ? ": mtbf is missing" : ", mtbf is missing";
  if (!wrong.empty()) {
    violations.push_back(
        {"failures", text,
         "must be mtbf=SECONDS [checkpoint=SECONDS] [restart=SECONDS], the first two above 0" + wrong});
    return;
  }
  options.failures = failures;
}

void read_export(Options& options, std::vector<base::Violation>& violations) {
  const auto& line = options.line;
  if (line.has("export") != line.has("export-to")) {
    const std::string given = line.has("export") ? "export" : "export-to";
    return violations.push_back({given, line.own.at(given), "needs --export=FORMAT and --export-to=PATH"});
  }
  if (line.has("scaling"))
    violations.push_back({"export", line.own.at("export"), "is of one prediction, without --scaling"});
  const auto& word = line.own.at("export");
  const auto words = predict::format_words();
  const auto format = predict::format_of(word);
  if (!format)
    return violations.push_back(
        {"export", word, "must be goal, smpi, chakra or platform" + base::did_you_mean(word, words)});
  options.exported = Export{*format, line.own.at("export-to")};
}

}  // namespace

std::vector<base::Violation> check(const Options& options, const machine::Machine& machine,
                                   std::int64_t ranks, int servers) {
  std::vector<base::Violation> violations;
  if (options.scaling) violations = machine::check_ranks(machine, options.scaling->second);
  if (options.noise && ranks > most_played_ranks)
    violations.push_back({"noise", options.line.own.at("noise"),
                          "plays every rank by itself: at most " + std::to_string(most_played_ranks) +
                              " ranks, not " + std::to_string(ranks)});
  if (options.noise && !options.deviation && !machine.variance.is_said())
    violations.push_back(
        {"noise", "", "needs a value, such as --noise=0.05: the machine file has no variance"});
  if (options.failures && options.failures->needs_rate() && machine.checkpoint.bytes_per_second == 0)
    violations.push_back({"failures", options.line.own.at("failures"),
                          "needs checkpoint=SECONDS and restart=SECONDS: the machine file has no checkpoint "
                          "rate"});
  if (options.scaling) {
    std::int64_t most = options.scaling->first;  // numbers of ranks double
    while (2 * most <= options.scaling->second)
      most *= 2;
    for (const auto& beyond : machine::check_ranks(machine, most))
      violations.push_back({"scaling", options.line.own.at("scaling"),
                            "reaches " + beyond.value + ", which " + beyond.message});
    std::int64_t enough = most;
    while (enough <= servers)
      enough *= 2;
    if (enough > most)
      violations.push_back({"scaling", options.line.own.at("scaling"),
                            "has no number of ranks above server.count = " + std::to_string(servers) +
                                ", which leaves none to work; the nearest is " +
                                std::to_string(options.scaling->first) + ".." + std::to_string(enough)});
  }
  return violations;
}

Options parse(int argc, const char* const* argv, std::vector<base::Violation>& violations) {
  Options options{.line = job::split_command_line(argc, argv, own, violations)};
  if (options.line.has("ranks"))
    options.ranks = static_cast<int>(
        command_line::whole_number("ranks", options.line.own.at("ranks"), 1, most_ranks, violations)
            .value_or(1));
  if (options.line.has("noise")) read_noise(options, violations);
  if (options.line.has("failures")) read_failures(options, violations);
  if (options.line.has("scaling")) read_scaling(options, violations);
  if (options.line.has("export") || options.line.has("export-to")) read_export(options, violations);
  options.may_guess = !options.line.has("no-extrapolation");
  if (options.line.has("what-if")) {
    options.what_if = options.line.own.at("what-if");
    if (options.what_if.find_first_not_of(" ;") == std::string::npos)
      violations.push_back({"what-if", options.what_if, "names nothing, such as network.bandwidth=2x"});
  }
  return options;
}

std::string usage() {
  return "Usage: partita-simulate --config FILE.ini --machine FILE.machine [--section.key=value ...]\n"
         "                        [--output FILE.h5] [--export=FORMAT --export-to=PATH]\n\n"
         "Predicts what partita-train would do with the same keys on the machine. No ranks are started, "
         "nothing "
         "is trained.\n\n" +
         job::help_of(own) + "\n";
}

}  // namespace partita::simulate
