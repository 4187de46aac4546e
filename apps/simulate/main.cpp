/// partita-simulate: what a training would cost on a machine, before it runs there.
#include <algorithm>
#include <iostream>

#include "options.hpp"
#include "partita/base/end_signals.hpp"
#include "partita/command_line/program.hpp"
#include "partita/job/predicted_record.hpp"
#include "partita/job/record.hpp"
#include "partita/predict/scaling.hpp"
#include "partita/predict/search.hpp"
#include "partita/results/result_file.hpp"
#include "print.hpp"

namespace {

using namespace partita;

constexpr int most_ranks_of_file = 4096;

int run(int argc, const char* const* argv) {
  std::vector<base::Violation> violations;
  const auto own = simulate::parse(argc, argv, violations);
  std::vector<results::NamedPath> written;
  if (own.exported) written.push_back(named(*own.exported));
  auto input = job::read_described_input(own.line, own.ranks, std::move(violations), written);
  const bool is_held = std::ranges::none_of(
      input.violations, [](const auto& v) { return v.key.find("export-to") != std::string::npos; });
  if (own.exported && input.has_work() && is_held)  // another's file is not even tried
    input.append(check(*own.exported, input.options.grid.size(), input.options.overwrite));
  if (!input.options.output.empty() && input.options.grid.size() > most_ranks_of_file)
    input.violations.push_back({"output", input.options.output.string(),
                                "has rows of every rank: at most " + std::to_string(most_ranks_of_file) +
                                    " ranks; leave it out to see the summary"});
  const auto supposed = predict::suppose(input.machine, own.what_if,
                                         static_cast<int>(input.options.grid.size()), input.violations);
  if (!input.violations.empty()) throw base::ConfigError(input.violations);
  const auto& options = input.options;
  if (options.help)
    return std::cout << simulate::usage() << config::help_text("partita-simulate", options.help_topic),
           command_line::success;
  if (options.version)
    return std::cout << base::version_text("partita-simulate", job::libraries_in_use()),
           command_line::success;
  if (options.print_config) return std::cout << config::print_config(options), command_line::success;
  if (own.scaling) {
    simulate::print(std::cout, predict::scaling_of(options, supposed, input.table, own.scaling->first,
                                                   own.scaling->second));
    return command_line::success;
  }
  const auto subject = predict::subject_of(options, *input.split, input.machine, input.table);
  // A file has every rank's instructions.
  const auto depth = options.output.empty() ? sim::Depth::automatic : sim::Depth::full;
  std::map<std::int64_t, predict::Prediction> predictions;
  for (const auto batch : job::batches_of(input))
    predictions.emplace(batch, predict::predict(subject, supposed, batch, 4, depth));
  simulate::print(std::cout, subject, supposed, predictions.rbegin()->second,
                  input.data->train.samples.value());
  if (!options.output.empty())
    results::write_snapshot(options.output,
                            job::record_of(input, job::words_of(argc, argv), subject, predictions));
  if (own.exported) write(std::cout, *own.exported, subject, supposed, predictions.rbegin()->first);
  return command_line::success;
}

}  // namespace

int main(int argc, char** argv) {
  base::end_on_signals("partita-simulate");
  return command_line::run("partita-simulate", [&] { return run(argc, argv); });
}
