/// Holds a model file against the layers of a model by name and shape, says what does not fit and how to
/// leave it out, and turns one into the other.
#include "partita/job/model_file.hpp"

#include <fnmatch.h>

#include <algorithm>
#include <set>
#include <string_view>

#include "partita/base/number.hpp"
#include "partita/job/preprocessing.hpp"

namespace partita::job {
namespace {

using base::Violation;

std::string names_in(const results::ModelFile& file) {
  std::string names;
  std::set<std::string_view> listed;
  for (const auto& parameter : file.parameters)
    if (listed.insert(parameter.layer).second) names += (names.empty() ? "" : ", ") + parameter.layer;
  return names.empty() ? "none" : names;
}

std::string wrong_value(const results::Parameter& parameter, const model::Parameter& expected) {
  return std::visit(
      [&](const auto& values) -> std::string {
        const auto wrong = std::find_if(values.begin(), values.end(), [&](auto value) {
          return !expected.can_be(static_cast<double>(value));
        });
        if (wrong == values.end()) return "";
        return parameter.layer + " " + parameter.name + " has " + base::shortest(*wrong) + " at " +
               std::to_string(wrong - values.begin()) + ", which is no running statistic";
      },
      parameter.values);
}

/// What is wrong with a tensor of a layer in the file, or nothing; `found` where it is there.
std::string check_tensor(const results::ModelFile& file, const model::Layer& layer,
                         const model::Parameter& expected, Layers wanted, bool& found) {
  const std::string name(expected.name);
  const auto parameter = std::find_if(file.parameters.begin(), file.parameters.end(),
                                      [&](const auto& p) { return p.layer == layer.name && p.name == name; });
  found = parameter != file.parameters.end();
  if (!found)
    return "has no " + name + " of this model's layer " + layer.name +
           (expected.left_out_by.empty()
                ? ""
                : "; " + std::string(expected.left_out_by) + " on its line leaves it out");
  std::string wrong = parameter->unreadable;
  if (wrong.empty() && parameter->shape != expected.shape)
    wrong = layer.name + " " + name + " has shape " + to_string(parameter->shape) + " there and " +
            to_string(expected.shape) + " here";
  if (wrong.empty()) wrong = wrong_value(*parameter, expected);
  if (wrong.empty()) return "";
  return wrong + (wanted == Layers::shared ? "; load-model.skip=" + layer.name + " leaves it out" : "");
}

/// What the file has of a layer's name and the layer has not: "bias of conv1".
std::vector<std::string> extra_tensors(const results::ModelFile& file, const model::Layer& layer) {
  const auto described = layer.parameters();
  std::vector<std::string> extra;
  for (const auto& parameter : file.parameters)
    if (!described.empty() && parameter.layer == layer.name &&
        std::none_of(described.begin(), described.end(),
                     [&](const auto& p) { return p.name == parameter.name; }))
      extra.push_back(parameter.name + " of " + layer.name);
  return extra;
}

}  // namespace

std::vector<Violation> check_model_file(const results::ModelFile& file, const model::ModelSpec& model,
                                        Layers wanted, const std::string& path) {
  std::vector<Violation> violations;
  bool any = false;
  for (const auto& layer : model.layers) {
    bool any_of_layer = false;
    std::vector<Violation> of_layer;
    for (const auto& parameter : layer.parameters()) {
      bool found = false;
      const auto wrong = check_tensor(file, layer, parameter, wanted, found);
      any_of_layer = any_of_layer || found;
      if (!wrong.empty()) of_layer.push_back({"load-model", path, wrong});
    }
    for (const auto& extra : extra_tensors(file, layer)) {
      any_of_layer = true;
      of_layer.push_back({"load-model", path, "has a " + extra + ", which this model's layer lacks"});
    }
    any = any || any_of_layer;
    // A layer of which the file has any tensor at all is meant, not one that it lacks.
    if (!any_of_layer && wanted == Layers::shared) continue;
    violations.insert(violations.end(), of_layer.begin(), of_layer.end());
  }
  if (!any && wanted == Layers::shared)
    violations.push_back(
        {"load-model", path, "has no layer of this model's names; it has " + names_in(file)});
  return violations;
}

std::vector<Violation> skip_layers(std::optional<results::ModelFile>& file,
                                   const config::RunOptions& options) {
  std::vector<Violation> violations;
  if (options.load_model.empty() && !options.load_skip.empty())
    violations.push_back(
        {"load-model.skip", options.load_skip.front(), "skips layers of load-model, which is not given"});
  if (!file) return violations;
  std::set<std::string> skipped;
  for (const auto& pattern : options.load_skip) {
    bool any = false;
    for (const auto& parameter : file->parameters)
      if (fnmatch(pattern.c_str(), parameter.layer.c_str(), 0) == 0)
        any = true, skipped.insert(parameter.layer);
    if (!any)
      violations.push_back({"load-model.skip", pattern,
                            "is no layer of " + options.load_model.string() + "; it has " + names_in(*file)});
  }
  std::erase_if(file->parameters, [&](const auto& parameter) { return skipped.contains(parameter.layer); });
  return violations;
}

std::vector<state::LogicalTensor> tensors_of(const results::ModelFile& file, const model::ModelSpec& model) {
  std::vector<state::LogicalTensor> tensors;
  for (std::size_t l = 0; l < model.layers.size(); ++l)
    for (const auto& parameter : file.parameters) {
      const auto described = model.layers[l].parameters();
      const auto same = std::find_if(described.begin(), described.end(),
                                     [&](const auto& p) { return p.name == parameter.name; });
      if (same == described.end() || parameter.layer != model.layers[l].name) continue;
      tensors.push_back({.layer = static_cast<int>(l), .tensor = static_cast<int>(same - described.begin())});
      std::visit([&](const auto& values) { tensors.back().values.assign(values.begin(), values.end()); },
                 parameter.values);
    }
  return tensors;
}

results::ModelFile model_file(const config::RunOptions& options, const data::Dataset& train,
                              const std::vector<state::LogicalTensor>& tensors) {
  results::ModelFile file{.model = options.model.name,
                          .config_hash = config::config_hash(options),
                          .seed = options.train.seed,
                          .data = training_data(options, train)};
  for (const auto& tensor : tensors) {
    const auto& layer = options.model.layers[static_cast<std::size_t>(tensor.layer)];
    const auto described = layer.parameters()[static_cast<std::size_t>(tensor.tensor)];
    results::Parameter parameter{
        .layer = layer.name, .name = std::string(described.name), .shape = described.shape};
    if (options.train.precision == config::Precision::fp64)
      parameter.values = tensor.values;
    else
      parameter.values = std::vector<float>(tensor.values.begin(), tensor.values.end());
    file.parameters.push_back(std::move(parameter));
  }
  return file;
}

}  // namespace partita::job
