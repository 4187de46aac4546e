/// How a model is split over the ranks of a grid, and over which axes what must be added up then.
#pragma once

#include <vector>

#include "partita/collective/algorithm.hpp"
#include "partita/kernels/optimizer.hpp"
#include "partita/step/cadence.hpp"
#include "partita/step/placement.hpp"
#include "partita/step/schedule.hpp"
#include "partita/step/split.hpp"
#include "partita/topology/grid.hpp"

namespace partita::step {

/// First layer of every chunk, then the number of layers; chunk k is [first[k], first[k + 1]), never empty.
using Partition = std::vector<int>;

/// What updates need besides gradients.
struct Norms {
  bool of_gradient = false;  ///< of all parameters, by which it is clipped
  bool of_tensors = false;   ///< of each tensor (`kernels::OptimizerDescription::takes_norms`)
  friend bool operator==(const Norms&, const Norms&) = default;
};

Norms norms_of(const kernels::OptimizerSpec&);

/// Of data ranks, whole numbers above 0: a rank takes its weight's part of the samples of each batch. None:
/// all take as many.
using Weights = std::vector<std::int64_t>;

/// The most samples of a batch that a data rank takes.
std::int64_t largest_share(const topology::GridExtent&, const Weights&, std::int64_t batch);

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
  Norms norms;
  Split split = Split::none;
  Gather gather = Gather::use;
  Compression compression;
  Cadence cadence;
  Weights weights;

  /// Whether ranks keep for later what codecs did not send.
  [[nodiscard]] bool keeps_residuals() const { return compression.is_on() && compression.residuals; }
};

/// The axes over which the loss sums of a program must be added, those with one rank left out.
topology::Axis metric_axes(const Plan&);

/// The axes over which the gradients of a layer's parameters must be added, those with one rank left out.
topology::Axis gradient_axes(const Plan&, int layer);

/// The same where data ranks update by their own gradients: without those along the data axis.
topology::Axis without_data(const Plan&, topology::Axis);

/// The axes over which the statistics of a layer must be added, those with one rank left out.
topology::Axis statistics_axes(const Plan&, int layer);

/// Whether a rank updates a share of the parameters only, or none.
bool shares_updates(const Plan&);

/// Whether a step takes the norm of the gradient: to clip it, or, where ranks see shares of it only or it may
/// be too large for what is sent in its place, so that all of them know of one that is not finite before any
/// of them updates.
bool takes_norm(const Plan&);

/// The axes over which parts of that norm lie, those with one rank left out; none where nobody takes it.
topology::Axis norm_axes(const Plan&);

/// The axes, and products of them, on which any role communicates.
std::vector<topology::Axis> used_axes(const model::ModelSpec&, const Plan&);

}  // namespace partita::step
