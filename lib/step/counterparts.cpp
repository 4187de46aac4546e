/// Sorts the transfers that all ranks start by axis, group, coordinates and tag or number: those with equal
/// keys belong together, and whether some are missing is seen from their count.
#include "partita/step/counterparts.hpp"

#include <algorithm>
#include <array>
#include <tuple>

#include "partita/base/error.hpp"

namespace partita::step {
namespace {

using collective::Operation;
using topology::Axis;

constexpr std::size_t axes = static_cast<std::size_t>(Axis::world) + 1;

/// The first rank of the group along an axis (or product of axes) to which a coordinate belongs.
int first_of_group(const topology::GridExtent& grid, topology::Coordinate at, Axis axis) {
  if (contains(axis, Axis::data)) at.data = 0;
  if (contains(axis, Axis::pipeline)) at.pipeline = 0;
  if (contains(axis, Axis::tensor)) at.tensor = 0;
  return topology::rank_of(grid, at);
}

/// A transfer as one rank starts it; those with equal keys belong together.
struct Entry {
  Axis axis = Axis::none;
  int first = 0;                        ///< rank of the axis group
  std::optional<int> sender, receiver;  ///< of messages: coordinates of the halves on the axis
  int number = 0;                       ///< tag of a message, number of a collective
  bool receives = false;
  Counterparts::Member member;
  [[nodiscard]] auto key() const { return std::tie(axis, first, sender, receiver, number); }
  [[nodiscard]] auto order() const {
    return std::tuple_cat(key(), std::tie(receives, member.rank, member.transfer));
  }
};

std::vector<Entry> entries_of(const Program& program, int rank) {
  std::vector<Entry> entries;
  std::array<int, axes> started{};  // collectives by axis
  const auto at = topology::coordinate_of(program.grid, rank);
  for (const auto& instruction : program.instructions) {
    if (instruction.kind != Kind::start) continue;
    const auto& t = program.transfers[*instruction.transfer];
    Entry entry{.axis = t.axis,
                .first = first_of_group(program.grid, at, t.axis),
                .member = {rank, *instruction.transfer}};
    if (is_message(t)) {
      const int mine = t.axis == Axis::data ? at.data : t.axis == Axis::pipeline ? at.pipeline : at.tensor;
      entry.receives = t.operation == Operation::receive;
      entry.sender = entry.receives ? t.peer : mine;
      entry.receiver = entry.receives ? mine : t.peer;
      entry.number = *t.tag;
    } else {
      entry.number = started[static_cast<std::size_t>(t.axis)]++;
    }
    entries.push_back(entry);
  }
  return entries;
}

bool all_there(std::span<const Entry> group, const topology::GridExtent& grid) {
  const bool message = group.front().sender.has_value();
  if (!message) return static_cast<int>(group.size()) == grid.along(group.front().axis);
  return group.size() == 2 && !group[0].receives && group[1].receives;
}

}  // namespace

Counterparts::Counterparts(const ProgramsByRank& programs) {
  std::vector<Entry> entries;
  for (int r = 0; r < static_cast<int>(programs.size()); ++r) {
    const auto& program = *programs[static_cast<std::size_t>(r)];
    group_.emplace_back(program.transfers.size());
    const auto started = entries_of(program, r);
    entries.insert(entries.end(), started.begin(), started.end());
  }
  std::sort(entries.begin(), entries.end(),
            [](const Entry& a, const Entry& b) { return a.order() < b.order(); });
  for (std::size_t i = 0; i < entries.size();) {
    std::size_t end = i;
    while (end < entries.size() && entries[end].key() == entries[i].key())
      ++end;
    const auto id = groups_.push_back(
        {.begin = i,
         .end = end,
         .complete = all_there(std::span(entries).subspan(i, end - i), programs.front()->grid)});
    for (; i < end; ++i) {
      const auto& member = entries[i].member;
      auto& group = group_[static_cast<std::size_t>(member.rank)][member.transfer];
      base::expect(!group, "a program starts a transfer once", member.rank, member.transfer);
      group = id;
      members_.push_back(member);
    }
  }
}

}  // namespace partita::step
