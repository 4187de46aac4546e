/// Finds the newest checkpoint that is whole on all ranks, says what keeps a run from going on from it, and
/// begins the new record with what the checkpoint's result holds.
#include "resume.hpp"

#include <cerrno>
#include <sstream>

#include "partita/base/paths.hpp"
#include "partita/job/past.hpp"
#include "partita/results/checkpoint.hpp"
#include "partita/results/result_file.hpp"
#include "run_record.hpp"

namespace partita::job {
namespace {

using base::Violation;

std::vector<std::string> lines_of(const model::ModelSpec& model) {
  std::vector<std::string> lines;
  for (auto layer : model.layers) {
    layer.placement.clear();  // how it is split may change
    layer.stage.reset();
    layer.frozen = false;
    lines.push_back(layer.name + " (" + layer.line() + ", output " + to_string(layer.output) + ")");
  }
  return lines;
}

std::vector<Violation> check_output(const config::RunOptions& options) {
  auto violations = results::check_output_path("output", options.output, true);
  if (!violations.empty() || !base::exists(options.output)) return violations;
  try {
    if (!has_recorded(results::read(options.output).attributes, options))
      violations.push_back(
          {"output", options.output.string(),
           "is the result of another configuration, which --resume cannot go on with; name another"
           " output"});
  } catch (const base::ConfigError& wrong) {
    for (const auto& v : wrong.violations())
      violations.push_back({"output", v.key, v.message});
  } catch (const base::EnvironmentError& wrong) {
    violations.push_back({"output", options.output.string(), wrong.what()});
  }
  return violations;
}

/// Whether the output, which is of this configuration, has this hash: an earlier version made it by other
/// rules, and a model has no configuration beside its own.
bool is_recorded_hash(const config::RunOptions& options, const std::string& hash) {
  if (options.output.empty() || !base::exists(options.output)) return false;
  const auto recorded = results::read(options.output).attributes;
  return recorded.config_hash == hash && has_recorded(recorded, options);
}

std::vector<Violation> check_model_output(const config::RunOptions& options) {
  auto violations = results::check_output_path("save-model", options.save_model, true);
  if (!violations.empty() || !base::exists(options.save_model)) return violations;
  try {
    const auto hash = results::read_model(options.save_model).config_hash;
    if (hash == config::config_hash(options) || is_recorded_hash(options, hash)) return {};
  } catch (const base::ConfigError&) {
  } catch (const base::EnvironmentError& wrong) {
    return {{"save-model", options.save_model.string(), wrong.what()}};
  }
  return {
      {"save-model", options.save_model.string(), "exists already and is no model of this configuration"}};
}

/// Whose a checkpoint is; empty: of a run without an output.
std::string owner_of(const results::Manifest& manifest) {
  return manifest.output.empty() ? options_of(manifest, {}).output.filename().string() : manifest.output;
}

/// "another output (../a.h5)".
std::string other_owner(const results::Manifest& manifest) {
  const auto owner = owner_of(manifest);
  return owner.empty() ? "a run without an output" : "another output (" + owner + ")";
}

/// A checkpoint as it is found.
struct Found {
  std::filesystem::path folder;
  std::int64_t step = 0;
  results::Manifest manifest;
};

/// Whether the result that lies at `output` is of the run that left the checkpoint: it began when that did.
/// Nothing where one of them cannot be read.
std::optional<bool> holds_run_of(const Found& found, const std::filesystem::path& output) {
  if (output.empty() || !base::exists(output)) return false;
  try {
    const auto held = results::read(output).attributes,
               left = results::read_partial_result(found.folder, found.manifest).attributes;
    return held.created == left.created && held.first_step == left.first_step &&
           held.config_hash == left.config_hash;
  } catch (const base::ConfigError&) {  // damaged: whoever uses it says so
  } catch (const base::EnvironmentError&) {
  }
  return std::nullopt;
}

/// Where the output that a checkpoint names is to lie; older ones name none but that beside their folder.
std::filesystem::path place_of_owner(const Found& found) {
  const auto dir = found.folder.parent_path();
  return found.manifest.output.empty() ? dir / ".." / owner_of(found.manifest) : dir / found.manifest.output;
}

/// Whether a checkpoint is of this output: by its place as seen from the checkpoints or, in older ones, by
/// its name; where either was renamed or moved, by what the output holds. A copy of an output that is still
/// in its place, or a twin that began in the same second, has none of its checkpoints.
bool belongs(const Found& found, const config::RunOptions& options) {
  const auto here = found.manifest.output.empty() ? options.output.filename().string()
                                                  : output_seen_from_checkpoints(options);
  return owner_of(found.manifest) == here || (holds_run_of(found, options.output).value_or(false) &&
                                              !holds_run_of(found, place_of_owner(found)).value_or(true));
}

bool is_same_run(const Found& found, const config::RunOptions& options) {
  return has_recorded(found.manifest, options) && belongs(found, options);
}

/// The newest checkpoint whose manifest can be read.
std::optional<Found> newest(const std::filesystem::path& dir) {
  for (const auto step : results::list_checkpoints(dir))
    try {
      const auto folder = results::checkpoint_folder(dir, step);
      return Found{.folder = folder, .step = step, .manifest = results::read_manifest(folder)};
    } catch (const base::ConfigError&) {  // `resume` says so
    } catch (const base::EnvironmentError&) {
    }
  return std::nullopt;
}

/// A checkpoint of an `other` run is gone on from by an output that is new, and where it is asked for by
/// name.
std::vector<Violation> check_owner(const Found& found, bool other, const config::RunOptions& options) {
  const bool by_name = !options.checkpoint.dir.empty(), is_new = !base::exists(options.output);
  const auto dir = "checkpoint.dir = " + found.folder.parent_path().string();
  if (other && !options.output.empty() && !is_new)
    return {{"output", options.output.string(),
             "would lose its steps: " + found.folder.string() + " is of " +
                 (belongs(found, options) ? "another configuration" : other_owner(found.manifest)) +
                 "; to go on from it as another run, name another output" + (by_name ? "" : ", and " + dir)}};
  if (by_name || belongs(found, options)) return {};
  return {{"resume", "",
           found.folder.string() + " belongs to " + other_owner(found.manifest) +
               "; to go on from it as another run, name it with " + dir}};
}

/// An output has its checkpoints under another name than in earlier versions where it does not end in .h5.
std::vector<Violation> check_former_name(const config::RunOptions& options) {
  auto former = options.output;
  former.replace_extension(".checkpoints");
  const auto dir = config::checkpoint_dir(options);
  if (!options.checkpoint.dir.empty() || former == dir || !results::list_checkpoints(dir).empty()) return {};
  const auto found = newest(former);
  if (!found || !belongs(*found, options)) return {};
  return {
      {"resume", "",
       former.string() +
           " holds this output's checkpoints, under the name that an earlier version gave it; name it with "
           "checkpoint.dir, or call it " +
           dir.string()}};
}

/// What kept this rank from taking up a checkpoint: it is damaged, or (`refused`) whole and of no use, or out
/// of reach.
struct Trouble {
  std::vector<Violation> damaged, refused;
};

/// What codecs kept for later steps is a part of gradients that nobody has applied yet.
std::vector<Violation> check_residuals(const std::filesystem::path& folder, const results::Manifest& manifest,
                                       const Input& input) {
  if (manifest.residuals.empty() || !input.split || input.split->plan.keeps_residuals()) return {};
  const std::string was(to_string(options_of(manifest, input.options).sync.compression.codec));
  return {
      {"sync.compress", std::string(to_string(input.options.sync.compression.codec)),
       "keeps no residuals on this grid, and those of sync.compress=" + was + " in " + folder.string() +
           ", gradients that were not sent yet, would be lost; the nearest is " + was +
           " on a grid whose ranks share parameters (one step with topk and sync.topk-ratio=1 sends them)"}};
}

/// Takes up the state of `resumed.step`.
Trouble try_checkpoint(const Job& job, run::Training& training, Resumed& resumed) {
  const auto& options = job.input.options;
  const auto folder = results::checkpoint_folder(config::checkpoint_dir(options), resumed.step);
  try {
    const auto manifest = results::read_manifest(folder);
    auto wrong = results::check_identity("checkpoint.dir", folder, manifest.identity,
                                         identity_of(options, *job.input.data));
    for (auto& past : check_past(folder, manifest, options))
      wrong.push_back(std::move(past));
    for (auto& lost : check_residuals(folder, manifest, job.input))
      wrong.push_back(std::move(lost));
    if (!wrong.empty()) return {.refused = std::move(wrong)};
    for (const auto& d : config::differences(options_of(manifest, options), options))
      resumed.changes.push_back({.step = resumed.step, .key = d.key, .before = d.before, .after = d.after});
    if (job.world.rank() == 0) {
      resumed.record = results::read_partial_result(folder, manifest);
      resumed.same_run = is_same_run({folder, resumed.step, manifest}, options);
    }
    std::vector<run::EpochRow> epochs;
    for (const auto& e : resumed.record.epochs)
      epochs.push_back(epoch_row(e));
    training.restore(folder, manifest, std::move(epochs));
  } catch (const base::ConfigError& wrong) {
    return {.damaged = wrong.violations()};
  } catch (const base::EnvironmentError& wrong) {
    std::vector<Violation> what{{folder.string(), "", wrong.what()}};
    if (wrong.code() == ENOENT) return {.damaged = std::move(what)};  // a file is missing
    return {.refused = std::move(what)};
  }
  return {};
}

}  // namespace

std::string output_seen_from_checkpoints(const config::RunOptions& options) {
  if (options.output.empty()) return "";
  std::error_code unresolved;
  const auto folder = std::filesystem::absolute(options.output, unresolved).parent_path();
  return (std::filesystem::relative(folder, config::checkpoint_dir(options), unresolved) /
          options.output.filename())
      .string();
}

std::vector<Violation> check_overwritten(const config::RunOptions& options) {
  const auto dir = config::checkpoint_dir(options);
  const auto found = newest(dir);
  if (!found || owner_of(found->manifest).empty() || belongs(*found, options)) return {};
  return {{"checkpoint.dir", dir.string(),
           "holds the checkpoints of " + other_owner(found->manifest) +
               ", which --overwrite would delete; name another folder"}};
}

results::TrainingIdentity identity_of(const config::RunOptions& options, const data::DataPair& data) {
  return {.model = options.model.name,
          .dataset = data.train.name,
          .dataset_hash = data.sha256,
          .seed = options.train.seed,
          .batch = options.train.batch,
          .shuffle = options.train.shuffle,
          .layers = lines_of(options.model)};
}

std::vector<Violation> check_resume(const Input& input) {
  const auto& options = input.options;
  const auto dir = config::checkpoint_dir(options);
  std::vector<Violation> violations;
  const auto append = [&](const std::vector<Violation>& more) {
    violations.insert(violations.end(), more.begin(), more.end());
  };
  if (dir.empty())
    violations.push_back(
        {"resume", "", "needs checkpoint.dir, or an output beside which the checkpoints lie"});
  if (!options.output.empty()) append(check_output(options));
  if (!options.save_model.empty()) append(check_model_output(options));
  if (!dir.empty()) append(results::check_checkpoint_dir(dir, true));
  if (!options.output.empty()) append(check_former_name(options));
  if (dir.empty() || !violations.empty() || !input.data || !input.model_is_known) return violations;
  const auto found = newest(dir);
  if (!found) return violations;
  append(results::check_identity("checkpoint.dir", found->folder, found->manifest.identity,
                                 identity_of(options, *input.data)));
  append(check_past(found->folder, found->manifest, options));
  append(check_residuals(found->folder, found->manifest, input));
  const auto limit = options.train.steps_on(input.data->train.samples);
  const bool other = !is_same_run(*found, options);
  append(check_owner(*found, other, options));
  if (found->step > limit || (found->step == limit && other))
    violations.push_back({options.train.steps ? "train.steps" : "train.epochs",
                          std::to_string(options.train.steps.value_or(options.train.epochs)),
                          "nothing is left to train: " + found->folder.string() + " is of step " +
                              std::to_string(found->step) + ", the run ends with step " +
                              std::to_string(limit)});
  return violations;
}

std::optional<Ended> find_ended(const Job& job) {
  const auto& output = job.input.options.output;
  Ended ended;
  std::string word;
  if (job.world.rank() == 0 && !output.empty() && base::exists(output)) {
    ended.record = results::read(output);
    word = to_string(ended.record.attributes.status);
    const auto& model = job.input.options.save_model;
    if (word == to_string(results::Status::complete) && !model.empty() && !base::exists(model)) {
      job.messages << output.string() << " is complete, but " << model.string() << " is missing" << std::endl;
      word.clear();
    }
  }
  word = job.world.all_gather_text(word, collective::Purpose::control).front();
  if (word != to_string(results::Status::complete) && word != to_string(results::Status::invalid))
    return std::nullopt;
  ended.exit_code = word == to_string(results::Status::complete) ? success : failed;
  return ended;
}

std::optional<Resumed> resume(const Job& job, run::Training& training) {
  const auto& options = job.input.options;
  const auto dir = config::checkpoint_dir(options);
  const bool speaks = job.world.rank() == 0;
  std::ostringstream mine;
  if (speaks)
    for (const auto step : results::list_checkpoints(dir))
      mine << step << ' ';
  std::istringstream steps(job.world.all_gather_text(mine.str(), collective::Purpose::control).front());
  std::vector<std::int64_t> damaged;
  for (std::int64_t step = 0; steps >> step; damaged.push_back(step)) {
    Resumed resumed{.step = step};
    const auto trouble = try_checkpoint(job, training, resumed);
    const auto damage = job.world.agree(trouble.damaged), refused = job.world.agree(trouble.refused);
    if (!refused.empty()) throw base::ConfigError(refused);
    if (speaks)
      for (const auto& what : damage)
        job.messages << "the checkpoint of step " << step << " is damaged: " << to_string(what) << std::endl;
    if (!damage.empty()) continue;
    if (speaks) {
      for (const auto newer : damaged)
        results::set_aside(dir, newer);
      job.messages << "going on from step " << step << " (" << results::checkpoint_folder(dir, step).string()
                   << ")" << std::endl;
      for (const auto& change : resumed.changes)
        job.messages << "from step " << step << " on: " << change.key << " = " << change.after << " (was "
                     << change.before << ")" << std::endl;
    }
    return resumed;
  }
  if (!damaged.empty())
    throw base::ConfigError({{"checkpoint.dir", dir.string(), "holds no checkpoint that is whole"}});
  if (speaks)
    job.messages << "no checkpoint in " << dir.string() << ": starting from the beginning" << std::endl;
  return std::nullopt;
}

void continue_record(results::RunRecord& record, const Resumed& resumed) {
  auto& a = record.attributes;
  record.changes = resumed.record.changes;
  record.changes.insert(record.changes.end(), resumed.changes.begin(), resumed.changes.end());
  if (!resumed.same_run) return void(a.first_step = resumed.step);
  a.created = resumed.record.attributes.created;
  a.first_step = resumed.record.attributes.first_step;
  a.restarts = resumed.record.attributes.restarts + 1;
  record.steps = resumed.record.steps;
  record.timeline = resumed.record.timeline;
  record.pushes = resumed.record.pushes;
}

}  // namespace partita::job
