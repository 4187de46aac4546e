/// Builds step programs: lowers a model to units, gives every tensor a slot, cuts the parameters into
/// buckets, and derives from the grid which gradients must be reduced.
#pragma once

#include "partita/step/program.hpp"
#include "partita/topology/grid.hpp"

namespace partita::step {

struct BuildOptions {
  topology::GridExtent grid;
  DataType type = DataType::float32;
  /// Memory order of images; a flatten between equal orders moves no data.
  kernels::Layout layout = kernels::Layout::nchw;
  /// A bucket is closed by the first unit that makes it at least this large.
  Bytes bucket_bytes{};
};

/// One step of training: load, forward, loss, backward, gradient reductions that start as soon as the last
/// gradient of their bucket exists, update.
///
/// Traffic: per bucket one all-reduce over the data axis, and one of two float64 (loss sum, correct) as
/// metric; none when the data axis has one rank. Parameters are replicated there, so their gradients are
/// partial sums and must be reduced; nothing else is.
Program build_training_program(const model::ModelSpec&, const BuildOptions&);

/// One batch of evaluation: load, forward, loss sums. Dropout is the identity. Reduces nothing: the loop that
/// evaluates adds up the sums of all batches and reduces them once.
Program build_evaluation_program(const model::ModelSpec&, const BuildOptions&);

}  // namespace partita::step
