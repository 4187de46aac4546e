/// Which rounds a collective takes on a rank: a pure function of what the collective is and where the rank
/// stands. The engine that runs them, the formulae that add up their bytes, the copies around them and the
/// models that cost them all ask it, so that none can mean other rounds than the others.
#pragma once

#include <span>
#include <vector>

#include "partita/collective/algorithm.hpp"
#include "partita/collective/rounds.hpp"
#include "partita/kernels/data_type.hpp"

namespace partita::collective {

/// What a collective is, or a message; from the view of one rank, which differs from the others' in the cuts
/// of an all-to-all, in what a gather collects, and in the two ends of a message.
struct Spec {
  Operation operation = Operation::all_reduce;
  /// Of an all-reduce, a reduce-scatter (`scatter_like`) and an all-gather (`window`, of a buffer that lies
  /// there; `recursive_doubling` by Bruck's algorithm; else a ring); never `automatic`.
  Algorithm algorithm = Algorithm::ring;
  Combine combine = Combine::sum;  ///< of an all-reduce and a reduce-scatter
  kernels::DataType type = kernels::DataType::float32;
  std::int64_t elements = 0;  ///< what this rank asks to have moved or reduced
  /// ranks + 1 offsets into the buffer, or into what an all-to-all sends and receives.
  std::vector<std::int64_t> cuts = {}, receive_cuts = {};
  bool keeps_own = false;  ///< of an all-to-all: a rank sends itself nothing, whatever its cuts say
  int peer = 0;            ///< root of a broadcast or gather; to whom a send goes, from whom a receive comes
};

/// Where a rank stands among the ranks of a collective, and its buffer.
struct Place {
  int rank = 0;
  std::vector<int> node_of{0};  ///< by rank, numbered from 0 in order of their first ranks
  bool in_window = false;       ///< the buffer lies in a window that the ranks of the node share
  bool reached = false;         ///< ranks reach each other's buffers, which lie on devices
  [[nodiscard]] int ranks() const { return static_cast<int>(node_of.size()); }
  friend bool operator==(const Place&, const Place&) = default;
};

/// The same nodes, numbered as `Place` has them.
std::vector<int> numbered_nodes(std::span<const int> nodes);

Reach reach_of(const Place&);

/// What of an all-reduce is done by the MPI library, whose rounds nobody sees.
constexpr bool is_vendors(const Spec& spec) {
  return spec.operation == Operation::all_reduce && spec.algorithm == Algorithm::mpi;
}

/// Whether it can run on buffers that ranks reach in each other's memory, without messages.
bool works_on_shared(const Spec&);

/// The rounds of one run on this rank; none where `is_vendors`. An algorithm that is impossible there is a
/// broken contract.
Rounds rounds_of(const Spec&, const Place&);

/// Bytes that this rank holds for runs on buffers of a host, besides the buffer itself.
Bytes memory_of(const Spec&, const Place&);

/// Bytes and messages of one run on this rank as a ledger books them; a vendor's are modelled. Calls,
/// payload, staged bytes and seconds stay 0.
TrafficCounts traffic_of(const Spec&, const Place&);

}  // namespace partita::collective
