/// What each transfer of a program is once rank and batch are known, and where its rank stands: with which
/// `collective::rounds_of` answers which rounds run. The executor, the traffic formula, the event model,
/// --dry-run and --print-program all ask here; nobody else chooses an algorithm for a program.
#pragma once

#include <set>
#include <vector>

#include "partita/collective/algorithm_table.hpp"
#include "partita/step/program.hpp"

namespace partita::step {

/// Where a program runs; the same on all ranks.
struct Site {
  std::vector<int> node_of = {};          ///< by rank of the grid; empty: one node
  std::set<topology::Axis> reached = {};  ///< axes along which ranks reach each other's buffers on devices
  collective::AlgorithmTable table = collective::AlgorithmTable::shipped();
};

struct ResolvedTransfer {
  collective::Spec spec;
  collective::Place at;
};

/// A transfer as `rank` of the grid runs it in a step of `batch` samples. The program is that of the rank's
/// role.
ResolvedTransfer resolve(const Program&, const Transfer&, int rank, std::int64_t batch, const Site&);

/// The same where the rank's place among those that take part is known, as far as `rank` and `node_of` of it,
/// and the samples of its micro-batch.
ResolvedTransfer resolve(const Program&, const Transfer&, std::int64_t samples, collective::Place,
                         const Site&);

/// Whether a transfer can be done in several ways: an all-reduce, and what scatters and gathers shares of a
/// slot. Pieces of a conversion are exchanged in one way.
bool has_algorithm(const Transfer&);

/// Whether what a rank sends and receives depends on its place among those that take part, besides its role.
bool differs_by_rank(const Transfer&);

/// The program with the algorithm of every transfer that has one.
Program resolve(Program, int rank, std::int64_t batch, const Site&);

}  // namespace partita::step
