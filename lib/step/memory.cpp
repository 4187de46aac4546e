#include "partita/step/memory.hpp"

#include <algorithm>
#include <numeric>

namespace partita::step {
namespace {

struct LiveRange {
  int first = -1, last = -1;  ///< instructions; first = −1: never touched
  std::int64_t begin = 0, end = 0;
  bool overlaps_in_time(const LiveRange& o) const { return first <= o.last && o.first <= last; }
};

std::vector<LiveRange> live_ranges(const Program& program) {
  std::vector<LiveRange> ranges(program.slots.size());
  for (std::size_t i = 0; i < program.instructions.size(); ++i)
    for (const auto* touched : {&program.instructions[i].reads, &program.instructions[i].writes})
      for (const int slot : *touched) {
        auto& range = ranges[static_cast<std::size_t>(slot)];
        if (range.first < 0) range.first = static_cast<int>(i);
        range.last = static_cast<int>(i);
      }
  return ranges;
}

/// The lowest offset at which `size` bytes meet none of the placed ranges that live at the same time.
std::int64_t first_fit(const LiveRange& wanted, std::int64_t size, std::vector<LiveRange> placed) {
  std::erase_if(placed, [&](const LiveRange& other) { return !wanted.overlaps_in_time(other); });
  std::sort(placed.begin(), placed.end(), [](const auto& a, const auto& b) { return a.begin < b.begin; });
  std::int64_t offset = 0;
  for (const auto& other : placed) {
    if (offset + size <= other.begin) break;
    offset = std::max(offset, other.end);
  }
  return offset;
}

}  // namespace

MemoryPlan plan_memory(const Program& program, int data_rank, std::int64_t batch, std::int64_t alignment) {
  MemoryPlan plan{.offset_bytes = std::vector<std::int64_t>(program.slots.size(), -1)};
  auto ranges = live_ranges(program);
  const auto size_of_slot = [&](std::size_t s) {
    const auto& slot = program.slots[s];
    const auto samples =
        slot.microbatch < 0 ? 0 : program.microbatch(slot.microbatch, data_rank, batch).size();
    const auto bytes = bytes_of(slot.type, program.elements(slot, samples)).value();
    return (bytes + alignment - 1) / alignment * alignment;
  };
  std::vector<std::size_t> order(program.slots.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return size_of_slot(a) > size_of_slot(b); });
  std::vector<LiveRange> placed;
  for (const auto s : order) {
    if (!program.slots[s].transient() || ranges[s].first < 0) continue;
    ranges[s].begin = first_fit(ranges[s], size_of_slot(s), placed);
    ranges[s].end = ranges[s].begin + size_of_slot(s);
    plan.offset_bytes[s] = ranges[s].begin;
    plan.total = std::max(plan.total, Bytes(ranges[s].end));
    placed.push_back(ranges[s]);
  }
  return plan;
}

}  // namespace partita::step
