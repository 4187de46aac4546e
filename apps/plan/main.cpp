/// partita-plan: which split of a training a machine takes least time for.
#include <iostream>

#include "options.hpp"
#include "partita/base/end_signals.hpp"
#include "partita/command_line/program.hpp"
#include "partita/job/record.hpp"
#include "partita/predict/guesses.hpp"
#include "partita/results/result_file.hpp"
#include "print.hpp"
#include "run_files.hpp"

namespace {

using namespace partita;

/// The least that any plan needs, and which it is.
base::ConfigError nothing_fits(const predict::Plans& plans, kernels::Bytes limit) {
  const predict::Outcome* least = nullptr;
  for (const auto& outcome : plans.outcomes)
    if (outcome.fate == predict::Fate::too_large && (!least || outcome.memory < least->memory))
      least = &outcome;
  return base::ConfigError({{"memory", std::to_string(limit.value()),
                             "no plan fits: the least is " + std::to_string(least->memory.value()) +
                                 " bytes, by " + least->candidate.name() +
                                 "; more ranks, a smaller train.batch or more micro-batches need less"}});
}

int run_main(int argc, const char* const* argv) {
  std::vector<base::Violation> violations;
  auto own = plan_app::parse(argc, argv, violations);
  auto input = job::read_described_input(
      own.line, 0, std::move(violations),
      {{"write", own.write, results::Use::writes}, {"write-all", own.write_all, results::Use::keeps}});
  if (input.has_work() && !own.write.empty())
    input.append(results::check_output_path("write", own.write, input.options.overwrite));
  if (input.has_work() && !own.write_all.empty())
    input.append(plan_app::check_plans_folder(own.write_all, input.options.overwrite));
  const auto& options = input.options;
  if (input.has_work()) input.append(config::against_choice(options, "partita-plan"));
  if (options.help)
    return std::cout << plan_app::usage() << config::help_text("partita-plan", options.help_topic),
           command_line::success;
  if (options.version)
    return std::cout << base::version_text("partita-plan", job::libraries_in_use()), command_line::success;
  if (!input.violations.empty()) throw base::ConfigError(input.violations);
  if (options.print_config) return std::cout << config::print_config(options), command_line::success;
  own.search.samples = input.data->train.samples.value();
  if (!own.may_guess) {
    std::vector<std::int64_t> batches{options.train.batch};
    const auto rest = own.search.samples % options.train.batch;
    if (own.search.objective == predict::Objective::epoch && rest > 0) batches.push_back(rest);
    predict::Guesses guesses(input.machine);
    guesses.add_candidates(options, own.ranks, own.search.shares(), input.table, batches);
    guesses.refuse();
  }
  const auto plans = predict::search(options, own.ranks, input.machine, input.table, own.search);
  if (plans.count(predict::Fate::simulated) == 0) {
    if (plans.count(predict::Fate::too_large) > 0) throw nothing_fits(plans, *own.search.memory);
    throw base::ConfigError(
        {{"ranks", std::to_string(own.ranks), "no grid of so many ranks can split this training"}});
  }
  if (!input.machine.parts.empty())
    std::cout << "machine ranks " << text_of_parts(input.machine, own.ranks) << "\n";
  plan_app::print(std::cout, plans, own.search);
  // First, since it replaces all run files of plans in its folder.
  if (!own.write_all.empty()) plan_app::write_run_files(own.write_all, options, plans);
  if (!own.write.empty())
    plan_app::write_run_file(own.write, predict::with(options, plans.outcomes.front().candidate));
  return command_line::success;
}

}  // namespace

int main(int argc, char** argv) {
  base::end_on_signals("partita-plan");
  return command_line::run("partita-plan", [&] { return run_main(argc, argv); });
}
