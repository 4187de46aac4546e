/// Own options are taken out of the words; a run reads the others.
#include "partita/job/own_options.hpp"

#include <algorithm>
#include <sstream>

#include "partita/base/nearest.hpp"
#include "partita/config/option_words.hpp"
#include "partita/job/files.hpp"
#include "partita/job/training_job.hpp"
#include "partita/results/result_file.hpp"

namespace partita::job {
namespace {

void keep(const config::OptionWords& option, std::vector<std::string>& words) {
  if (option.is_option) words.push_back("--" + option.name + (option.value ? "=" + *option.value : ""));
  words.insert(words.end(), option.words.begin(), option.words.end());
}

/// As many as the grid that the run names; where it names no data ranks, the fewest that its way to
/// synchronise goes with.
int ranks_of(const config::RunOptions& options) {
  const int fewest = options.sync.secure ? 3 : options.server.count + 1;
  return static_cast<int>(std::int64_t{options.data_ranks.value_or(fewest)} * options.grid.pipeline *
                          options.grid.tensor);
}

}  // namespace

CommandLine split_command_line(int argc, const char* const* argv, std::span<const OwnOption> own,
                               std::vector<base::Violation>& violations) {
  CommandLine line;
  line.run.emplace_back(argc > 0 ? argv[0] : "");
  for (const auto& option : own)
    line.known.push_back(option.name);
  for (auto& option : config::split_by_option({argv + std::min(argc, 1), argv + argc})) {
    const auto known = std::ranges::find(own, option.name, &OwnOption::name);
    if (known == own.end()) {
      keep(option, line.run);
      continue;
    }
    const bool is_switch = known->value.empty();
    const auto value = is_switch ? option.value : option.take_value();
    if (is_switch && value) violations.push_back({option.name, *value, "takes no value"});
    if (!is_switch && !value && !known->value_may_lack)
      violations.push_back(
          {option.name, "", "needs a value: --" + option.name + "=" + std::string(known->value)});
    if (!line.own.emplace(option.name, value.value_or("")).second)
      violations.push_back({option.name, value.value_or(""), "is given twice"});
    for (const auto& word : option.words)
      violations.push_back({word, "", "is not an option; options begin with --"});
  }
  return line;
}

Input read_described_input(const CommandLine& line, int ranks, std::vector<base::Violation> earlier,
                           std::vector<results::NamedPath> written) {
  std::vector<const char*> words;
  for (const auto& word : line.run)
    words.push_back(word.c_str());
  const int count = static_cast<int>(words.size());
  std::vector<base::Violation> of_options;  // read again, and told, with the rest
  const auto options = config::parse(count, words.data(), of_options);
  DataSets sets;
  auto input =
      read_shared_input(count, words.data(), ranks > 0 ? ranks : ranks_of(options), sets, Kernels::described);
  for (auto& violation : input.violations)  // of words that are no key of a run, nor nearly one
    if (violation.message == "unknown key")
      violation.message += base::did_you_mean(violation.key, line.known);
  input.violations.insert(input.violations.begin(), earlier.begin(), earlier.end());
  if (!input.has_work()) return input;
  written.push_back({"output", input.options.output, results::Use::writes});
  auto files = files_read(input);
  files.insert(files.end(), written.begin(), written.end());
  if (hold(input, files) && !input.options.output.empty())
    input.append(results::check_output_path("output", input.options.output, input.options.overwrite));
  return input;
}

std::string help_of(std::span<const OwnOption> own) {
  std::ostringstream text;
  for (const auto& option : own)
    text << "  --" << option.name
         << (option.value_may_lack  ? "[="
             : option.value.empty() ? ""
                                    : "=")
         << option.value << (option.value_may_lack ? "]" : "") << "\n      " << option.meaning << "\n";
  return text.str();
}

}  // namespace partita::job
