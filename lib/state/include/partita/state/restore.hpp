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

/// What codecs carry from step to step, and states of the optimizer that data ranks have of their own. Ranks
/// of the grid that wrote it get each their own; on another grid each of the ranks that add up a gradient
/// gets an even part of the sum of all residuals, and all get the mean of states. A basis of other rows and
/// columns, or of another rank, stays as it is. Reads every shard that has some of either. Throws as
/// `restore`.
void restore_carried(const std::filesystem::path& folder, const results::Manifest&, const model::ModelSpec&,
                     const step::Carried&, int rank, Parameters&);

}  // namespace partita::state
