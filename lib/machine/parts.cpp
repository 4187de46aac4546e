/// Which ranks of a job are which machine.
#include <algorithm>

#include "partita/machine/machine.hpp"

namespace partita::machine {

int Machine::part_of(int rank) const {
  const auto behind = std::ranges::upper_bound(parts, rank, {}, &Part::first);
  if (behind == parts.begin() || (behind - 1)->last < rank) return 0;
  return static_cast<int>(behind - parts.begin());
}

const Machine& Machine::of_part(int part) const {
  return part == 0 ? *this : parts[static_cast<std::size_t>(part) - 1].machine;
}

std::vector<int> parts_in(const Machine& machine, std::int64_t ranks) {
  std::vector<int> parts;
  std::int64_t others = 0;
  for (const auto& part : machine.parts) {
    if (part.first >= ranks) break;
    parts.push_back(static_cast<int>(&part - machine.parts.data()) + 1);
    others += std::min(std::int64_t{part.last} + 1, ranks) - part.first;
  }
  if (others < ranks) parts.insert(parts.begin(), 0);
  return parts;
}

bool polls(const Machine& machine, std::int64_t ranks) {
  return std::ranges::any_of(parts_in(machine, ranks),
                             [&](int part) { return machine.of_part(part).progress == Progress::polled; });
}

int most_on_node(const Machine& machine, int part, std::int64_t ranks) {
  const auto node = machine.levels.empty() ? ranks : machine.levels.front().ranks;
  int most = 0, count = 0;
  for (std::int64_t rank = 0; rank < ranks; ++rank) {
    if (rank % node == 0) count = 0;
    if (machine.part_of(static_cast<int>(rank)) == part) most = std::max(most, ++count);
  }
  return most;
}

std::string name_of_part(const Machine& machine, int part) {
  const auto& name = machine.parts[static_cast<std::size_t>(part) - 1].name;
  return name.empty() ? "part " + std::to_string(part) : name;
}

std::string text_of_parts(const Machine& machine, std::int64_t ranks) {
  if (machine.parts.empty()) return "";
  std::string text;
  const auto add = [&](std::int64_t first, std::int64_t last, const std::string& who) {
    if (last < first) return;
    text += (text.empty() ? "" : ", ") + std::to_string(first);
    if (last > first) text += '-' + std::to_string(last);
    text += ' ' + who;
  };
  std::int64_t next = 0;
  for (const auto& part : machine.parts) {
    const int number = static_cast<int>(&part - machine.parts.data()) + 1;
    add(next, std::min<std::int64_t>(part.first, ranks) - 1, "as the file says");
    add(part.first, std::min<std::int64_t>(part.last, ranks - 1), name_of_part(machine, number));
    next = std::int64_t{part.last} + 1;
  }
  add(next, ranks - 1, "as the file says");
  return text;
}

}  // namespace partita::machine
