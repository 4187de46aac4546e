/// A run that left a result or checkpoints, beside the one that is to go on from them.
#pragma once

#include <filesystem>
#include <vector>

#include "partita/config/options.hpp"
#include "partita/results/checkpoint.hpp"

namespace partita::job {

/// The run that left a checkpoint; what of its configuration this version does not know stays at its default.
/// The data are taken to be those of `now`: whether they are is asked of the checkpoint's identity.
config::RunOptions options_of(const results::Manifest&, const config::RunOptions& now);

/// Whether what was recorded is of this configuration: by its hash, or, as earlier versions made theirs by
/// other rules, by the configuration that stands beside it.
bool has_recorded(const results::Manifest&, const config::RunOptions&);
bool has_recorded(const results::Attributes&, const config::RunOptions&);

/// Keys that would make the steps of a checkpoint in `folder` others than they were.
std::vector<base::Violation> check_past(const std::filesystem::path& folder, const results::Manifest&,
                                        const config::RunOptions&);

}  // namespace partita::job
