/// partita-calibrate: what this machine takes for the work of a training step, as a machine file.
#include <algorithm>
#include <iostream>
#include <span>
#include <string>

#include "calibration.hpp"
#include "options.hpp"
#include "own_error.hpp"
#include "partita/base/end_signals.hpp"
#include "partita/base/version.hpp"
#include "partita/calibrate/provenance.hpp"
#include "partita/comm/library.hpp"
#include "partita/command_line/command_line.hpp"
#include "partita/command_line/program.hpp"
#include "partita/kernels/backend.hpp"
#include "partita/kernels/cpu/library.hpp"
#include "partita/results/atomic_file.hpp"
#include "partita/results/claim.hpp"
#include "partita/results/result_file.hpp"

namespace {

using namespace partita;
using command_line::bad_input, command_line::success;

base::Versions libraries_in_use() {
  return {{"mpi", comm::library_version()}, {"onednn", kernels::cpu::onednn_version()}};
}

/// Nobody else's file, and one that can be written.
void check_output(const calibrate::Options& options, results::Claims& claims,
                  std::vector<base::Violation>& violations) {
  if (options.output.empty()) return;
  const results::NamedPath files[] = {{"output", options.output, results::Use::writes}};
  auto refused = claims.take(files);
  if (refused.empty()) refused = results::check_output_path("output", options.output, options.overwrite);
  violations.insert(violations.end(), refused.begin(), refused.end());
}

/// Replaces the file by comments and statements, unless they read back as another machine.
void write(const std::filesystem::path& path, const machine::Machine& machine,
           const std::vector<std::string>& comments) {
  std::string text;
  for (const auto& comment : comments)
    text += "# " + comment + "\n";
  text += machine.to_text();
  results::replace_file(path, std::as_bytes(std::span(text)), [&](std::span<const std::byte> written) {
    std::vector<base::Violation> violations;
    const auto read =
        machine::Machine::parse({reinterpret_cast<const char*>(written.data()), written.size()}, violations);
    base::expect(violations.empty(), "a machine file is sound",
                 violations.empty() ? std::string() : to_string(violations.front()));
    base::expect(read == machine, "a machine file reads back as the machine that was measured");
  });
}

int calibrate_machine(comm::MpiEnvironment& environment, comm::Communicator& control,
                      const calibrate::Options& options, const std::string& command_line) {
  constexpr double waits = 4, at_least = 300;  // ranks that others leave the cores to wait for long
  environment.set_wait_limit(at_least + waits * options.budget_seconds);
  auto world = control.with_nodes_of(options.ranks_per_node);
  auto self = comm::Communicator::self(environment);
  const auto hosts = world.gather_text(environment.host(), 0, collective::Purpose::control);
  calibrate::Loads loads{.before = calibrate::load(), .own = control.local_size() * options.threads};
  const auto backend = kernels::make_cpu_backend(options.threads);
  const int imitated = std::max(1, control.local_size() / world.local_size());  // nodes on this one
  auto found = measure({.environment = environment,
                        .world = world,
                        .self = self,
                        .node_cores = std::max(1, control.node_cores() / imitated),
                        .have_cores = loads.own <= control.node_cores()},
                       *backend, options, std::cout);
  if (world.rank() > 0) return success;
  loads.after = calibrate::load();
  found.machine.provenance = provenance_of(hosts, loads);
  std::vector<std::string> comments{"What this machine takes, as it was measured by: " + command_line};
  comments.insert(comments.end(), found.notes.begin(), found.notes.end());
  const auto warning = warning_of(loads);
  if (!warning.empty()) comments.push_back("Warning: " + warning + ".");
  write(options.output, found.machine, comments);
  std::cout << "wrote " << options.output.string() << ", hash " << found.machine.hash() << "\n";
  print(std::cout, predict(found, calibrate::format_of(*backend)));
  if (!warning.empty()) std::cerr << "partita-calibrate: warning: " << warning << std::endl;
  return success;
}

int run_main(int argc, char** argv) {
  const auto command_line = command_line::text_of(argc, argv);
  return comm::run_program(argc, argv, std::cerr, [&](comm::MpiEnvironment& environment) -> int {
    auto control = comm::Communicator::world(environment);
    const bool prints = control.rank() == 0;
    std::vector<base::Violation> violations;
    const auto options = calibrate::parse(argc, argv, violations);
    const bool works = !options.help && !options.version;
    if (works)
      for (auto& violation : comm::check_launch(control.size()))
        violations.push_back(std::move(violation));
    results::Claims claims;
    if (prints && works) check_output(options, claims, violations);
    violations = control.agree(violations);
    if (!violations.empty()) {
      if (prints)
        for (const auto& violation : violations)
          std::cerr << "partita-calibrate: " << to_string(violation) << "\n";
      return bad_input;
    }
    if (!works) {
      if (prints)
        std::cout << (options.help ? calibrate::help_text()
                                   : base::version_text("partita-calibrate", libraries_in_use()));
      return success;
    }
    return calibrate_machine(environment, control, options, command_line);
  });
}

}  // namespace

int main(int argc, char** argv) {
  base::end_on_signals("partita-calibrate");
  return command_line::run("partita-calibrate", [&] { return run_main(argc, argv); });
}
