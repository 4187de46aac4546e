/// How a model is split over a grid: the placement of its layers and their partition into chunks, as is best
/// on a machine. Chosen once, alike on every rank; `step` lowers what was chosen to programs.
#pragma once

#include <map>
#include <vector>

#include "partita/base/error.hpp"
#include "partita/plan/placement.hpp"
#include "partita/step/plan.hpp"

namespace partita::plan {

/// What is asked for, and what is to be chosen within it.
struct Request {
  topology::GridExtent grid;
  std::int64_t batch = 1;  ///< nominal, of the whole grid
  step::PipelineOptions pipeline;
  /// A bucket is closed by the first unit that makes it at least this large.
  kernels::Bytes bucket_bytes{};
  /// Grains of the deterministic mode; 0: off. Every grain is a micro-batch.
  int grains = 0;
  Outputs outputs = Outputs::any;  ///< `whole` for those who read them
  /// Of all-reduces; in the deterministic mode recursive doubling, whatever this is.
  collective::Algorithm algorithm = collective::Algorithm::automatic;
  step::Norms norms = {};
  step::Split split = step::Split::none;
  step::Gather gather = step::Gather::use;
  step::Compression compression = {};
  step::Cadence cadence = {};
  step::Weights weights = {};
  /// Of ranks of the grid that are not as fast as the machine's; below 1: slower.
  std::map<int, double> speed = {};
};

/// What cannot be split as asked is appended to `violations`; the plan must not be used then.
step::Plan choose(const model::ModelSpec&, const Request&, const machine::Machine&,
                  std::vector<base::Violation>& violations);

/// What is chosen already; all else is chosen for it.
struct Chosen {
  const step::ModelPlacement* placement = nullptr;
  const step::Partition* partition = nullptr;
};
step::Plan choose(const model::ModelSpec&, const Request&, const Chosen&, const machine::Machine&,
                  std::vector<base::Violation>& violations);

/// The same; throws `base::ConfigError` with all violations.
step::Plan choose(const model::ModelSpec&, const Request&,
                  const machine::Machine& = machine::Machine::shipped());

/// A model as a run takes it, with the plan that was chosen for its batch.
struct Split {
  model::ModelSpec model;
  step::Plan plan;
  std::int64_t batch = 1;  ///< of the whole grid
};

/// The `most` best partitions of a model that is placed as in this split, the best first, on ranks of these
/// speeds; fewer where there are not so many.
std::vector<step::Partition> partitions_of(const Split&, const std::map<int, double>& speed,
                                           const machine::Machine&, std::size_t most);

}  // namespace partita::plan
