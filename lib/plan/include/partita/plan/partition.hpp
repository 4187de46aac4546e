/// Which layers form which chunk of the pipeline: the cut of a chain that makes the costliest chunk cheapest.
#pragma once

#include <map>
#include <vector>

#include "partita/base/error.hpp"
#include "partita/machine/machine.hpp"
#include "partita/step/plan.hpp"

namespace partita::plan {

/// How fast ranks of a stage are: of each part of the machine among them, how many times as fast as the
/// machine says its slowest one is.
using Paces = std::map<int, double>;

/// Into how many pieces a chain is cut, and for micro-batches of how many samples on a data rank.
struct Cut {
  int stages = 1, chunks_of_stage = 1;
  std::int64_t samples = 1;
  std::vector<Paces> paces = {};  ///< by stage; empty: all ranks are as the machine says
};

/// The exact optimum for a chain (dynamic programme over cuts); among equals the one whose boundaries carry
/// the fewest elements and part no ReLU from the layer before it. A chunk takes as long as on the slowest
/// ranks of its stage. `stage=` on a layer line pins its stage, where there are several. What cannot be done
/// is appended to `violations`, with the nearest value.
step::Partition partition(const model::ModelSpec&, const step::ModelPlacement&, const Cut&,
                          const machine::Machine&, std::vector<base::Violation>& violations);

/// The `most` best cuts in the same order, `partition`'s first; fewer where there are not so many.
std::vector<step::Partition> partitions(const model::ModelSpec&, const step::ModelPlacement&, const Cut&,
                                        const machine::Machine&, std::size_t most,
                                        std::vector<base::Violation>& violations);

}  // namespace partita::plan
