/// How ranks that train the same parameters keep them equal: what a program does when this rank's part of
/// something that all of them add up is complete, and at the end of a step.
///
/// The passes of a step announce; a policy answers by instructions on the slots of buckets and of the metric.
#pragma once

#include <memory>

#include "assembly.hpp"

namespace partita::step {

class Synchronisation {
 public:
  virtual ~Synchronisation() = default;

  /// The steps that have passes, and into which of a bucket's slots of gradients these write; of a stack of
  /// several levels where it says that there is one.
  struct InBuffer {
    StepKinds in;
    std::size_t buffer = 0;
  };
  [[nodiscard]] virtual std::vector<InBuffer> passes() const = 0;

  /// It is about to have the first gradients of a bucket.
  virtual void gradients_begin(BucketId) {}
  /// This rank has the gradients of a bucket, summed over its micro-batches.
  virtual void gradients_complete(BucketId) = 0;
  /// It has the sums of its losses; where it computes no loss, zeros.
  virtual void metric_complete() = 0;
  /// All passes of the step are over: updates the parameters. An update reads the metric, which must be the
  /// sum of all ranks by then: where the loss is not finite none of them updates.
  virtual void end_step() = 0;
};

/// Unless the plan's cadence says otherwise, every step ends with the parameters that one rank with all
/// samples would have: gradients are added up as soon as they are complete, beside what is still computed,
/// and each bucket is updated once it is whole; of a bucket that is split each rank updates its share, and
/// tells the others.
///
/// Delayed, a step waits for the gradients of the one before, and updates by these. In local steps the sums
/// are those of the ranks of one data coordinate.
std::unique_ptr<Synchronisation> synchronous(Assembly&);

/// With parameter servers: a worker pushes the gradients of each bucket to all of them as soon as they are
/// complete, and a step ends with their answers; a server has no passes.
std::unique_ptr<Synchronisation> pushing(Assembly&);
std::unique_ptr<Synchronisation> serving(Assembly&);

/// The update of a bucket by gradients and by the sums of losses that lie in these slots; where these are of
/// all ranks, the norm of all gradients scales it.
Instruction update_of(const Assembly&, BucketId, SlotId gradients, SlotId metric);
/// The same two phases of an update by norms of tensors.
Instruction statistics_of_update(const Assembly&, BucketId, SlotId gradients, SlotId metric);
Instruction finish_of_update(const Assembly&, BucketId, SlotId gradients, SlotId metric);

/// Brings the sums of squares of all ranks together, and makes of them the norm and what clips by it.
void add_norm_of_all(Assembly&);

}  // namespace partita::step
