#include "run_record.hpp"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <numeric>
#include <set>
#include <sstream>

#include "partita/kernels/cuda/devices.hpp"
#include "partita/results/version.hpp"

namespace partita::train {
namespace {

using collective::Purpose;
using kernels::Bytes;

std::string cpu_model() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);)
    if (line.starts_with("model name")) return line.substr(line.find(':') + 2);
  return "unknown";
}

/// Compiler, libraries and the scheduler's variables, by name.
std::map<std::string, std::string> versions(const comm::MpiEnvironment& environment) {
  std::map<std::string, std::string> entries{{"mpi", environment.library()},
                                             {"compiler", "GCC " __VERSION__},
                                             {"hdf5", results::hdf5_version()},
                                             {"cuda", describe(kernels::cuda::query_devices())}};
  for (const char* name :
       {"SLURM_JOB_ID", "SLURM_JOB_NAME", "SLURM_NTASKS", "SLURM_JOB_NUM_NODES", "SLURM_JOB_NODELIST",
        "SLURM_CPUS_PER_TASK", "SLURM_JOB_PARTITION", "OMP_NUM_THREADS", "OMP_PROC_BIND"})
    if (const char* value = std::getenv(name)) entries[name] = value;
  return entries;
}

results::PhaseSeconds phases_of(const run::PhaseSeconds& p) {
  return {p.load, p.forward, p.backward, p.update, p.exposed_transfer, p.dependency, p.straggler, p.other};
}

results::MemoryRow memory_of(const run::Training& training) {
  const auto& program = training.program();
  const Bytes parameters = bytes_of(program.type, program.parameter_count);
  const Bytes trained = bytes_of(program.type, program.trained_count);
  // Gradients lie in the shared window where there is one: that is communication memory and gradient memory
  // in one.
  results::MemoryRow row{.parameters = parameters,
                         .gradients = trained * program.gradient_levels,
                         .optimizer_state = trained,
                         .activations = training.executor().activation_bytes(),
                         .communication_buffers = training.executor().communication_bytes()};
  return row;
}

std::vector<results::ReductionRow> reductions_of(const run::Training& training) {
  std::vector<results::ReductionRow> rows;
  for (const auto* reduction : training.executor().reductions()) {
    const auto& d = reduction->description();
    rows.push_back({.purpose = d.purpose,
                    .payload = bytes_of(d.type, d.elements),
                    .algorithm = std::string(to_string(d.algorithm)),
                    .in_window = d.in_window});
  }
  return rows;
}

/// "window", or "recursive-doubling+window" where buckets differ.
std::string gradient_algorithms(const std::vector<results::ReductionRow>& rows) {
  std::set<std::string> used;
  for (const auto& row : rows)
    if (row.purpose == Purpose::gradient) used.insert(row.algorithm);
  std::string text;
  for (const auto& name : used)
    text += (text.empty() ? "" : "+") + name;
  return text.empty() ? "none" : text;
}

template <class Row>
std::vector<Row> gather_rows(comm::Communicator& world, const Row& mine) {
  static_assert(std::is_trivially_copyable_v<Row>);
  std::string bytes(sizeof(Row), '\0');
  std::memcpy(bytes.data(), &mine, sizeof(Row));
  std::vector<Row> rows;
  for (const auto& text : world.gather_text(bytes, 0, Purpose::control)) {
    rows.emplace_back();
    std::memcpy(&rows.back(), text.data(), sizeof(Row));
  }
  return rows;
}

}  // namespace

