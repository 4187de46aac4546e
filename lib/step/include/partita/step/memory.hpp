/// The memory formula of a program: places its transient slots in one arena so that tensors which never live
/// at the same time share memory.
#pragma once

#include "partita/step/program.hpp"

namespace partita::step {

/// Offsets of the transient slots for a share of `samples` samples; −1 for slots that outlive a step.
struct MemoryPlan {
  std::vector<std::int64_t> offset_bytes;
  Bytes total{};
};

/// First fit by decreasing size over live ranges: from the first instruction that writes a slot to the last
/// that touches it. Offsets are multiples of `alignment`.
MemoryPlan plan_memory(const Program&, std::int64_t samples, std::int64_t alignment);

}  // namespace partita::step
