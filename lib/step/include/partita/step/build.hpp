/// From a model and the plan by which it is split to step programs, one for each role.
#pragma once

#include "partita/step/plan.hpp"
#include "partita/step/program.hpp"

namespace partita::step {

/// A layer as one rank of the tensor axis computes it, with no ReLU joined to it.
Unit share_of(const model::ModelSpec&, int layer, const LayerPlacement&, int rank, int ranks);

/// How a back-end wants its tensors.
struct TensorFormat {
  DataType type = DataType::float32;
  /// Memory order of images; a flatten between equal orders moves no data.
  kernels::Layout layout = kernels::Layout::nchw;
};

/// One step of training on one role. The data coordinate of `at` is ignored.
///
/// Traffic: on the pipeline axis one send and one receive a boundary, micro-batch and direction; on the
/// tensor axis the conversions; per layer with statistics, micro-batch and direction one all-reduce of them
/// over the axes on which samples are cut (none backward where no gradient goes further down); per bucket one
/// all-reduce over the axes on which its gradients are partial; one of two float64 (loss sum, correct) as
/// metric over data, pipeline and, with a batch-sharded loss, tensor. Axes with one rank take no part.
Program build_training_program(const model::ModelSpec&, const Plan&, const topology::Coordinate& at,
                               const TensorFormat&);

/// One batch of evaluation: load, forward, loss sums, in the same micro-batches. Dropout is the identity.
/// Reduces nothing but activations: the loop that evaluates adds up the sums of all batches.
Program build_evaluation_program(const model::ModelSpec&, const Plan&, const topology::Coordinate& at,
                                 const TensorFormat&);

}  // namespace partita::step
