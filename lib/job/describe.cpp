/// Builds the programs of all roles as a run would, checks that they can be executed, and lists each role's
/// layers, memory and traffic; and what the event model says of the step.
#include "partita/job/describe.hpp"

#include <iomanip>
#include <sstream>
#include <utility>

#include "partita/base/error.hpp"
#include "partita/cost/work.hpp"
#include "partita/memory/arena.hpp"
#include "partita/plan/grid.hpp"
#include "partita/predict/candidates.hpp"
#include "partita/predict/prediction.hpp"
#include "partita/sim/simulate.hpp"
#include "partita/step/check.hpp"
#include "partita/step/compression.hpp"
#include "partita/step/memory.hpp"
#include "partita/step/traffic.hpp"

namespace partita::job {
namespace {

/// The layers of a role, a line each: "conv1+relu  10x24x24  10x1x5x5  260  column".
void describe_layers(std::ostream& out, const step::Program& program, const model::ModelSpec& model) {
  out << "  " << std::left << std::setw(16) << "layer" << std::setw(14) << "output" << std::setw(18)
      << "weight" << std::right << std::setw(12) << "parameters"
      << "  placement\n";
  for (const auto& unit : program.units) {
    const auto& local = unit.local;
    const auto parameters = local.parameters();
    out << "  " << std::left << std::setw(16) << name_of(unit, model) << std::setw(14)
        << (unit.idle ? "nothing" : to_string(local.output)) << std::setw(18)
        << (parameters.empty() || parameters.front().is_running ? "" : to_string(parameters.front().shape))
        << std::right << std::setw(12) << local.parameter_elements() << "  " << to_string(unit.variant)
        << "\n";
  }
}

/// "data all_reduce gradient: 2 calls, 407080 bytes, by ring, sent 407080, received 407080".
void describe_traffic(std::ostream& out, const step::Program& program, std::int64_t batch,
                      const step::Site& site, step::StepKind kind) {
  const int rank =
      topology::rank_of(program.grid, {.pipeline = program.at.pipeline, .tensor = program.at.tensor});
  const auto traffic = step::traffic_of_step(program, rank, batch, site, kind);
  for (const auto& [key, row] : traffic) {
    const auto& counts = row.counts;
    out << "    " << to_string(key.axis) << ' ' << to_string(key.operation) << ' ' << to_string(key.purpose)
        << ": " << counts.calls << " calls, " << counts.payload_bytes << " bytes";
    for (const auto algorithm : row.algorithms)
      out << (algorithm == *row.algorithms.begin() ? ", by " : " or ") << to_string(algorithm);
    const std::pair<std::string_view, kernels::Bytes> columns[] = {
        {"sent", counts.wire_bytes},
        {"received", counts.wire_bytes_received},
        {"loaded", counts.window_bytes_read},
        {"stored", counts.window_bytes_written},
        {"modelled", counts.modelled_wire_bytes.value_or(kernels::Bytes(0))}};
    for (const auto& [word, bytes] : columns)
      if (bytes.value() > 0) out << ", " << word << ' ' << bytes;
    out << "\n";
  }
  if (traffic.empty()) out << "    none\n";
}

void describe_role(std::ostream& out, const step::Program& program, const model::ModelSpec& model,
                   std::int64_t batch, std::ptrdiff_t states, const step::Site& site) {
  const auto parameters = bytes_of(program.type, program.held_count);
  const auto states_of_role =
      bytes_of(program.type, program.state_count) * states + bytes_of(program.type, program.outer_count) * 2;
  const auto activations = step::plan_memory(program, 0, batch, memory::alignment).total;
  if (program.serves())
    out << "\nserver " << program.at.data - program.workers() << ", data rank " << program.at.data << "\n";
  else
    out << "\nstage " << program.at.pipeline << ", tensor rank " << program.at.tensor << "\n";
  describe_layers(out, program, model);
  out << "  memory in bytes: parameters " << parameters << ", gradients "
      << bytes_of(program.type, program.gradient_count) << ", optimizer state " << states_of_role
      << ", activations and messages " << activations;
  if (const auto carried = step::codec_state(program); carried.value() > 0)
    out << ", codec state " << carried;
  if (const auto axes = step::secure_axes(program); !axes.empty()) {
    out << "\n  secure sums: " << step::sent_keys(program)
        << " bytes of public keys sent at the start; an element of a gradient may be at most";
    for (const auto axis : axes)
      out << (axis == axes.front() ? " " : ", ") << step::largest_secure(program, axis) << " over "
          << to_string(axis);
  }
  out << "\n"
      << "  payload of a step by axis, operation, purpose, and what its rounds exchange\n";
  const auto kinds = step::different_kinds(program.cadence);
  for (const auto kind : kinds) {
    if (kinds.size() > 1) out << "    of a step that is " << to_string(kind) << ":\n";
    describe_traffic(out, program, batch, site, kind);
  }
}

/// What the event model says of all ranks together.
void describe_simulation(std::ostream& out, const step::ProgramsByRank& programs, std::int64_t batch,
                         const machine::Machine& machine, const step::Site& site,
                         const cost::Execution& execution) {
  const auto steady = step::steady_steps(programs.front()->cadence, 3);
  const auto simulation = sim::simulate(programs, sim::costs_on(machine, programs, batch, site, execution),
                                        static_cast<int>(steady.kinds.size()), {.steady = steady});
  out << "\nevent model of a step at " << machine.flops_per_second / 1e9 << " GFLOP/s and "
      << machine.link_bytes_per_second / 1e9 << " GB/s a rank"
      << (machine.parts.empty() ? "" : " (ranks " + text_of_parts(machine, std::ssize(programs)) + ")")
      << ": " << machine::seconds_of(simulation.step_duration()) * 1e3 << " ms, idle fraction "
      << simulation.idle_fraction() << "\n";
  if (execution.crowding > 1) out << predict::text_of_shared_cores() << "\n";
}

/// `roles` of each of the programs that are executed.
void expect_executable(const Description& description, const std::vector<step::Roles>& roles) {
  std::string text;
  for (std::size_t i = 0; i < roles.size(); ++i)
    for (const auto batch : description.programs[i].batches)
      for (const auto& fault : step::faults_of(roles[i].by_rank, description.split.model, batch))
        text += "\n  " + fault;
  if (!text.empty()) throw base::ContractError("this run cannot be executed:" + text);
}

/// Where the algorithm of all-reduces comes from.
std::string_view reason_of(collective::Algorithm used, const config::RunOptions& options) {
  if (used == collective::Algorithm::automatic) return "each looked up in the table of algorithms";
  return used == options.sync.algorithm ? "sync.algorithm" : "chosen by train.deterministic";
}

void describe_roles(std::ostream& out, const config::RunOptions& options, const Description& description,
                    const step::Roles& roles) {
  const auto& [model, plan, batch] = description.split;
  const auto algorithm = plan.all_reduces.named();
  const auto share = step::largest_share(plan.grid, plan.weights, batch);
  out << "grid   " << to_string(plan.grid) << "\nbatch  " << batch << " samples, at most " << share
      << " on a data rank, in " << plan.pipeline.microbatches << " micro-batches ("
      << to_string(plan.pipeline.schedule) << ")\nmodel  " << model.name << ", input "
      << to_string(model.input) << ", " << model.parameters() << " parameters, "
      << cost::flops_of_sample(model) / 1e6 << " MFLOP a sample\nsync   all-reduces by "
      << to_string(algorithm) << ": " << reason_of(algorithm, options) << "\n";
  for (const auto& role : roles.programs)
    describe_role(out, role, model, batch, std::ssize(kernels::states_of(options.train.optimizer.rule)),
                  description.site);
  if (plan.grid.size() > 1)
    describe_simulation(out, roles.by_rank, batch, description.machine, description.site,
                        predict::execution_of(options, plan.grid.size(), description.machine));
}

}  // namespace

std::string describe(const config::RunOptions& options, const Description& description) {
  const auto& split = description.split;
  std::ostringstream out;
  if (options.dry_run) {
    std::vector<step::Roles> roles;
    for (const auto& executed : description.programs)
      roles.emplace_back(split.plan.grid, executed.program_at);
    expect_executable(description, roles);
    describe_roles(out, options, description, roles.front());
  }
  if (options.print_program) {
    const int rank = *options.print_program;
    const auto program =
        description.programs.front().program_at(topology::coordinate_of(split.plan.grid, rank));
    out << to_string(step::resolve(program, rank, split.batch, description.site), split.model);
  }
  return out.str();
}

step::Site assumed_site(const Job& job) {
  const auto& options = job.input.options;
  const auto nodes = job.world.nodes();
  step::Site site{.node_of = {nodes.begin(), nodes.end()}, .table = job.input.table};
  const auto way = options.sync.device_messages;
  if (options.backend != config::Backend::cuda || way == collective::DeviceMessages::staged ||
      way == collective::DeviceMessages::direct)
    return site;
  for (const auto axis : topology::axes)
    if (!topology::spans_nodes(options.grid, axis, site.node_of)) site.reached.insert(axis);
  return site;
}

}  // namespace partita::job
