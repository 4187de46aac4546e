/// The traffic formula: what a program's step exchanges, by axis, operation and purpose. A ledger's `train`
/// rows are this times the number of steps.
#pragma once

#include <map>
#include <set>

#include "partita/step/rounds.hpp"

namespace partita::step {

/// By transfer: the steps that start it.
base::IdVector<TransferId, StepKinds> kinds_of_starts(const Program&);

struct TrafficOfStep {
  collective::TrafficCounts counts;            ///< staged bytes and seconds stay 0
  std::set<collective::Algorithm> algorithms;  ///< of all-reduces
};

/// One step of a kind by key (activity train) on `rank` of the grid, for a batch of `batch` samples: calls,
/// payload, and the bytes and messages of the rounds.
std::map<collective::TrafficKey, TrafficOfStep> traffic_of_step(const Program&, int rank, std::int64_t batch,
                                                                const Site& = {},
                                                                StepKind = StepKind::synchronous);

/// What a rank sends of the gradients of a step, those of its buckets that have a codec: by the ring, if they
/// had none, and in their place.
struct CodedTraffic {
  Bytes dense{}, coded{};
};
CodedTraffic coded_traffic(const Program&, int rank, std::int64_t batch, const Site& = {});

}  // namespace partita::step
