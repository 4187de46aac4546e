/// partita-timeline: a result's timeline as a trace for Perfetto or chrome://tracing.
///
/// Data on stdout or in a file, messages on stderr. Exit 0; 1 when the trace cannot be written; 2 for bad
/// input.
#include <boost/program_options.hpp>
#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <optional>
#include <span>
#include <sstream>
#include <string>
#include <utility>

#include "partita/results/atomic_file.hpp"
#include "partita/results/result_file.hpp"
#include "partita/results/version.hpp"
#include "trace.hpp"

namespace {

using namespace partita;
namespace po = boost::program_options;
using Violations = std::vector<base::Violation>;

constexpr int exit_failed = 1, exit_bad_input = 2;

po::options_description described() {
  po::options_description options("Options");
  options.add_options()("output", po::value<std::string>()->value_name("TRACE.json"),
                        "write a file instead of standard output")("overwrite", "replace an existing file")(
      "steps", po::value<std::string>()->value_name("FIRST:LAST"), "only these steps, both ends shown")(
      "help,h", "this text")("version", "version and commit");
  return options;
}

std::string usage() {
  std::ostringstream text;
  text << "partita-timeline RESULT.h5 [--output TRACE.json] [--overwrite] [--steps FIRST:LAST]\n\n"
          "Writes the timeline of a run as Chrome trace events; open them in https://ui.perfetto.dev or\n"
          "chrome://tracing. A rank is a process with lanes for compute and communication, a message is an\n"
          "arrow, a counter shows the bytes in flight.\n\n"
       << described() << "\nExit status: 0; 1 when the trace cannot be written; 2 for bad input.\n";
  return text.str();
}

po::variables_map parse(int argc, const char* const* argv) {
  auto all = described();
  all.add_options()("result", po::value<std::string>());
  po::positional_options_description positions;
  positions.add("result", 1);
  namespace style = po::command_line_style;
  po::variables_map values;
  try {
    po::store(po::command_line_parser(argc, argv)
                  .options(all)
                  .positional(positions)
                  .style(style::unix_style & ~style::allow_guessing)
                  .run(),
              values);
  } catch (const po::error& wrong) {
    throw base::ConfigError({{"command line", "", wrong.what()}});
  }
  return values;
}

std::optional<std::int64_t> step_of(std::string_view text) {
  std::int64_t step = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), step);
  if (error != std::errc{} || end != text.data() + text.size() || step < 0) return std::nullopt;
  return step;
}

timeline::StepRange parse_steps(const std::string& text, Violations& violations) {
  const auto colon = text.find(':');
  if (colon != std::string::npos) {
    const auto first = step_of(std::string_view(text).substr(0, colon));
    const auto last = step_of(std::string_view(text).substr(colon + 1));
    if (first && last && *first <= *last) return {.first = *first, .last = *last};
  }
  violations.push_back({"--steps", text, "must be FIRST:LAST with 0 <= FIRST <= LAST, such as 10:19"});
  return {};
}

/// The record, and what is wrong with it in `violations`.
results::RunRecord read(const std::string& path, const timeline::StepRange& steps, Violations& violations) {
  results::RunRecord record;
  Violations wrong;
  try {
    record = results::read(path);
    wrong = timeline::check_timeline(record.timeline, steps);
    for (auto& violation : wrong)
      if (violation.key == "/timeline") violation.key = path + " " + violation.key;
  } catch (const base::ConfigError& error) {
    wrong = error.violations();
  } catch (const base::EnvironmentError& refused) {
    wrong = {{path, "", "cannot be read: " + std::string(std::strerror(static_cast<int>(refused.code())))}};
  }
  violations.insert(violations.end(), wrong.begin(), wrong.end());
  return record;
}

void print_version() {
  const auto build = results::version();
  std::cout << "partita-timeline " << build.software_version << " (" << build.git_commit
            << (build.git_dirty ? ", modified" : "") << ")\n";
}

std::size_t write_file(const std::string& path, const results::RunRecord& record,
                       const timeline::StepRange& steps) {
  std::ostringstream text;
  const auto alone = timeline::write_trace(text, record, steps);
  results::replace_file(path, std::as_bytes(std::span(text.view())), [](std::span<const std::byte>) {});
  return alone;
}

int run(int argc, const char* const* argv) {
  const auto values = parse(argc, argv);
  if (values.count("help") > 0) return std::cout << usage(), EXIT_SUCCESS;
  if (values.count("version") > 0) return print_version(), EXIT_SUCCESS;
  const auto text = [&](const char* key) { return values.count(key) ? values[key].as<std::string>() : ""; };
  Violations violations;
  timeline::StepRange steps;
  if (values.count("steps") > 0) steps = parse_steps(text("steps"), violations);
  if (values.count("output") > 0)
    for (auto& refused :
         results::check_output_path("--output", text("output"), values.count("overwrite") > 0))
      violations.push_back(std::move(refused));
  results::RunRecord record;
  if (values.count("result") > 0)
    record = read(text("result"), steps, violations);
  else
    violations.push_back({"command line", "", "name a result file (see --help)"});
  if (!violations.empty()) throw base::ConfigError(violations);
  const auto alone = values.count("output") > 0 ? write_file(text("output"), record, steps)
                                                : timeline::write_trace(std::cout, record, steps);
  if (!std::cout.flush()) throw base::EnvironmentError("write", EIO, "standard output");
  if (alone > 0)
    std::cerr << "partita-timeline: note: " << alone << (alone == 1 ? " message has" : " messages have")
              << " one end only in these steps: no arrow\n";
  return EXIT_SUCCESS;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run(argc, argv);
  } catch (const base::ConfigError& wrong) {
    std::cerr << "partita-timeline: " << wrong.what() << '\n';
    return exit_bad_input;
  } catch (const std::exception& failed) {
    std::cerr << "partita-timeline: " << failed.what() << '\n';
    return exit_failed;
  }
}
