/// The way from the command line to a running program: options, grid, data and model file are checked
/// together, all ranks agree on what is wrong, then world, back-end and limits are made as the options say.
#include "partita/job/job.hpp"

#include <algorithm>
#include <cstring>
#include <iostream>

#include "partita/command_line/command_line.hpp"
#include "partita/job/preprocessing.hpp"
#include "partita/job/record.hpp"
#include "partita/kernels/cuda/backend.hpp"
#include "partita/kernels/cuda/devices.hpp"

namespace partita::job {
namespace {

void read_start(Input& input) {
  const auto& path = input.options.load_model;
  try {
    input.start = results::read_model(path);
    input.options.load_model_hash = results::content_hash(*input.start);
  } catch (const base::ConfigError& wrong) {
    for (const auto& v : wrong.violations())
      input.violations.push_back({"load-model", v.key, v.message});
  } catch (const base::EnvironmentError& wrong) {
    input.violations.push_back(
        {"load-model", path.string(),
         "cannot be read: " + std::string(std::strerror(static_cast<int>(wrong.code())))});
  }
}

kernels::cuda::Precision cuda_precision(const config::RunOptions& options) {
  using kernels::cuda::Precision;
  switch (options.train.precision) {
    case config::Precision::tf32:
      return Precision::tf32;
    case config::Precision::bf16:
      return Precision::bf16;
    default:
      return Precision::fp32;
  }
}

/// A driver, a device, messages that MPI can send from it, and a kernel of that name.
void check_cuda(Input& input) {
  const auto query = kernels::cuda::query_devices();
  if (query.devices.empty())
    input.violations.push_back({"compute.backend", "cuda", "no CUDA device to compute on: " + query.problem});
  for (const auto& device : query.devices)
    if (device.major < 8)
      input.violations.push_back(
          {"compute.backend", "cuda", device.name + " has not the compute capability 8.0 that is needed"});
  if (input.options.sync.device_messages == collective::DeviceMessages::direct &&
      !comm::reaches_device_memory())
    input.violations.push_back(
        {"sync.device-messages", "direct",
         "needs an MPI library that reaches the memory of devices; the nearest is auto"});
  const auto names = kernels::cuda::gemm_names(cuda_precision(input.options));
  const auto& gemm = input.options.gemm;
  if (std::find(names.begin(), names.end(), gemm) != names.end()) {
    if (const auto problem = gemm == "cublas" ? kernels::cuda::cublas_problem() : ""; !problem.empty())
      input.violations.push_back({"compute.gemm", gemm, "cannot be used: " + problem});
    return;
  }
  std::string known;
  for (const auto& name : names)
    known += (known.empty() ? "" : ", ") + name;
  input.violations.push_back({"compute.gemm", gemm,
                              "is no kernel of the family for train.precision=" +
                                  std::string(to_string(input.options.train.precision)) + "; it has " +
                                  known});
}

/// Ranks of one host take its devices in turn; where there are more ranks, several share one.
std::unique_ptr<kernels::Backend> make_cuda_backend(const Job& job) {
  const auto& options = job.input.options;
  const auto devices = static_cast<int>(kernels::cuda::query_devices().devices.size());
  return kernels::cuda::make_cuda_backend({.device = job.rank_on_host % std::max(1, devices),
                                           .precision = cuda_precision(options),
                                           .gemm = options.gemm});
}

/// What a switch asks for instead of a run.
std::string answer(const Program& program, const config::RunOptions& options) {
  if (options.help) return config::help_text(program.name, options.help_topic);
  if (options.version) return base::version_text(program.name, libraries_in_use());
  return config::print_config(options);
}

}  // namespace

std::shared_ptr<const data::DataPair> DataSets::load(const data::DataOptions& options,
                                                     std::vector<base::Violation>& violations) {
  auto found = std::find_if(loaded_.begin(), loaded_.end(),
                            [&](const Loaded& loaded) { return loaded.options == options; });
  if (found == loaded_.end()) {
    found = loaded_.insert(found, {.options = options});
    if (auto data = data::load(options, found->violations))
      found->data = std::make_shared<const data::DataPair>(std::move(*data));
  }
  violations.insert(violations.end(), found->violations.begin(), found->violations.end());
  return found->data;
}

Input read_input(int argc, const char* const* argv, int world_size, DataSets& sets, Normalised normalised,
                 Kernels kernels) {
  Input input;
  auto& options = input.options = config::parse(argc, argv, input.violations);
  if (!input.has_work()) return input;
  input.model_is_known = input.violations.empty();
  const auto misfit = config::fit_to_world(options, world_size);
  input.grid_fits = misfit.empty();
  input.append(misfit);
  if (options.print_program && *options.print_program >= world_size)
    input.violations.push_back({"print-program", std::to_string(*options.print_program),
                                "is no rank of this job; the nearest is " + std::to_string(world_size - 1)});
  if (!options.sync.table.empty())
    input.table = collective::AlgorithmTable::read(options.sync.table, "sync.table", input.violations);
  if (!options.machine.empty()) {
    const auto wrong = input.violations.size();
    input.machine = machine::Machine::read(options.machine, "machine", input.violations);
    input.append(machine::check_ranks(input.machine, world_size));
    if (input.violations.size() == wrong) options.machine_hash = input.machine.hash();
  }
  if (!options.virtual_clock.empty()) {
    input.clock = machine::Machine::read(options.virtual_clock, "virtual-clock", input.violations);
    input.append(machine::check_ranks(*input.clock, world_size));
    options.virtual_clock_hash = input.clock->hash();
  }
  if (!options.load_model.empty()) read_start(input);
  const bool as_trained = input.start && normalised == Normalised::as_trained;
  input.data = as_trained ? load_as_trained(options, *input.start, sets, input.violations)
                          : sets.load(options.data, input.violations);
  if (input.data && !as_trained) options.own_normalisation = input.data->train.own_normalisation;
  if (input.data && input.model_is_known) input.append(config::check_data(options, *input.data));
  if (options.backend == config::Backend::cuda && kernels == Kernels::run_here) check_cuda(input);
  return input;
}

int Job::threads(int wanted) const {
  return wanted > 0 ? wanted : std::max(1, world.node_cores() / ranks_on_host);
}

int run_main(const Program& program, int argc, char** argv) {
  return comm::run_program(argc, argv, std::cerr, [&](comm::MpiEnvironment& environment) -> int {
    auto control = comm::Communicator::world(environment);
    Input input = program.read(argc, argv, control.rank(), control.size());
    if (input.has_work()) input.append(comm::check_launch(control.size()));
    if (input.split) input.append(config::check_nodes(input.options, *input.split, control.nodes()));
    const auto violations = control.agree(input.violations);
    const bool prints = control.rank() == 0;
    if (!violations.empty()) {
      if (prints)
        for (const auto& violation : violations)
          std::cerr << program.name << ": " << to_string(violation) << "\n";
      return bad_input;
    }
    if (!input.has_work()) {
      if (prints) std::cout << answer(program, input.options);
      return success;
    }
    environment.set_wait_limit(input.options.watchdog_seconds);
    const int ranks_on_host = control.local_size(), rank_on_host = control.local_rank();
    const int imitated = input.options.sync.ranks_per_node;
    auto world = imitated > 0 ? control.with_nodes_of(imitated) : std::move(control);
    world.use(input.table);
    if (prints && input.writes() && input.options.strategy != config::Strategy::none)
      std::cerr << "strategy " << to_string(input.options.strategy) << ": grid "
                << to_string(input.options.grid) << std::endl;
    return program.run({.input = input,
                        .environment = environment,
                        .world = world,
                        .ranks_on_host = ranks_on_host,
                        .rank_on_host = rank_on_host,
                        .command_line = command_line::text_of(argc, argv)});
  });
}

std::unique_ptr<kernels::Backend> make_backend(const Job& job, int threads) {
  const auto& options = job.input.options;
  if (options.backend == config::Backend::cuda) return make_cuda_backend(job);
  if (options.backend == config::Backend::cpu) return kernels::make_cpu_backend(threads);
  return kernels::make_reference_backend(options.train.precision == config::Precision::fp64
                                             ? kernels::DataType::float64
                                             : kernels::DataType::float32);
}

void print_last_lines(std::ostream& lines, const std::vector<results::Figure>& figures,
                      std::string_view failure) {
  for (const auto& figure : figures)
    lines << "FOM name=" << figure.name << " value=" << figure.value << " unit=" << figure.unit << "\n";
  lines << (failure.empty() ? "STATUS: PASS" : "STATUS: FAIL ") << failure << std::endl;
}

}  // namespace partita::job
