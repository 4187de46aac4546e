/// partita-sweep: trains many configurations of a run on groups of ranks side by side.
#include <iostream>

#include "folder.hpp"
#include "partita/base/end_signals.hpp"
#include "partita/command_line/program.hpp"
#include "partita/job/record.hpp"
#include "summary.hpp"
#include "sweep.hpp"

namespace partita::sweep {
namespace {

/// Whether any rank refuses to go on; prints why, on rank 0. Collective.
bool is_refused(comm::Communicator& world, const std::vector<base::Violation>& mine) {
  const auto violations = world.agree(mine);
  if (world.rank() == 0)
    for (const auto& violation : violations)
      std::cerr << "partita-sweep: " << to_string(violation) << "\n";
  return !violations.empty();
}

int run_main(int argc, char** argv) {
  return comm::run_program(argc, argv, std::cerr, [&](comm::MpiEnvironment& environment) -> int {
    auto world = comm::Communicator::world(environment);
    const bool prints = world.rank() == 0;
    std::vector<base::Violation> mine;
    const auto options = parse(argc, argv, mine);
    job::DataSets sets;
    std::vector<Configuration> all;
    results::Claims claims;
    if (options.has_work()) {
      const bool readable = mine.empty();
      all = configurations_of(options, sets, mine);
      const auto append = [&](const std::vector<base::Violation>& more) {
        mine.insert(mine.end(), more.begin(), more.end());
      };
      append(comm::check_launch(world.size()));
      if (options.runs() && readable) append(check_groups(options, all, world.nodes()));
      auto refused = prints ? results::check_roles(files_of(options, all)) : std::vector<base::Violation>{};
      const bool writes = prints && !options.dry_run;
      if (writes && refused.empty()) refused = claim_folder(options, claims);
      if (prints && options.runs() && refused.empty()) refused = check_runs_are_free(options, all);
      append(refused);
      if (writes && refused.empty()) append(check_folder(options, all));  // another's is not even tried
    }
    if (is_refused(world, mine)) return job::bad_input;
    if (options.runs()) {
      mine = prints ? open_folder(options, all) : std::vector<base::Violation>{};
      // Nobody takes a configuration before the folder is ready.
      if (is_refused(world, mine)) return job::bad_input;
      return run(options, all, environment, world);
    }
    if (!prints) return job::success;
    if (options.index_only && options.has_work()) return index_only(options, all);
    if (options.help)
      std::cout << help_text();
    else if (options.version)
      std::cout << base::version_text("partita-sweep", job::libraries_in_use());
    else if (options.print_config)
      std::cout << print_config(options);
    else
      print_list(std::cout, options, all);
    return job::success;
  });
}

}  // namespace
}  // namespace partita::sweep

int main(int argc, char** argv) {
  partita::base::end_on_signals("partita-sweep");  // until there is something to go on from
  return partita::command_line::run("partita-sweep", [&] { return partita::sweep::run_main(argc, argv); });
}
