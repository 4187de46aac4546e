/// partita-simulate: what a training would cost on a machine, before it runs there.
#include <iostream>

#include "options.hpp"
#include "partita/base/end_signals.hpp"
#include "partita/command_line/program.hpp"
#include "partita/job/files.hpp"
#include "partita/job/predicted_record.hpp"
#include "partita/job/record.hpp"
#include "partita/job/training_job.hpp"
#include "partita/results/result_file.hpp"
#include "print.hpp"

namespace {

using namespace partita;

/// The run's own number of ranks, where none is asked for.
int ranks_of(const config::RunOptions& options) {
  return static_cast<int>(std::int64_t{options.data_ranks.value_or(1)} * options.grid.pipeline *
                          options.grid.tensor);
}

job::Input read_input(const simulate::Options& own, std::vector<base::Violation> violations) {
  std::vector<const char*> words;
  for (const auto& word : own.run)
    words.push_back(word.c_str());
  const int count = static_cast<int>(words.size());
  std::vector<base::Violation> of_options;  // read again, and told, with the rest
  const auto options = config::parse(count, words.data(), of_options);
  const int ranks = own.ranks > 0 ? own.ranks : ranks_of(options);
  job::DataSets sets;
  auto input = job::read_shared_input(count, words.data(), ranks, sets);
  if (!input.has_work()) return input;
  input.append(violations);
  if (input.options.backend == config::Backend::cuda)
    std::erase_if(input.violations, [](const auto& v) { return v.key == "compute.backend"; });
  auto files = job::files_read(input);
  files.push_back({"output", input.options.output, results::Use::writes});
  if (job::hold(input, files) && !input.options.output.empty())
    input.append(results::check_output_path("output", input.options.output, input.options.overwrite));
  return input;
}

int run(int argc, const char* const* argv) {
  std::vector<base::Violation> violations;
  const auto own = simulate::parse(argc, argv, violations);
  auto input = read_input(own, violations);
  if (!input.violations.empty()) throw base::ConfigError(input.violations);
  const auto& options = input.options;
  if (options.help)
    return std::cout << simulate::usage() << config::help_text("partita-simulate", options.help_topic),
           command_line::success;
  if (options.version)
    return std::cout << base::version_text("partita-simulate", job::libraries_in_use()),
           command_line::success;
  if (options.print_config) return std::cout << config::print_config(options), command_line::success;
  const auto subject = job::subject_of(input, {});
  std::map<std::int64_t, predict::Prediction> predictions;
  for (const auto batch : job::batches_of(input))
    predictions.emplace(batch, predict::predict(subject, input.machine, batch, 4));
  simulate::print(std::cout, subject, input.machine, predictions.rbegin()->second,
                  input.data->train.samples.value());
  if (!options.output.empty())
    results::write_snapshot(options.output,
                            job::record_of(input, job::words_of(argc, argv), subject, predictions));
  return command_line::success;
}

}  // namespace

int main(int argc, char** argv) {
  base::end_on_signals("partita-simulate");
  return command_line::run("partita-simulate", [&] { return run(argc, argv); });
}
