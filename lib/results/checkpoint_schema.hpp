/// The schema of a manifest, once for writing and reading.
#pragma once

#include <iterator>
#include <sstream>

#include "archive.hpp"
#include "partita/results/checkpoint.hpp"

namespace partita::results {

template <class Archive, class T>
void exchange_identity(Archive& root, T& identity) {
  root.attribute("model", identity.model);
  root.attribute("dataset", identity.dataset);
  root.attribute("dataset_hash", identity.dataset_hash);
  root.attribute("seed", identity.seed);
  root.attribute("batch", identity.batch);
  root.attribute("shuffle", identity.shuffle);
  exchange_table(root, "layers", "layer", true, identity.layers, [](auto field) {
    field(
        "description", "", [](auto& r) -> auto& { return r; });
  });
}

template <class Archive, class T>
void exchange_progress(Archive& root, T& progress) {
  root.attribute("step", progress.step);
  root.attribute("loss_sum", progress.loss_sum);
  root.attribute("samples", progress.samples);
  root.attribute("epoch_seconds", progress.epoch_seconds);
  root.attribute("training_seconds", progress.training_seconds);
  root.attribute("test_accuracy", progress.test_accuracy);
}

template <class Archive, class T>
void exchange_files(Archive& root, const std::string& group, T& files) {
  exchange_table(root, group, "file", true, files, [](auto field) {
    field(
        "name", "", [](auto& r) -> auto& { return r.name; });
    field(
        "bytes", "byte", [](auto& r) -> auto& { return r.bytes; });
    field(
        "sha256", "", [](auto& r) -> auto& { return r.sha256; });
  });
}

template <class Archive, class T>
void exchange_blocks(Archive& root, const std::string& group, T& blocks) {
  exchange_table(root, group, "block", true, blocks, [](auto field) {
    field(
        "layer", "", [](auto& r) -> auto& { return r.layer; });
    field(
        "name", "", [](auto& r) -> auto& { return r.name; });
    field(
        "shape", "", [](auto& r) -> auto& { return r.shape; });
    field(
        "first_row", "1", [](auto& r) -> auto& { return r.first_row; });
    field(
        "rows", "1", [](auto& r) -> auto& { return r.rows; });
    field(
        "first_column", "1", [](auto& r) -> auto& { return r.first_column; });
    field(
        "columns", "1", [](auto& r) -> auto& { return r.columns; });
    field(
        "trained", "1", [](auto& r) -> auto& { return r.trained; });
    field(
        "file", "1", [](auto& r) -> auto& { return r.file; });
    field(
        "copy", "1", [](auto& r) -> auto& { return r.copy; }, Since::later);
  });
}

/// The names of the optimizer's states as one text, with blanks between them.
template <class Archive, class T>
void exchange_states(Archive& root, T& states) {
  std::string names;
  if constexpr (Archive::writes)
    for (const auto& name : states)
      names += (names.empty() ? "" : " ") + name;
  root.later_attribute("optimizer_states", names);
  if constexpr (!Archive::writes) {
    std::istringstream words(names);
    states.assign(std::istream_iterator<std::string>(words), {});
  }
}

/// Where tensors lie, in shards and in the manifest: groups by layer inside of groups by name, outermost
/// first.
using GroupPath = std::vector<std::string>;
inline GroupPath path_of_weights() { return {"parameters"}; }
inline GroupPath path_of_state(const std::string& state) { return {"optimizer", state}; }
inline GroupPath path_of(CarriedKind kind) {
  constexpr const char* words[] = {"residual", "basis", "own_state"};
  return {words[static_cast<std::size_t>(kind)]};
}

/// Checkpoints that do not name the optimizer's states have this one, in this group.
inline constexpr const char *former_state = "velocity", *former_group = "velocities";

/// All but the marks and the views.
template <class Archive, class T>
void exchange_manifest(Archive& root, T& manifest) {
  exchange_identity(root, manifest.identity);
  root.attribute("config", manifest.config);
  root.attribute("config_hash", manifest.config_hash);
  root.later_attribute("load_model_hash", manifest.load_model_hash);
  root.later_attribute("output", manifest.output);
  root.attribute("type", manifest.type);
  exchange_states(root, manifest.states);
  root.later_attribute("optimizer_first_update", manifest.first_update);
  exchange_progress(root, manifest.progress);
  exchange_files(root, "shards", manifest.shards);
  exchange_files(root, "result", manifest.result);
  exchange_blocks(root, "blocks", manifest.blocks);
  exchange_blocks(root, "residuals", manifest.residuals);
  exchange_blocks(root, "bases", manifest.bases);
  exchange_blocks(root, "own_states", manifest.own_states);
  if (!Archive::writes || manifest.loss_scale > 0) {
    root.later_attribute("loss_scale", manifest.loss_scale);
    root.later_attribute("loss_scale_steps", manifest.loss_scale_steps);
  }
}

}  // namespace partita::results
