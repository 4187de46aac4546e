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
                         .gradients = trained,
                         .optimizer_state = trained,
                         .activations = training.executor().activation_bytes()};
  for (const auto& reduction : training.executor().reductions())
    row.communication_buffers += reduction->buffer_bytes();
  return row;
}

std::vector<results::ReductionRow> reductions_of(const run::Training& training) {
  std::vector<results::ReductionRow> rows;
  for (const auto& reduction : training.executor().reductions()) {
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
  for (const auto& layer : options.model.layers) {
    const double passes = 1 + (layer.is_trained() ? 1 : 0) + (below_lowest ? 0 : 1);
    below_lowest = below_lowest && !layer.is_trained();
    record.layers.push_back({.name = layer.name,
                             .kind = std::string(to_string(layer.kind)),
                             .output = to_string(layer.output),
                             .parameters = layer.weight_elements() + layer.bias_elements(),
                             .flops_per_sample = passes * layer.forward_flops()});
  }
  return record;
}

void update_record(results::RunRecord& record, comm::Communicator& world, const run::Training& training,
                   std::size_t first_step) {
  for (const auto& step : run::gather_steps(world, training.steps(), first_step)) {
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

std::vector<results::Figure> figures_of_merit(const results::RunRecord& record,
                                              const run::Training& training) {
  std::vector<results::Figure> figures;
  double samples = 0, seconds = 0;
  for (std::size_t i = 5; i < record.steps.count(); ++i) {
    samples += static_cast<double>(record.steps.samples[i]);
    seconds += record.steps.seconds[i];
  }
  if (seconds > 0) figures.push_back({"throughput", samples / seconds, "samples/s"});
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

results::ModelFile model_file(const config::RunOptions& options, const run::Training& training) {
  const auto& program = training.program();
  results::ModelFile file{
      .model = options.model.name, .config_hash = config::config_hash(options), .seed = options.train.seed};
  const auto add = [&](const model::Layer& layer, const char* name, const kernels::Shape& shape,
                       kernels::View values) {
    results::Parameter parameter{.layer = layer.name, .name = name, .shape = shape};
    if (values.type() == kernels::DataType::float64)
      parameter.values = std::vector<double>(values.as<double>().begin(), values.as<double>().end());
    else
      parameter.values = std::vector<float>(values.as<float>().begin(), values.as<float>().end());
    file.parameters.push_back(std::move(parameter));
  };
  for (std::size_t u = 0; u < program.units.size(); ++u) {
    const auto& layer = options.model.layers[static_cast<std::size_t>(program.units[u].layer)];
    if (!layer.has_parameters()) continue;
    add(layer, "weight", layer.weight_shape(),
        run::weight_of(training.parameters().weights(), program.parameters[u]));
    add(layer, "bias", {layer.out}, run::bias_of(training.parameters().weights(), program.parameters[u]));
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

void load_parameters(const results::ModelFile& file, const model::ModelSpec& model,
                     const run::Training& training) {
  const auto& program = training.program();
  const auto weights = training.parameters().weights();
  for (std::size_t u = 0; u < program.units.size(); ++u) {
    const auto& layer = model.layers[static_cast<std::size_t>(program.units[u].layer)];
    for (const auto& parameter : file.parameters) {
      if (!layer.has_parameters() || parameter.layer != layer.name) continue;
      const auto target = parameter.name == "weight" ? run::weight_of(weights, program.parameters[u])
                                                     : run::bias_of(weights, program.parameters[u]);
      std::visit(
          [&](const auto& values) {
            for (std::size_t i = 0; i < values.size(); ++i)
              if (target.type() == kernels::DataType::float64)
                target.as<double>()[i] = static_cast<double>(values[i]);
              else
                target.as<float>()[i] = static_cast<float>(values[i]);
          },
          parameter.values);
    }
  }
}

}  // namespace partita::train
