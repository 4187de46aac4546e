/// How the gradients of a bucket become those of all ranks that train it, or a share of them: by one
/// transfer, or, where a run asks for a codec, by what is sent in their place.
#pragma once

#include <memory>

#include "assembly.hpp"

namespace partita::step {

class Reduction {
 public:
  virtual ~Reduction() = default;
  /// This rank's gradients are complete.
  virtual void begin() = 0;
  /// What has to wait for the first exchange, once others had time to take part.
  virtual void go_on() {}
  /// What a rank updates by is there.
  virtual void finish() = 0;
};

/// Of the gradients in one of the bucket's slots, over `axis`, which is the bucket's or a part of it.
std::unique_ptr<Reduction> reduction_of(Assembly&, BucketId, SlotId gradients, topology::Axis axis);

}  // namespace partita::step
