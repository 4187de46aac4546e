/// In what two runs were configured differently, key by key.
#include <algorithm>
#include <string>
#include <utility>

#include "keys.hpp"

namespace partita::config {
namespace {

constexpr const char* unset = "-";

std::string line_of(const model::ModelSpec& model, std::size_t layer) {
  return layer < model.layers.size() ? model.layers[layer].line() : unset;
}

/// A start is the model's content, where that is known, whatever its file is called.
bool start_alike(const RunOptions& a, const RunOptions& b) {
  const bool known = !a.load_model_hash.empty() && !b.load_model_hash.empty();
  return known ? a.load_model_hash == b.load_model_hash : a.load_model == b.load_model;
}

std::string start_of(const RunOptions& options) {
  const auto& hash = options.load_model_hash;
  if (options.load_model.empty()) return unset;
  return options.load_model.string() + (hash.empty() ? "" : " (SHA-256 " + hash.substr(0, 12) + "…)");
}

KeyDifference difference(const Key& key, const RunOptions& before, const RunOptions& after) {
  if (key.role != base::KeyRole::start)
    return {key.name, key.print(before).value_or(unset), key.print(after).value_or(unset), key.changes_past};
  return {key.name, start_of(before), start_of(after), key.changes_past && !start_alike(before, after)};
}

}  // namespace

std::vector<KeyDifference> differences(const RunOptions& before, const RunOptions& after) {
  std::vector<KeyDifference> all;
  const auto add = [&](KeyDifference d) {
    if (d.before != d.after) all.push_back(std::move(d));
  };
  for (const auto& key : keys())
    add(difference(key, before, after));
  // Another model is no difference of keys; how a layer is split, or whether it is trained, is.
  for (std::size_t l = 0; l < std::max(before.model.layers.size(), after.model.layers.size()); ++l)
    add({"model.layer " + std::to_string(l + 1), line_of(before.model, l), line_of(after.model, l), false});
  return all;
}

}  // namespace partita::config
