/// partita-simulate: what a training would cost on a machine, before it runs there.
#include <algorithm>
#include <iostream>

#include "options.hpp"
#include "partita/base/end_signals.hpp"
#include "partita/command_line/command_line.hpp"
#include "partita/command_line/program.hpp"
#include "partita/job/predicted_record.hpp"
#include "partita/job/record.hpp"
#include "partita/predict/guesses.hpp"
#include "partita/predict/scaling.hpp"
#include "partita/predict/search.hpp"
#include "partita/results/result_file.hpp"
#include "print.hpp"

namespace {

using namespace partita;

constexpr int most_ranks_of_file = 4096;

int nodes_of(const predict::Subject& subject) {
  const auto& node_of = subject.site.node_of;
  return node_of.empty() ? 1 : node_of.back() + 1;
}

void refuse_guesses(const simulate::Options& own, const job::Input& input) {
  predict::Guesses guesses(input.machine);
  if (own.scaling)
    guesses.add_scaling(input.options, input.table, own.scaling->first, own.scaling->second);
  else
    guesses.add(predict::subject_of(input.options, *input.split, input.machine, input.table),
                job::batches_of(input));
  guesses.refuse();
}

int run_main(int argc, const char* const* argv) {
  std::vector<base::Violation> violations;
  const auto own = simulate::parse(argc, argv, violations);
  std::vector<results::NamedPath> written;
  if (own.exported) written.push_back(named(*own.exported));
  auto input = job::read_described_input(own.line, own.ranks, std::move(violations), written);
  if (own.exported && input.has_work())
    input.append(check(*own.exported, input.options.grid.size(), input.options.overwrite));
  if (own.exported && input.has_work() && !config::has_usual_steps(input.options))
    input.violations.push_back(
        config::about_cadence(input.options, "--export, whose data ranks and steps are all alike"));
  const auto& options = input.options;
  if (options.help)
    return std::cout << simulate::usage() << config::help_text("partita-simulate", options.help_topic),
           command_line::success;
  if (options.version)
    return std::cout << base::version_text("partita-simulate", job::libraries_in_use()),
           command_line::success;
  if (!options.output.empty() && !own.scaling && options.grid.size() > most_ranks_of_file)
    input.violations.push_back({"output", options.output.string(),
                                "has rows of every rank: at most " + std::to_string(most_ranks_of_file) +
                                    " ranks; leave it out to see the summary"});
  if (const auto ranks = own.scaling ? own.scaling->second : static_cast<int>(options.grid.size());
      options.server.count > 0 && ranks > static_cast<int>(sim::most_full_ranks))
    input.violations.push_back({"server.count", std::to_string(options.server.count),
                                "is played push by push, on at most " + std::to_string(sim::most_full_ranks) +
                                    " ranks, not on " + std::to_string(ranks) + "; the nearest is 0"});
  const auto supposed =
      predict::suppose(input.machine, own.what_if, static_cast<int>(options.grid.size()), input.violations);
  if (input.has_work()) input.append(check(own, input.machine, options.grid.size(), options.server.count));
  if (!input.violations.empty()) throw base::ConfigError(input.violations);
  if (options.print_config) return std::cout << config::print_config(options), command_line::success;
  if (!own.may_guess) refuse_guesses(own, input);
  const auto write_result = [&](const auto&... predicted) {
    if (!options.output.empty())
      results::write_snapshot(options.output,
                              job::record_of(input, command_line::text_of(argc, argv), predicted...));
  };
  if (own.scaling) {
    const auto rows =
        predict::scaling_of(options, supposed, input.table, own.scaling->first, own.scaling->second);
    simulate::print(std::cout, rows);
    write_result(rows);
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
  if (own.noise)
    simulate::print_noise(std::cout, subject, supposed, predictions.rbegin()->first,
                          {.deviation = own.deviation ? machine::Variance{.within_run = *own.deviation}
                                                      : input.machine.variance});
  if (own.failures)
    simulate::print_failures(std::cout, subject, input.machine.checkpoint, *own.failures, nodes_of(subject));
  write_result(subject, supposed.machine, predictions);
  if (own.exported) write(std::cout, *own.exported, subject, supposed, predictions.rbegin()->first);
  return command_line::success;
}

}  // namespace

int main(int argc, char** argv) {
  base::end_on_signals("partita-simulate");
  return command_line::run("partita-simulate", [&] { return run_main(argc, argv); });
}
