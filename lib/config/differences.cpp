/// In what two runs were configured differently, key by key.
#include <algorithm>
#include <string>
#include <utility>

#include "keys.hpp"

namespace partita::config {
namespace {

std::string line_of(const model::ModelSpec& model, std::size_t layer) {
  return layer < model.layers.size() ? model.layers[layer].line() : std::string(not_given);
}

/// With the content of a model beside its path, which alone says little.
std::string shown(const Key& key, const RunOptions& options) {
  const auto& hash = options.load_model_hash;
  const bool has_content = key.role == base::KeyRole::start && !hash.empty();
  return key.print(options).value_or(std::string(not_given)) +
         (has_content ? " (SHA-256 " + hash.substr(0, 12) + "…)" : "");
}

bool are_alike(const Key& key, RunOptions before, RunOptions after) {
  if (before.load_model_hash.empty() || after.load_model_hash.empty())  // of old runs only the path is known
    before.load_model_hash.clear(), after.load_model_hash.clear();
  return meaning(key, before) == meaning(key, after);
}

}  // namespace

std::vector<KeyDifference> differences(const RunOptions& before, const RunOptions& after) {
  std::vector<KeyDifference> all;
  const auto add = [&](KeyDifference d) {
    if (d.before != d.after) all.push_back(std::move(d));
  };
  for (const auto& key : keys())
    if (is_used(key, before) || is_used(key, after))
      add({key.name, shown(key, before), shown(key, after),
           key.changes_past && !are_alike(key, before, after)});
  // Another model is no difference of keys; how a layer is split, or whether it is trained, is.
  for (std::size_t l = 0; l < std::max(before.model.layers.size(), after.model.layers.size()); ++l)
    add({"model.layer " + std::to_string(l + 1), line_of(before.model, l), line_of(after.model, l), false});
  return all;
}

}  // namespace partita::config
