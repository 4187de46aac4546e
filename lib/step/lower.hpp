/// Layers of the model to units of a role: which layers it has, with which share, and which ReLUs are joined.
#pragma once

#include "partita/step/build.hpp"

namespace partita::step {

/// The units of chunk `chunk` of the model, numbered `role_chunk` in its role.
std::vector<Unit> lower_chunk(const model::ModelSpec&, const Plan&, int tensor_rank, int chunk,
                              ChunkId role_chunk);

/// The pair after a unit: of its layer, or of the ReLU that it has taken in.
const Pair& output_pair(const Plan&, const Unit&);
const Pair& input_pair(const Plan&, const Unit&);

/// Whether a unit's output is its input: a flatten of an image whose memory order is logical already, and
/// dropout outside training.
bool moves_no_data(const model::Layer& whole, kernels::Layout, bool training);

}  // namespace partita::step
