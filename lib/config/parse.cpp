/// Brings the command line, the run file and the model file together, of which the earlier one wins, and
/// finds whatever is wrong with their keys in one pass.
#include <algorithm>
#include <cstdlib>
#include <map>
#include <set>
#include <utility>

#include "keys.hpp"
#include "partita/config/ini.hpp"
#include "partita/config/option_words.hpp"

namespace partita::config {
namespace {

using base::Violation;

/// Every value given for each key, in order.
using Values = std::map<std::string, std::vector<std::string>>;

void refuse_unknown(const std::string& name, const std::string& value, const std::string& where,
                    std::vector<Violation>& violations) {
  std::vector<std::string_view> others;
  if (where.empty()) {
    others.push_back("config");
    for (const auto& s : switches)
      others.push_back(s.name);
  }
  violations.push_back({name, value, unknown_key(name, std::move(others), where)});
}

/// What a file or the command line gave. `whole` is false when a part could not be read, so that what is
/// missing may be there.
struct Source {
  Values values;
  bool whole = true;
  std::filesystem::path config_file = {}, model_file = {};
};

/// Takes the keys of a file; refuses unknown ones and those given twice.
Source source_of(const Ini& ini, const std::string& where, std::vector<Violation>& violations) {
  Source source{.values = {}, .whole = ini.whole};
  std::map<std::string, int> first;
  for (const auto& [key, value, line] : ini.assignments) {
    const auto [before, is_new] = first.emplace(key, line);
    if (!run_keys().contains(key))
      refuse_unknown(key, value, where, violations);
    else if (!is_new && key != "model.layer")
      violations.push_back({key, value,
                            "is given twice in " + where + ", in lines " + std::to_string(before->second) +
                                " and " + std::to_string(line)});
    source.values[key].push_back(value);
  }
  return source;
}

Source read_file(const std::filesystem::path& path, const char* option, std::vector<Violation>& violations) {
  return source_of(read_ini(path, option, violations), path.string(), violations);
}

/// The word behind --help.
void read_topic(const std::string& topic, RunOptions& options, std::vector<Violation>& violations) {
  options.help_topic = topic;
  if (topic != layers_topic)
    violations.push_back({"help", topic, "is no topic; there are --help and --help layers"});
}

void read_switch(const Switch& known, OptionWords& option, RunOptions& options,
                 std::vector<Violation>& violations) {
  options.*(known.member) = true;
  if (option.value) violations.push_back({option.name, *option.value, "takes no value"});
  if (option.name == "help" && !option.words.empty()) read_topic(*option.take_value(), options, violations);
}

Values read_command_line(const std::vector<std::string>& words, RunOptions& options,
                         std::vector<Violation>& violations) {
  Values values;
  for (auto& option : split_by_option(words)) {
    const auto* const known = std::ranges::find(switches, option.name, &Switch::name);
    if (known != std::end(switches)) {
      read_switch(*known, option, options, violations);
    } else if (option.name == "config" || run_keys().contains(option.name)) {
      const auto value = option.take_value();
      if (value) values[option.name].push_back(*value);
      if (!value) violations.push_back({option.name, "", "needs a value: --" + option.name + "=VALUE"});
    } else if (option.is_option && option.name.empty()) {
      violations.push_back({"--", option.value.value_or(""), std::string(nameless)});
    } else if (option.is_option) {
      const auto value = option.take_value();
      refuse_unknown(option.name, value.value_or(""), "", violations);
    }
    for (const auto& word : option.words)
      violations.push_back({word, "", "is not an option; options begin with --"});
  }
  for (const auto& [name, list] : values)
    if (list.size() > 1 && name != "model.layer") violations.push_back({name, list.back(), "is given twice"});
  return values;
}

/// Values of `over` win; a list of layers is replaced whole.
void overlay(Values& values, const Values& over) {
  for (const auto& [name, list] : over)
    values[name] = list;
}

/// The run file, under it the model file that it (or the command line) names.
Source gather(Values command_line, std::vector<Violation>& violations) {
  Source run, all;
  std::filesystem::path config_file, model_file;
  if (const auto config = command_line.extract("config")) config_file = config.mapped().front();
  if (!config_file.empty()) run = read_file(config_file, "config", violations);
  if (const auto named = run.values.find("model.file"); named != run.values.end())
    model_file = named->second.front();
  if (!model_file.empty()) model_file = config_file.parent_path() / model_file;
  if (command_line.contains("model.file")) model_file = command_line["model.file"].front();
  if (!model_file.empty()) all = read_file(model_file, "model.file", violations);
  for (const auto& [name, list] : all.values)
    if (!name.starts_with("model."))
      violations.push_back(
          {name, list.front(), "a model file holds [model] keys only: " + model_file.string()});
  overlay(all.values, run.values);
  overlay(all.values, command_line);
  all.values.erase("model.file");
  all.whole = all.whole && run.whole;
  all.config_file = std::move(config_file), all.model_file = std::move(model_file);
  return all;
}

void refuse_unprintable(const Values& values, std::vector<Violation>& violations) {
  for (const auto& [name, list] : values)
    for (const auto& value : list)
      if (!fits_ini(value))
        violations.push_back(
            {name, value,
             "must not hold line breaks, nor both kinds of quotes where it needs some: an INI file could "
             "not hold it"});
}

/// Which kernels compute in which numbers.
void check_precision(const RunOptions& options, std::vector<Violation>& violations) {
  const auto precision = options.train.precision;
  const std::string kernels = "the " + std::string(to_string(options.backend)) + " kernels compute in ";
  if (precision == Precision::fp64 && options.backend != Backend::reference)
    violations.push_back({"train.precision", "fp64",
                          kernels + (options.backend == Backend::cuda ? "fp32, tf32 or bf16" : "fp32") +
                              "; use compute.backend=reference"});
  if ((precision == Precision::tf32 || precision == Precision::bf16) && options.backend != Backend::cuda)
    violations.push_back({"train.precision", std::string(to_string(precision)),
                          kernels + (options.backend == Backend::cpu ? "fp32" : "fp32 or fp64") +
                              "; use compute.backend=cuda"});
  const auto messages = options.sync.device_messages;
  if (messages != collective::DeviceMessages::automatic && options.backend != Backend::cuda)
    violations.push_back({"sync.device-messages", std::string(to_string(messages)),
                          "is about the buffers of the cuda kernels; use compute.backend=cuda"});
  if (messages == collective::DeviceMessages::ipc && options.train.deterministic)
    violations.push_back({"sync.device-messages", "ipc",
                          "excludes train.deterministic, whose tree needs the host; the nearest is auto"});
  if (messages == collective::DeviceMessages::ipc && !collective::works_on_shared(options.sync.algorithm))
    violations.push_back({"sync.device-messages", "ipc",
                          "excludes sync.algorithm=" + std::string(to_string(options.sync.algorithm)) +
                              ", which needs the host; the nearest is sync.algorithm=window"});
  if (options.gemm != "auto" && options.backend != Backend::cuda)
    violations.push_back(
        {"compute.gemm", options.gemm, "chooses among the cuda kernels; use compute.backend=cuda"});
}

void check_clock(const RunOptions& options, std::vector<Violation>& violations) {
  if (!options.virtual_clock.empty() && options.backend == Backend::cuda)
    violations.push_back({"virtual-clock", options.virtual_clock.string(),
                          "excludes compute.backend=cuda: a device has a time of its own; the nearest is "
                          "compute.backend=cpu"});
}

/// What belongs to another optimizer than the one that is chosen; of `refused` keys it is not known what is
/// meant.
void check_optimizer(const Values& values, const RunOptions& options, const std::set<std::string>& refused,
                     std::vector<Violation>& violations) {
  if (refused.contains("train.optimizer")) return;
  const auto& optimizer = options.train.optimizer;
  const auto& rule = kernels::describe(optimizer.rule);
  const auto those = [](bool kernels::OptimizerDescription::*takes) {
    std::string names;
    for (const auto& each : kernels::optimizers)
      if (each.*takes) names += (names.empty() ? "" : " or ") + std::string(each.name);
    return "belongs to train.optimizer=" + names;
  };
  const std::string chosen = ", not to " + std::string(to_string(optimizer.rule));
  if (const auto given = values.find("train.trust"); optimizer.rule != kernels::OptimizerRule::lars &&
                                                     given != values.end() &&
                                                     !refused.contains("train.trust"))
    violations.push_back({"train.trust", given->second.front(),
                          "belongs to train.optimizer=lars" + chosen + ": leave it out"});
  for (const char* key : {"train.beta1", "train.beta2", "train.epsilon"})
    if (const auto given = values.find(key);
        !rule.takes_betas && given != values.end() && !refused.contains(key))
      violations.push_back({key, given->second.front(),
                            those(&kernels::OptimizerDescription::takes_betas) + chosen + ": leave it out"});
  if (!rule.takes_momentum && optimizer.momentum > 0)
    violations.push_back(
        {"train.momentum", values.at("train.momentum").front(),
         those(&kernels::OptimizerDescription::takes_momentum) + chosen + "; the nearest is 0"});
  const auto given = values.find("train.momentum");
  const bool none = given == values.end() || std::strtod(given->second.front().c_str(), nullptr) == 0;
  if (rule.needs_momentum && none && !refused.contains("train.momentum"))
    violations.push_back({"train.momentum", "0",
                          "must be above 0 for train.optimizer=" + std::string(rule.name) +
                              ", which is sgd without a momentum"});
}

/// An empty value is as if the key were not given, where a key may be without one. So the command line can
/// take back what a file says; a key that always has a value refuses it.
void take_back(Values& values) {
  const RunOptions defaults;
  for (const auto& key : keys())
    if (const auto found = values.find(key.name);
        found != values.end() && found->second.front().empty() && !key.print(defaults))
      values.erase(found);
}

/// The options of `source`; whatever is wrong with them is appended to `violations`.
void interpret(Source source, RunOptions& options, std::vector<Violation>& violations) {
  auto& values = source.values;
  const bool whole = source.whole;
  take_back(values);
  refuse_unprintable(values, violations);
  std::set<std::string> refused;
  for (const auto& key : keys())
    if (const auto found = values.find(key.name); found != values.end())
      if (const auto wrong = key.read(options, found->second.front()); !wrong.empty()) {
        violations.push_back({key.name, found->second.front(), wrong});
        refused.insert(key.name);
      }
  if (auto& optimizer = options.train.optimizer; !values.contains("train.epsilon"))
    optimizer.epsilon = kernels::describe(optimizer.rule).epsilon;
  if (const auto layers = values.find("model.layer"); layers != values.end())
    options.model_text.layers = layers->second;
  if (values.contains("train.batch") && values.contains("train.batch-per-rank"))
    violations.push_back({"train.batch-per-rank", values.at("train.batch-per-rank").front(),
                          "excludes train.batch: give the global batch or the batch of a rank"});
  check_optimizer(values, options, refused, violations);
  check_precision(options, violations);
  check_clock(options, violations);
  const bool has_model = !options.model_text.input.empty() || !options.model_text.layers.empty();
  if (!has_model && whole)
    violations.push_back({"config", "", "no model given: use --config FILE or --model.file=FILE"});
  if (has_model && whole) options.model = model::parse_model(options.model_text, violations);
}

}  // namespace

const std::set<std::string>& run_keys() {
  static const std::set<std::string> names = [] {
    std::set<std::string> all{"model.file", "model.layer"};
    for (const auto& key : keys())
      all.insert(key.name);
    return all;
  }();
  return names;
}

namespace {
const Key& key_called(std::string_view name) {
  const auto found = std::ranges::find(keys(), name, &Key::name);
  base::expect(found != keys().end(), "a key of runs", name);
  return *found;
}
}  // namespace

std::string read_key(RunOptions& options, std::string_view name, const std::string& text) {
  return key_called(name).read(options, text);
}

const std::string& key_meaning(std::string_view name) { return key_called(name).meaning; }

RunOptions parse(int argc, const char* const* argv, std::vector<Violation>& violations) {
  RunOptions options;
  const std::vector<std::string> words(argv + 1, argv + std::max(argc, 1));
  auto source = gather(read_command_line(words, options, violations), violations);
  options.config_file = std::move(source.config_file), options.model_file = std::move(source.model_file);
  if (!options.help && !options.version) interpret(std::move(source), options, violations);
  return options;
}

RunOptions parse_text(std::string_view run_file, std::vector<Violation>& violations) {
  RunOptions options;
  auto source = source_of(parse_ini(run_file, "the text", violations), "the text", violations);
  source.values.erase("model.file");
  interpret(std::move(source), options, violations);
  return options;
}

}  // namespace partita::config
