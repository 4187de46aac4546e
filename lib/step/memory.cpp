/// A slot lives from the first to the last instruction that touches it. Places are given from the largest
/// slot to the smallest, each the lowest offset that is free during the slot's life.
#include "partita/step/memory.hpp"

#include <algorithm>

namespace partita::step {
namespace {

/// A slot that has its place.
struct Placed {
  LiveRange life;
  std::int64_t begin = 0, end = 0;
  [[nodiscard]] bool overlaps_in_time(const Placed& o) const {
    return life.first <= o.life.last && o.life.first <= life.last;
  }
};

Bytes bytes_of_slot(const Program& program, const Slot& slot, int data_rank, std::int64_t batch) {
  const auto samples = slot.microbatch ? program.microbatch(*slot.microbatch, data_rank, batch).size() : 0;
  return bytes_of(slot.type, program.elements(slot, samples));
}

/// The lowest offset at which `size` bytes meet none of the placed ranges, by their begins, that live at the
/// same time.
std::int64_t first_fit(const Placed& wanted, std::int64_t size, const std::vector<Placed>& placed) {
  std::int64_t offset = 0;
  for (const auto& other : placed) {
    if (!wanted.overlaps_in_time(other)) continue;
    if (offset + size <= other.begin) break;
    offset = std::max(offset, other.end);
  }
  return offset;
}

}  // namespace

base::IdVector<SlotId, std::optional<LiveRange>> live_ranges(const Program& program) {
  base::IdVector<SlotId, std::optional<LiveRange>> ranges(program.slots.size());
  for (std::size_t i = 0; i < program.instructions.size(); ++i)
    for (const auto* touched : {&program.instructions[i].reads, &program.instructions[i].writes})
      for (const auto slot : *touched) {
        const int now = static_cast<int>(i);
        auto& range = ranges[slot];
        if (!range) range = {.first = now};
        range->last = now;
      }
  return ranges;
}

Bytes peak_live_bytes(const Program& program, int data_rank, std::int64_t batch) {
  const auto ranges = live_ranges(program);
  std::vector<Bytes> change(program.instructions.size() + 1);
  for (const auto s : ranges.ids()) {
    if (program.slots[s].lifetime == Lifetime::run || !ranges[s]) continue;
    const Bytes bytes = bytes_of_slot(program, program.slots[s], data_rank, batch);
    change[static_cast<std::size_t>(ranges[s]->first)] += bytes;
    change[static_cast<std::size_t>(ranges[s]->last) + 1] -= bytes;
  }
  Bytes live{}, peak{};
  for (const auto bytes : change)
    peak = std::max(peak, live += bytes);
  return peak;
}

MemoryPlan plan_memory(const Program& program, int data_rank, std::int64_t batch, std::int64_t alignment) {
  MemoryPlan plan{.offset_bytes = decltype(MemoryPlan::offset_bytes)(program.slots.size())};
  const auto ranges = live_ranges(program);
  base::IdVector<SlotId, std::int64_t> size;
  for (const auto& slot : program.slots)
    size.push_back((bytes_of_slot(program, slot, data_rank, batch).value() + alignment - 1) / alignment *
                   alignment);
  const auto slots = program.slots.ids();
  std::vector<SlotId> order(slots.begin(), slots.end());
  std::stable_sort(order.begin(), order.end(), [&](SlotId a, SlotId b) { return size[a] > size[b]; });
  std::vector<Placed> placed;
  for (const auto s : order) {
    if (program.slots[s].lifetime == Lifetime::run || !ranges[s]) continue;
    Placed slot{.life = *ranges[s]};
    slot.begin = first_fit(slot, size[s], placed);
    slot.end = slot.begin + size[s];
    plan.offset_bytes[s] = slot.begin;
    plan.total = std::max(plan.total, Bytes(slot.end));
    placed.insert(std::ranges::upper_bound(placed, slot.begin, {}, &Placed::begin), slot);
  }
  return plan;
}

}  // namespace partita::step
