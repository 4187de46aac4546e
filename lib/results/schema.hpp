/// The schema of a result file, once for writing and reading: every attribute, group, column and unit.
#pragma once

#include "archive.hpp"
#include "schema_traffic.hpp"

namespace partita::results {

template <class Archive, class T>
void exchange_attributes(Archive& root, T& a) {
  root.attribute("created", a.created);
  root.attribute("software_version", a.software_version);
  root.attribute("git_commit", a.git_commit);
  root.attribute("git_dirty", a.git_dirty);
  root.attribute("command_line", a.command_line);
  root.attribute("config", a.config);
  root.attribute("config_hash", a.config_hash);
  root.attribute("seed", a.seed);
  root.attribute("status", a.status);
  if (!Archive::writes || a.kind != "measured") root.later_attribute("kind", a.kind);
  if (!Archive::writes || !a.status_reason.empty()) root.later_attribute("status_reason", a.status_reason);
  root.attribute("dataset", a.dataset);
  root.attribute("dataset_hash", a.dataset_hash);
  if (!Archive::writes || !a.load_model_hash.empty())
    root.later_attribute("load_model_hash", a.load_model_hash);
  root.attribute("model", a.model);
  root.attribute("precision", a.precision);
  root.attribute("grid", a.grid);
  root.attribute("algorithm", a.algorithm);
  root.attribute("batch", a.batch);
  root.later_attribute("first_step", a.first_step);
  root.later_attribute("restarts", a.restarts);
}

template <class Archive, class T>
void exchange_environment(Archive& root, T& environment) {
  if (!root.begins("environment", !environment.entries.empty() || !environment.ranks.empty())) return;
  auto group = root.group("environment");
  if constexpr (Archive::writes) {
    for (const auto& [name, value] : environment.entries)
      group.attribute(name, value);
  } else {
    for (const auto& name : group.attributes())
      group.attribute(name, environment.entries[name]);
  }
  if (!group.begins("rank", !environment.ranks.empty())) return;
  exchange_rows(group, "rank", true, environment.ranks, [](auto field) {
    field(
        "host", "", [](auto& r) -> auto& { return r.host; });
    field(
        "cpu_model", "", [](auto& r) -> auto& { return r.cpu_model; });
    field(
        "cores", "1", [](auto& r) -> auto& { return r.cores; });
    field(
        "device", "", [](auto& r) -> auto& { return r.device; });
    field(
        "grid_data", "1", [](auto& r) -> auto& { return r.coordinate.data; });
    field(
        "grid_pipeline", "1", [](auto& r) -> auto& { return r.coordinate.pipeline; });
    field(
        "grid_tensor", "1", [](auto& r) -> auto& { return r.coordinate.tensor; });
  });
}

template <class Archive, class T>
void exchange_layers(Archive& root, T& layers) {
  exchange_table(root, "model", "layer", true, layers, [](auto field) {
    field(
        "name", "", [](auto& r) -> auto& { return r.name; });
    field(
        "kind", "", [](auto& r) -> auto& { return r.kind; });
    field(
        "output", "", [](auto& r) -> auto& { return r.output; });
    field(
        "parameters", "1", [](auto& r) -> auto& { return r.parameters; });
    field(
        "flops_per_sample", "FLOP", [](auto& r) -> auto& { return r.flops_per_sample; });
    field(
        "stage", "1", [](auto& r) -> auto& { return r.stage; });
    field(
        "placement", "", [](auto& r) -> auto& { return r.placement; });
  });
}

/// Seconds are "s", which xarray leaves alone; "seconds" it would turn into nanoseconds.
template <class Archive, class T>
void exchange_steps(Archive& root, T& steps) {
  if (!root.begins("steps", steps.count() > 0)) return;
  auto group = root.group("steps");
  auto count = static_cast<std::int64_t>(steps.count());
  group.index("step", count);
  group.index("rank", steps.ranks);
  group.column("loss", "1", steps.loss, {"step"});
  group.column("samples", "1", steps.samples, {"step"});
  group.column("seconds", "s", steps.seconds, {"step"});
  group.column("learning_rate", "1", steps.learning_rate, {"step"});
  group.later_column("gradient_norm", "1", steps.gradient_norm, {"step"});
  group.later_column("synchronised", "1", steps.synchronised, {"step"});
  group.column("rank_seconds", "s", steps.rank_seconds, {"step", "rank"});
  auto phases = group.group("phase");
  for (std::size_t p = 0; p < phase_count; ++p)
    phases.column(std::string(to_string(static_cast<Phase>(p))), "s", steps.phase[p], {"step", "rank"});
}

template <class Archive, class T>
void exchange_epochs(Archive& root, T& epochs) {
  exchange_table(root, "epochs", "epoch", false, epochs, [](auto field) {
    field(
        "epoch", "1", [](auto& r) -> auto& { return r.epoch; });
    field(
        "train_loss", "1", [](auto& r) -> auto& { return r.train_loss; });
    field(
        "test_loss", "1", [](auto& r) -> auto& { return r.test_loss; });
    field(
        "test_accuracy", "1", [](auto& r) -> auto& { return r.test_accuracy; });
    field(
        "seconds", "s", [](auto& r) -> auto& { return r.seconds; });
    field(
        "samples_per_second", "s-1", [](auto& r) -> auto& { return r.samples_per_second; });
    field(
        "learning_rate", "1", [](auto& r) -> auto& { return r.learning_rate; });
  });
}

template <class Archive, class T>
void exchange_memory(Archive& root, T& memory) {
  exchange_table(root, "memory", "rank", true, memory, [](auto field) {
    field(
        "parameters", "byte", [](auto& r) -> auto& { return r.parameters; });
    field(
        "gradients", "byte", [](auto& r) -> auto& { return r.gradients; });
    field(
        "optimizer_state", "byte", [](auto& r) -> auto& { return r.optimizer_state; });
    field(
        "activations", "byte", [](auto& r) -> auto& { return r.activations; });
    field(
        "communication_buffers", "byte", [](auto& r) -> auto& { return r.communication_buffers; });
    field(
        "codec_state", "byte", [](auto& r) -> auto& { return r.codec_state; }, Since::later);
  });
}

/// Values of these two tables carry their unit in the column beside them.
template <class Archive, class T>
void exchange_figures(Archive& root, T& figures) {
  exchange_table(root, "figures", "figure", true, figures, [](auto field) {
    field(
        "name", "", [](auto& r) -> auto& { return r.name; });
    field(
        "value", "as in column unit", [](auto& r) -> auto& { return r.value; });
    field(
        "unit", "", [](auto& r) -> auto& { return r.unit; });
  });
}

template <class Archive, class T>
void exchange_benchmarks(Archive& root, T& benchmarks) {
  exchange_table(root, "benchmarks", "row", true, benchmarks, [](auto field) {
    field(
        "name", "", [](auto& r) -> auto& { return r.name; });
    field(
        "parameters", "", [](auto& r) -> auto& { return r.parameters; });
    field(
        "unit", "", [](auto& r) -> auto& { return r.unit; });
    field(
        "repetition", "1", [](auto& r) -> auto& { return r.repetition; });
    field(
        "value", "as in column unit", [](auto& r) -> auto& { return r.value; });
  });
}

template <class Archive, class T>
void exchange_timeline(Archive& root, T& timeline) {
  if (!root.begins("timeline", !timeline.rows.empty())) return;
  auto group = root.group("timeline");
  group.attribute("clock_uncertainty_seconds", timeline.clock_uncertainty_seconds);
  exchange_rows(group, "span", true, timeline.rows, [](auto field) {
    field(
        "rank", "1", [](auto& r) -> auto& { return r.rank; });
    field(
        "step", "1", [](auto& r) -> auto& { return r.step; });
    field(
        "start_seconds", "s", [](auto& r) -> auto& { return r.start_seconds; });
    field(
        "end_seconds", "s", [](auto& r) -> auto& { return r.end_seconds; });
    field(
        "kind", "", [](auto& r) -> auto& { return r.kind; });
    field(
        "phase", "", [](auto& r) -> auto& { return r.phase; });
    field(
        "layer", "", [](auto& r) -> auto& { return r.layer; });
    field(
        "microbatch", "1", [](auto& r) -> auto& { return r.microbatch; });
    field(
        "chunk", "1", [](auto& r) -> auto& { return r.chunk; });
    field(
        "queue", "", [](auto& r) -> auto& { return r.queue; });
    field(
        "axis", "", [](auto& r) -> auto& { return r.axis; });
    field(
        "purpose", "", [](auto& r) -> auto& { return r.purpose; });
    field(
        "bytes", "byte", [](auto& r) -> auto& { return r.bytes; });
    field(
        "flow", "1", [](auto& r) -> auto& { return r.flow; });
  });
}

template <class Archive, class T>
void exchange_inference(Archive& root, T& inference) {
  if (!root.begins("inference", !inference.latency_seconds.empty())) return;
  auto group = root.group("inference");
  const bool classifies = group.begins("prediction", !inference.prediction.empty());
  auto batches = static_cast<std::int64_t>(inference.latency_seconds.size());
  auto samples = static_cast<std::int64_t>(inference.prediction.size());
  if (!classifies && inference.features > 0)
    samples = static_cast<std::int64_t>(inference.output.size()) / inference.features;
  group.index("batch", batches);
  group.index("sample", samples);
  group.column("latency_seconds", "s", inference.latency_seconds, {"batch"});
  if (classifies) return group.column("prediction", "1", inference.prediction, {"sample"});
  group.index("feature", inference.features);
  group.column("output", "1", inference.output, {"sample", "feature"});
}

template <class Archive, class T>
void exchange_changes(Archive& root, T& changes) {
  exchange_table(root, "changes", "change", true, changes, [](auto field) {
    field(
        "step", "1", [](auto& r) -> auto& { return r.step; });
    field(
        "key", "", [](auto& r) -> auto& { return r.key; });
    field(
        "before", "", [](auto& r) -> auto& { return r.before; });
    field(
        "after", "", [](auto& r) -> auto& { return r.after; });
  });
}

template <class Archive, class T>
void exchange_plans(Archive& root, T& plans) {
  exchange_table(root, "plans", "candidate", true, plans, [](auto field) {
    field(
        "plan", "", [](auto& r) -> auto& { return r.plan; });
    field(
        "predicted_seconds", "s", [](auto& r) -> auto& { return r.predicted_seconds; });
    field(
        "measured_seconds", "s", [](auto& r) -> auto& { return r.measured_seconds; });
    field(
        "chosen", "1", [](auto& r) -> auto& { return r.chosen; });
  });
}

template <class Archive, class T>
void exchange_replans(Archive& root, T& replans) {
  exchange_table(root, "replans", "replan", true, replans, [](auto field) {
    field(
        "step", "1", [](auto& r) -> auto& { return r.step; });
    field(
        "before", "", [](auto& r) -> auto& { return r.before; });
    field(
        "after", "", [](auto& r) -> auto& { return r.after; });
    field(
        "expected_seconds", "s", [](auto& r) -> auto& { return r.expected_seconds; });
    field(
        "measured_seconds", "s", [](auto& r) -> auto& { return r.measured_seconds; });
    field(
        "before_predicted_seconds", "s", [](auto& r) -> auto& { return r.before_predicted_seconds; });
    field(
        "after_predicted_seconds", "s", [](auto& r) -> auto& { return r.after_predicted_seconds; });
    field(
        "after_measured_seconds", "s", [](auto& r) -> auto& { return r.after_measured_seconds; });
  });
}

template <class Archive, class T>
void exchange_pushes(Archive& root, T& pushes) {
  exchange_table(root, "pushes", "push", true, pushes, [](auto field) {
    field(
        "server", "1", [](auto& r) -> auto& { return r.server; });
    field(
        "worker", "1", [](auto& r) -> auto& { return r.worker; });
    field(
        "step", "1", [](auto& r) -> auto& { return r.step; });
    field(
        "staleness", "1", [](auto& r) -> auto& { return r.staleness; });
  });
}

template <class Archive, class T>
void exchange_critical_path(Archive& root, T& shares) {
  exchange_table(root, "critical_path", "share", true, shares, [](auto field) {
    field(
        "resource", "", [](auto& r) -> auto& { return r.resource; });
    field(
        "layer", "", [](auto& r) -> auto& { return r.layer; });
    field(
        "seconds", "s", [](auto& r) -> auto& { return r.seconds; });
  });
}

template <class Archive, class T>
void exchange_scaling(Archive& root, T& rows) {
  exchange_table(root, "scaling", "row", true, rows, [](auto field) {
    field(
        "ranks", "1", [](auto& r) -> auto& { return r.ranks; });
    field(
        "batch", "1", [](auto& r) -> auto& { return r.batch; });
    field(
        "step_seconds", "s", [](auto& r) -> auto& { return r.step_seconds; });
    field(
        "samples_per_second", "s-1", [](auto& r) -> auto& { return r.samples_per_second; });
  });
}

/// All but the attributes that say whose file this is (`schema_version`, `software`, `content`).
template <class Archive, class Record>
void exchange(Archive& root, Record& record) {
  exchange_attributes(root, record.attributes);
  exchange_environment(root, record.environment);
  exchange_layers(root, record.layers);
  exchange_steps(root, record.steps);
  exchange_epochs(root, record.epochs);
  exchange_reductions(root, record.reductions);
  exchange_traffic(root, record.traffic);
  exchange_peers(root, record.peers);
  exchange_memory(root, record.memory);
  exchange_figures(root, record.figures);
  exchange_benchmarks(root, record.benchmarks);
  exchange_timeline(root, record.timeline);
  exchange_inference(root, record.inference);
  exchange_changes(root, record.changes);
  exchange_plans(root, record.plans);
  exchange_replans(root, record.replans);
  exchange_pushes(root, record.pushes);
  exchange_critical_path(root, record.critical_path);
  exchange_scaling(root, record.scaling);
}

}  // namespace partita::results
