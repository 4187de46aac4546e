/// Parameters and the optimizer's states from a checkpoint, whatever grid wrote it.
#pragma once

#include <filesystem>

#include "partita/results/checkpoint.hpp"
#include "partita/state/parameters.hpp"

namespace partita::state {

/// Reads the shards that hold something of this rank's part of the model, and no other. States that the
/// checkpoint lacks (of layers that were frozen, of another optimizer) become 0. Moments share the number of
/// their updates: where one of them begins at 0, all do. Throws `base::ConfigError` naming a shard that is
/// damaged, all shards with running statistics that are none, or a tensor that is not whole; the parameters
/// are of no use then. Local.
void restore(const std::filesystem::path& folder, const results::Manifest&, const model::ModelSpec&,
             const step::Program&, Parameters&);

}  // namespace partita::state