results::RunRecord begin_record(const config::RunOptions& options, comm::MpiEnvironment& environment,
                                comm::Communicator& world, const data::DataPair& data,
                                const run::Training& training, int threads, const std::string& command_line) {
  results::RunRecord record;
  auto& a = record.attributes = results::new_attributes();
  a.command_line = command_line;
  a.config = config::print_config(options);
  a.config_hash = config::config_hash(options);
  a.seed = options.train.seed;
  a.dataset = data.train.name;
  a.dataset_hash = data.sha256;
  a.model = options.model.name;
  a.precision = to_string(options.train.precision);
  a.grid = options.grid;
  record.reductions = reductions_of(training);
  a.algorithm = gradient_algorithms(record.reductions);
  a.batch = options.train.batch;
  record.environment.entries = versions(environment);
  record.environment.entries["backend"] = to_string(options.backend);
  record.steps.ranks = world.size();

  std::ostringstream mine;
  mine << environment.host() << '\n' << cpu_model() << '\n' << threads << '\n';
  const auto hosts = world.gather_text(mine.str(), 0, Purpose::control);
  for (std::size_t r = 0; r < hosts.size(); ++r) {
    std::istringstream lines(hosts[r]);
    results::RankEnvironment row{.coordinate = topology::coordinate_of(options.grid, static_cast<int>(r))};
    std::getline(lines, row.host);
    std::getline(lines, row.cpu_model);
    lines >> row.cores;
    record.environment.ranks.push_back(row);
  }
  bool below_lowest = true;
  const auto& plan = training.plan();
  for (std::size_t l = 0; l < options.model.layers.size(); ++l) {
    const auto& layer = options.model.layers[l];
    const auto chunk = std::upper_bound(plan.partition.begin(), plan.partition.end(), static_cast<int>(l)) -
                       plan.partition.begin() - 1;
    const double passes = 1 + (layer.is_trained() ? 1 : 0) + (below_lowest ? 0 : 1);
    below_lowest = below_lowest && !layer.is_trained();
    record.layers.push_back({.name = layer.name,
                             .kind = std::string(to_string(layer.kind)),
                             .output = to_string(layer.output),
                             .parameters = layer.weight_elements() + layer.bias_elements(),
                             .flops_per_sample = passes * layer.forward_flops(),
                             .stage = chunk % plan.grid.pipeline,
                             .placement = std::string(to_string(plan.placement.layers[l].variant))});
  }
  return record;
}

void update_record(results::RunRecord& record, comm::Communicator& world, const run::Training& training,
                   std::size_t first_step) {
  for (const auto& step : run::gather_steps(world, [&](int r) { return training.program_of(r); }, training.steps(),
                                           world.measure_clocks(), first_step)) {
    std::vector<results::PhaseSeconds> phases;
    for (const auto& p : step.phases)
      phases.push_back(phases_of(p));
    record.steps.append({.loss = step.loss,
                         .samples = step.samples,
                         .seconds = step.seconds,
                         .learning_rate = step.learning_rate,
                         .phases = phases,
                         .rank_seconds = step.rank_seconds});
  }
  record.memory = gather_rows(world, memory_of(training));
  record.traffic = world.gather_traffic();
  record.epochs.clear();
  for (const auto& epoch : training.epochs())
    record.epochs.push_back({.epoch = epoch.epoch,
                             .train_loss = epoch.train_loss,
                             .test_loss = epoch.test_loss.value_or(results::not_measured),
                             .test_accuracy = epoch.test_accuracy.value_or(results::not_measured),
                             .seconds = epoch.seconds,
                             .samples_per_second = epoch.samples_per_second,
                             .learning_rate = epoch.learning_rate});
}

namespace {

/// How much of the communication a step hides, and how much of the ranks' time is idle for want of data from
/// another stage or rank. The first five steps are left out of the latter.
void add_anatomy(const results::RunRecord& record, std::vector<results::Figure>& figures) {
  double hidden = 0, exposed = 0;
  for (const auto& row : record.traffic) {
    if (row.key.activity != collective::Activity::train) continue;
    hidden += row.counts.hidden_seconds;
    exposed += row.counts.exposed_seconds;
  }
  if (hidden + exposed > 0) figures.push_back({"overlap", hidden / (hidden + exposed), "1"});
  double idle = 0, total = 0;
  const auto ranks = static_cast<std::size_t>(record.steps.ranks);
  for (std::size_t i = 5; i < record.steps.count(); ++i)
    for (std::size_t r = 0; r < ranks; ++r) {
      total += record.steps.rank_seconds[i * ranks + r];
      for (const auto phase :
           {results::Phase::dependency, results::Phase::straggler, results::Phase::exposed_transfer})
        idle += record.steps.at(phase, i, r);
    }
  if (total > 0 && record.attributes.grid.pipeline > 1) figures.push_back({"bubble_fraction", idle / total, "1"});
}

}  // namespace

