/// The memory formula of a program: places the slots that live for a step in one arena so that tensors which
/// never live at the same time share memory.
#pragma once

#include "partita/step/program.hpp"

namespace partita::step {

/// Offsets of the slots that live for a step and are used; none for others.
struct MemoryPlan {
  base::IdVector<SlotId, std::optional<std::int64_t>> offset_bytes;
  Bytes total{};
};

/// First and last instruction that touch a slot.
struct LiveRange {
  int first = 0, last = 0;
};
/// None where no instruction does.
base::IdVector<SlotId, std::optional<LiveRange>> live_ranges(const Program&);

/// The most bytes that slots of the step alive at the same time hold: what a schedule stashes.
Bytes peak_live_bytes(const Program&, int data_rank, std::int64_t batch);

/// For a batch of `batch` samples on a data rank. First fit by decreasing size over live ranges: from the
/// first instruction that writes a slot to the last that touches it, so that a schedule stashes as many
/// micro-batches as it needs and no more. Offsets are multiples of `alignment`.
MemoryPlan plan_memory(const Program&, int data_rank, std::int64_t batch, std::int64_t alignment);

}  // namespace partita::step
