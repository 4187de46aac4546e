/// partita-timeline: a result's timeline as a trace for Perfetto or chrome://tracing.
///
/// Data on stdout or in a file, messages on stderr. Exit 0; 1 when the trace cannot be written; 2 for bad
/// input.
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <limits>
#include <sstream>
#include <string>
#include <utility>

#include "partita/base/end_signals.hpp"
#include "partita/base/version.hpp"
#include "partita/command_line/command_line.hpp"
#include "partita/command_line/program.hpp"
#include "partita/results/atomic_file.hpp"
#include "partita/results/claim.hpp"
#include "partita/results/result_file.hpp"
#include "partita/results/version.hpp"
#include "trace.hpp"

namespace {

using namespace partita;
namespace po = boost::program_options;
using Violations = std::vector<base::Violation>;

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

timeline::StepRange parse_steps(const std::string& text, Violations& violations) {
  const auto colon = text.find(':');
  if (colon != std::string::npos) {
    Violations unused;
    const auto step = [&](const std::string& word) {
      return command_line::whole_number("", word, 0, std::numeric_limits<std::int64_t>::max(), unused);
    };
    const auto first = step(text.substr(0, colon)), last = step(text.substr(colon + 1));
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
  std::cout << base::version_text("partita-timeline", {{"hdf5", results::hdf5_version()}});
}

std::size_t write_file(const std::string& path, const results::RunRecord& record,
                       const timeline::StepRange& steps) {
  std::ostringstream text;
  const auto alone = timeline::write_trace(text, record, steps);
  results::replace_file(path, text.view());
  return alone;
}

int run(int argc, const char* const* argv) {
  const auto values = command_line::parse(command_line::words_of(argc, argv), described(), "result", 1);
  if (values.count("help") > 0) return std::cout << usage(), EXIT_SUCCESS;
  if (values.count("version") > 0) return print_version(), EXIT_SUCCESS;
  const auto text = [&](const char* key) { return command_line::text_of(values, key); };
  Violations violations;
  timeline::StepRange steps;
  if (values.count("steps") > 0) steps = parse_steps(text("steps"), violations);
  const auto append = [&](const Violations& more) {
    violations.insert(violations.end(), more.begin(), more.end());
  };
  const auto named = command_line::words_of(values, "result");
  const std::string result = named.empty() ? "" : named.front();
  const results::NamedPath files[] = {{"RESULT", result}, {"--output", text("output"), results::Use::writes}};
  results::Claims claims;
  auto refused = results::check_roles(files);
  if (refused.empty()) refused = claims.take(files);
  append(refused);
  if (values.count("output") > 0 && refused.empty())  // another's file is not even tried
    append(results::check_output_path("--output", text("output"), values.count("overwrite") > 0));
  results::RunRecord record;
  if (!result.empty())
    record = read(result, steps, violations);
  else
    violations.push_back({"command line", "", "name a result file (see --help)"});
  if (!violations.empty()) throw base::ConfigError(violations);
  const auto alone = values.count("output") > 0 ? write_file(text("output"), record, steps)
                                                : timeline::write_trace(std::cout, record, steps);
  if (alone > 0)
    std::cerr << "partita-timeline: note: " << alone << (alone == 1 ? " message has" : " messages have")
              << " one end only in these steps: no arrow\n";
  return EXIT_SUCCESS;
}

}  // namespace

int main(int argc, char** argv) {
  base::end_on_signals("partita-timeline");
  return command_line::run("partita-timeline", [&] { return run(argc, argv); });
}
