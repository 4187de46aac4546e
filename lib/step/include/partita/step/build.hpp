/// From a model and the plan by which it is split to step programs, one for each role.
#pragma once

#include <vector>

#include "partita/step/placement.hpp"
#include "partita/step/program.hpp"
#include "partita/topology/grid.hpp"

namespace partita::step {

/// First layer of every chunk, then the number of layers; chunk k is [first[k], first[k + 1]), never empty.
using Partition = std::vector<int>;

/// How a model is split: the same for all ranks, and all that a program depends on besides its role.
/// `plan::choose` makes one.
struct Plan {
  topology::GridExtent grid;
  PipelineOptions pipeline;
  ModelPlacement placement;
  Partition partition;  ///< chunk k of the model runs on stage k mod grid.pipeline
  /// A bucket is closed by the first unit that makes it at least this large.
  Bytes bucket_bytes{};
  /// Grains of the deterministic mode; 0: off. Every grain is a micro-batch.
  int grains = 0;
  collective::Wish all_reduces;
};

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

/// The axes over which the loss sums of a program must be added, those with one rank left out.
topology::Axis metric_axes(const Plan&);

/// The axes over which the gradients of a layer's parameters must be added, those with one rank left out.
topology::Axis gradient_axes(const Plan&, int layer);

/// The axes over which the statistics of a layer must be added, those with one rank left out.
topology::Axis statistics_axes(const Plan&, int layer);

/// The axes, and products of them, on which any role communicates.
std::vector<topology::Axis> used_axes(const model::ModelSpec&, const Plan&);

}  // namespace partita::step
