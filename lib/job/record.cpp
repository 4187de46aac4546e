/// Gathers hosts, devices, library versions and the scheduler's variables, the layers as they are split, and
/// at the end traffic and memory of all ranks.
#include "partita/job/record.hpp"

#include <algorithm>
#include <cstdlib>
#include <set>
#include <sstream>

#include "partita/base/cores.hpp"
#include "partita/comm/library.hpp"
#include "partita/cost/work.hpp"
#include "partita/data/library.hpp"
#include "partita/kernels/cpu/library.hpp"
#include "partita/kernels/cuda/devices.hpp"
#include "partita/kernels/host_pages.hpp"
#include "partita/results/version.hpp"
#include "partita/step/compression.hpp"

namespace partita::job {
namespace {

using collective::Purpose;
using kernels::Bytes;

/// Which job and which part of it this was, what it was given, how its tasks were laid out and bound. Under
/// mpiexec those of the step would be its proxies', so that only the job's are kept.
// clang-format off
constexpr const char* recorded_variables[] = {
    "SLURM_CLUSTER_NAME", "SLURM_JOB_PARTITION", "SLURM_JOB_ID", "SLURM_JOB_NAME", "SLURM_RESTART_COUNT",
    "SLURM_ARRAY_JOB_ID", "SLURM_ARRAY_TASK_ID", "SLURM_ARRAY_TASK_COUNT", "SLURM_JOB_NUM_NODES",
    "SLURM_JOB_NODELIST", "SLURM_NTASKS", "SLURM_NTASKS_PER_NODE", "SLURM_TASKS_PER_NODE",
    "SLURM_CPUS_PER_TASK", "SLURM_JOB_CPUS_PER_NODE", "SLURM_CPUS_ON_NODE", "SLURM_CPU_BIND",
    "SLURM_DISTRIBUTION", "SLURM_MEM_PER_NODE", "SLURM_MEM_PER_CPU", "SLURM_CPU_FREQ_REQ", "SLURM_GPUS",
    "SLURM_GPUS_PER_NODE", "SLURM_GPUS_PER_TASK", "SLURM_GPUS_ON_NODE", "SLURM_GPU_BIND", "SLURM_JOB_GPUS",
    "CUDA_VISIBLE_DEVICES", "OMP_NUM_THREADS", "OMP_PROC_BIND", "OMP_PLACES"};
// clang-format on

/// Compiler, libraries and the scheduler's variables, by name.
base::Versions versions() {
  auto entries = base::dependency_versions(libraries_in_use());
  for (const char* name : recorded_variables)
    if (const char* value = std::getenv(name)) entries[name] = value;
  return entries;
}

std::vector<results::RankEnvironment> gather_ranks(const Job& job, const std::string& device, int threads) {
  std::ostringstream mine;
  mine << job.environment.host() << '\n' << base::cpu_model() << '\n' << device << '\n' << threads << '\n';
  std::vector<results::RankEnvironment> ranks;
  for (const auto& text : job.world.gather_text(mine.str(), 0, Purpose::control)) {
    std::istringstream lines(text);
    results::RankEnvironment row{
        .coordinate = topology::coordinate_of(job.input.options.grid, static_cast<int>(ranks.size()))};
    std::getline(lines, row.host);
    std::getline(lines, row.cpu_model);
    std::getline(lines, row.device);
    lines >> row.cores;
    ranks.push_back(row);
  }
  return ranks;
}

std::vector<results::LayerRow> layers_of(const plan::Split& split) {
  std::vector<results::LayerRow> rows;
  const auto& partition = split.plan.partition;
  for (std::size_t l = 0; l < split.model.layers.size(); ++l) {
    const auto& layer = split.model.layers[l];
    const auto chunk =
        std::upper_bound(partition.begin(), partition.end(), static_cast<int>(l)) - partition.begin() - 1;
    rows.push_back({.name = layer.name,
                    .kind = std::string(to_string(layer.kind)),
                    .output = to_string(layer.output),
                    .parameters = layer.parameter_elements(),
                    .flops_per_sample = cost::flops_of_sample(split.model, static_cast<int>(l)),
                    .stage = chunk % split.plan.grid.pipeline,
                    .placement = std::string(to_string(split.plan.placement.layers[l].variant))});
  }
  return rows;
}

/// How much of what all ranks hold lies in huge pages.
void add_huge_pages(results::Environment& environment, comm::Communicator& world) {
  kernels::HugePages all;
  for (const auto& of_rank :
       world.gather_rows<kernels::HugePages>({kernels::huge_pages_in_use()}, 0, Purpose::control)) {
    all.own += of_rank.front().own;
    all.shared += of_rank.front().shared;
  }
  environment.entries["huge_page_bytes"] = std::to_string(all.own.value());
  environment.entries["shared_huge_page_bytes"] = std::to_string(all.shared.value());
}

}  // namespace

base::Versions libraries_in_use() {
  return {{"mpi", comm::library_version()},
          {"hdf5", results::hdf5_version()},
          {"onednn", kernels::cpu::onednn_version()},
          {"zlib", data::library_version()},
          {"cuda", describe(kernels::cuda::query_devices())}};
}

results::RunRecord begin_record(const Input& input, const std::string& command_line) {
  const auto& options = input.options;
  const auto& split = *input.split;
  results::RunRecord record;
  auto& a = record.attributes = results::new_attributes();
  a.command_line = command_line;
  a.config = config::print_config(options);
  a.config_hash = config::config_hash(options);
  a.seed = options.train.seed;
  a.dataset = input.data->train.name;
  a.dataset_hash = input.data->sha256;
  a.model = options.model.name;
  a.precision = to_string(options.train.precision);
  a.grid = options.grid;
  a.algorithm = "none";
  a.batch = split.batch;
  record.environment.entries = versions();
  record.environment.entries["backend"] = to_string(options.backend);
  record.environment.entries["all_reduce_table"] = input.table.hash();
  record.environment.entries["machine_hash"] = input.machine.hash();
  if (!input.machine.parts.empty())
    record.environment.entries["machine_ranks"] = text_of_parts(input.machine, split.plan.grid.size());
  record.layers = layers_of(split);
  for (const auto& plan : input.plans)
    record.plans.push_back(plan.row);
  record.steps.ranks = split.plan.grid.size();
  return record;
}

results::RunRecord begin_record(const Job& job, kernels::Backend& backend, int threads) {
  const auto& options = job.input.options;
  auto& device = backend.device();
  auto record = begin_record(job.input, job.command_line);
  if (options.backend == config::Backend::cuda) {
    record.environment.entries["gemm"] = options.gemm;
    record.environment.entries["mpi_reaches_device_memory"] = comm::reaches_device_memory() ? "yes" : "no";
  }
  record.environment.entries["math_library"] = backend.math_library();
  record.environment.entries["node_cores"] = std::to_string(job.world.node_cores());
  if (job.world.virtual_clock() != nullptr) {
    record.attributes.kind = "virtual";
    record.environment.entries[results::clock_machine_entry] = options.virtual_clock_hash;
  }
  record.environment.ranks = gather_ranks(job, device.is_host() ? "cpu" : device.name(), threads);
  return record;
}

std::string gradient_algorithms(const std::vector<results::ReductionRow>& rows, kernels::Codec codec) {
  std::set<std::string> used;
  for (const auto& row : rows)
    if (row.purpose == Purpose::gradient || row.purpose == Purpose::parameter) used.insert(row.algorithm);
  std::string text;
  for (const auto& name : used)
    text += (text.empty() ? "" : "+") + name;
  return text.empty() ? std::string(to_string(codec)) : text;
}

std::optional<bool> is_synchronised(const step::Cadence& cadence, bool ends_stretch) {
  const bool may_differ = cadence.local.is_on() || cadence.servers.is_asynchronous;
  return may_differ ? std::optional(ends_stretch) : std::nullopt;
}

results::TimelineRow timeline_row(const run::TimelineSpan& span, const step::Program& program,
                                  const model::ModelSpec& model, double origin) {
  const auto number_of = [](const auto& id) { return id ? id->value() : -1; };
  const auto& instruction = program.instructions[static_cast<std::size_t>(span.instruction)];
  results::TimelineRow row{.rank = span.rank,
                           .step = span.step,
                           .start_seconds = span.begin_seconds - origin,
                           .end_seconds = span.end_seconds - origin,
                           .kind = std::string(to_string(instruction.kind)),
                           .phase = std::string(to_string(instruction.phase)),
                           .microbatch = number_of(instruction.microbatch),
                           .chunk = number_of(instruction.chunk),
                           .queue = "compute",  // one thread of control: what it does follows in one row
                           .bytes = span.bytes,
                           .flow = span.flow};
  if (instruction.unit) row.layer = name_of(program.units[*instruction.unit], model);
  if (instruction.transfer) {
    const auto& transfer = program.transfers[*instruction.transfer];
    row.axis = to_string(transfer.axis);
    row.purpose = to_string(transfer.purpose);
    if (span.in_flight) row.kind = to_string(transfer.operation);
    if (span.in_flight) row.queue = "communication";
  }
  return row;
}

void update_costs(results::RunRecord& record, comm::Communicator& world, const step::Program& program,
                  const execute::Executor& executor) {
  // Gradients lie in the shared window where there is one: that is communication memory and gradient memory
  // in one.
  const std::vector<results::MemoryRow> mine{{.parameters = bytes_of(program.type, program.held_count),
                                              .gradients = bytes_of(program.type, program.gradient_count),
                                              .optimizer_state = executor.optimizer_state_bytes(),
                                              .activations = executor.activation_bytes(),
                                              .communication_buffers = executor.communication_bytes(),
                                              .codec_state = step::codec_state(program)}};
  record.memory.clear();
  for (const auto& of_rank : world.gather_rows(mine, 0, Purpose::control))
    record.memory.push_back(of_rank.front());
  if (const auto way = executor.device_messages(); !way.empty())
    record.environment.entries["device_messages"] = way;
  add_huge_pages(record.environment, world);
  record.peers = world.gather_peers();  // first: the traffic holds this gather too
  record.traffic = world.gather_traffic();
}

}  // namespace partita::job
