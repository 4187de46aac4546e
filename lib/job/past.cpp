/// Sets what a run recorded of its configuration beside what is asked for now, key by key by what they mean.
#include "partita/job/past.hpp"

namespace partita::job {
namespace {

using base::Violation;

/// `Recorded`: whatever holds a configuration, its hash, and the hash of the model that it started from.
template <class Recorded>
config::RunOptions options_of(const Recorded& run, const config::RunOptions& now,
                              std::vector<Violation>& unknown) {
  auto options = config::parse_text(run.config, unknown);
  options.load_model_hash = run.load_model_hash;
  options.own_normalisation = now.own_normalisation;
  return options;
}

template <class Recorded>
bool is_of(const Recorded& run, const config::RunOptions& options) {
  const auto hash = config::config_hash(options);
  if (run.config_hash == hash) return true;
  std::vector<Violation> unknown;
  const auto recorded = options_of(run, options, unknown);
  return unknown.empty() && config::config_hash(recorded) == hash;
}

Violation past_violation(const config::KeyDifference& d, const std::string& folder) {
  const std::string steps = " in the steps that " + folder + " goes on from";
  if (d.before == config::not_given)
    return {d.key, d.after, "was not given" + steps + ": leave it out, or train from the beginning"};
  if (d.after == config::not_given)
    return {d.key, "", "was " + d.before + steps + ": give it, or train from the beginning"};
  return {d.key, d.after,
          "was " + d.before + steps + "; the nearest is " + d.before + ", or a training from the beginning"};
}

}  // namespace

config::RunOptions options_of(const results::Manifest& manifest, const config::RunOptions& now) {
  std::vector<Violation> unknown;
  return options_of(manifest, now, unknown);
}

bool has_recorded(const results::Manifest& manifest, const config::RunOptions& options) {
  return is_of(manifest, options);
}

bool has_recorded(const results::Attributes& attributes, const config::RunOptions& options) {
  return is_of(attributes, options);
}

std::vector<Violation> check_past(const std::filesystem::path& folder, const results::Manifest& manifest,
                                  const config::RunOptions& options) {
  std::vector<Violation> violations;
  for (const auto& d : config::differences(options_of(manifest, options), options))
    if (d.changes_past) violations.push_back(past_violation(d, folder.string()));
  return violations;
}

}  // namespace partita::job
