/// How a model is split over the ranks of a grid, and over which axes what must be added up then.
#pragma once

#include <vector>

#include "partita/collective/algorithm.hpp"
#include "partita/step/placement.hpp"
#include "partita/step/schedule.hpp"
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
  kernels::Bytes bucket_bytes{};
  /// Grains of the deterministic mode; 0: off. Every grain is a micro-batch.
  int grains = 0;
  collective::Wish all_reduces;
};

/// The axes over which the loss sums of a program must be added, those with one rank left out.
topology::Axis metric_axes(const Plan&);

/// The axes over which the gradients of a layer's parameters must be added, those with one rank left out.
topology::Axis gradient_axes(const Plan&, int layer);

/// The axes over which the statistics of a layer must be added, those with one rank left out.
topology::Axis statistics_axes(const Plan&, int layer);

/// The axes, and products of them, on which any role communicates.
std::vector<topology::Axis> used_axes(const model::ModelSpec&, const Plan&);

}  // namespace partita::step