void add_timeline(results::RunRecord& record, comm::Communicator& world, const run::Training& training) {
  const auto clocks = world.measure_clocks();
  const auto spans = run::gather_timeline(world, training, clocks);
  record.timeline.clock_uncertainty_seconds = clocks.uncertainty_seconds;
  double origin = INFINITY;
  for (const auto& span : spans)
    origin = std::min(origin, span.begin_seconds);
  std::map<int, step::Program> programs;
  for (const auto& span : spans) {
    if (!programs.contains(span.rank)) programs.emplace(span.rank, training.program_of(span.rank));
    const auto& program = programs.at(span.rank);
    const auto& instruction = program.instructions[static_cast<std::size_t>(span.instruction)];
    results::TimelineRow row{.rank = span.rank,
                             .step = span.step,
                             .start_seconds = span.begin_seconds - origin,
                             .end_seconds = span.end_seconds - origin,
                             .kind = std::string(to_string(instruction.kind)),
                             .phase = std::string(to_string(instruction.phase)),
                             .microbatch = instruction.microbatch,
                             .chunk = instruction.chunk,
                             .queue = "compute",  // one thread of control: what it does follows in one row
                             .bytes = span.bytes,
                             .flow = span.flow};
    if (instruction.unit >= 0)
      row.layer = training.layer_name(program.units[static_cast<std::size_t>(instruction.unit)]);
    if (instruction.transfer >= 0) {
      const auto& transfer = program.transfers[static_cast<std::size_t>(instruction.transfer)];
      row.axis = to_string(transfer.axis);
      row.purpose = to_string(transfer.purpose);
      if (span.in_flight) row.kind = to_string(transfer.operation);
      if (span.in_flight) row.queue = "communication";
    }
    record.timeline.rows.push_back(std::move(row));
  }
}

std::vector<results::Figure> figures_of_merit(const results::RunRecord& record,
                                              const run::Training& training) {
  std::vector<results::Figure> figures;
  double samples = 0, seconds = 0;
  for (std::size_t i = 5; i < record.steps.count(); ++i) {
    samples += static_cast<double>(record.steps.samples[i]);
    seconds += record.steps.seconds[i];
  }
  if (seconds > 0) figures.push_back({"throughput", samples / seconds, "samples/s"});
  add_anatomy(record, figures);
  if (!record.epochs.empty()) {
    figures.push_back({"train_loss", record.epochs.back().train_loss, "1"});
    if (std::isfinite(record.epochs.back().test_loss))
      figures.push_back({"test_loss", record.epochs.back().test_loss, "1"});
    if (std::isfinite(record.epochs.back().test_accuracy))
      figures.push_back({"test_accuracy", record.epochs.back().test_accuracy, "1"});
  }
  if (const auto reached = training.seconds_to_target())
    figures.push_back({"time_to_accuracy", *reached, "s"});
  return figures;
}

results::ModelFile model_file(const config::RunOptions& options, const run::Training& training,
                              const std::vector<run::LogicalTensor>& tensors) {
  results::ModelFile file{
      .model = options.model.name, .config_hash = config::config_hash(options), .seed = options.train.seed};
  for (const auto& tensor : tensors) {
    const auto& layer = options.model.layers[static_cast<std::size_t>(tensor.layer)];
    results::Parameter parameter{.layer = layer.name,
                                 .name = tensor.is_bias ? "bias" : "weight",
                                 .shape = tensor.is_bias ? kernels::Shape{layer.out} : layer.weight_shape()};
    if (training.program().type == kernels::DataType::float64)
      parameter.values = tensor.values;
    else
      parameter.values = std::vector<float>(tensor.values.begin(), tensor.values.end());
    file.parameters.push_back(std::move(parameter));
  }
  return file;
}

std::vector<base::Violation> check_model_file(const results::ModelFile& file, const model::ModelSpec& model,
                                              const std::string& path) {
  std::vector<base::Violation> violations;
  bool any = false;
  for (const auto& parameter : file.parameters)
    for (const auto& layer : model.layers) {
      if (!layer.has_parameters() || layer.name != parameter.layer) continue;
      any = true;
      const auto expected = parameter.name == "weight" ? layer.weight_shape() : kernels::Shape{layer.out};
      if (parameter.shape != expected)
        violations.push_back({"load-model", path,
                              layer.name + " " + parameter.name + " has shape " + to_string(parameter.shape) +
                                  " there and " + to_string(expected) + " here"});
    }
  if (!any) violations.push_back({"load-model", path, "has no layer of this model's names"});
  return violations;
}

void load_parameters(const results::ModelFile& file, const model::ModelSpec& model, run::Training& training) {
  for (std::size_t l = 0; l < model.layers.size(); ++l)
    for (const auto& parameter : file.parameters) {
      if (!model.layers[l].has_parameters() || parameter.layer != model.layers[l].name) continue;
      run::LogicalTensor tensor{.layer = static_cast<int>(l), .is_bias = parameter.name == "bias"};
      std::visit([&](const auto& values) { tensor.values.assign(values.begin(), values.end()); },
                 parameter.values);
      training.set_parameter(tensor);
    }
}

}  // namespace partita::train
