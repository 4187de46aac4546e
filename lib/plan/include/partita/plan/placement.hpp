/// Which placement each layer gets on the tensor axis: the chain of layers that takes least time on a
/// machine.
#pragma once

#include <string>
#include <vector>

#include "partita/machine/machine.hpp"
#include "partita/step/placement.hpp"
#include "partita/topology/grid.hpp"

namespace partita::plan {

/// What is left of the network's outputs where the loss reads them: `any` lets the ranks of the tensor axis
/// hold shares of the classes; `whole`: a rank that has a sample has all of its outputs.
enum class Outputs { any, whole };

/// The cheapest chain for `batch` samples of the whole grid, found by dynamic programming over the layers;
/// `placement=` on a layer line leaves only that variant. The same on every rank: it depends on nothing
/// local.
step::ModelPlacement place(const model::ModelSpec&, const topology::GridExtent&, std::int64_t batch,
                           const machine::Machine&, Outputs = Outputs::any);

/// The `most` cheapest that layer lines name differently, `place`'s first; fewer where there are not so many.
std::vector<step::ModelPlacement> placements(const model::ModelSpec&, const topology::GridExtent&,
                                             std::int64_t batch, const machine::Machine&, Outputs,
                                             std::size_t most);

/// How layer lines name a placement, a word a layer, empty for `flatten`, which follows its neighbours: of
/// all placements of these words `place` finds the cheapest.
std::vector<std::string> words_of(const model::ModelSpec&, const step::ModelPlacement&);

}  // namespace partita::plan
