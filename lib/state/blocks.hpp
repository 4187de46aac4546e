/// Pieces of a rank as checkpoints name them.
#pragma once

#include "partita/model/model.hpp"
#include "partita/results/checkpoint.hpp"
#include "partita/step/shards.hpp"

namespace partita::state {

/// In a file of the manifest.
results::Block block_of(const step::Piece&, const model::ModelSpec&, std::int64_t file);
results::Block block_of(const step::CarriedPiece&, const model::ModelSpec&, std::int64_t file);

}  // namespace partita::state
