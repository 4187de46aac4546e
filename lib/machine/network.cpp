/// Messages and windows by the rows of the machine, or by its link where it has none.
#include "partita/machine/network.hpp"

#include <algorithm>
#include <cmath>

#include "partita/machine/machine.hpp"

namespace partita::machine {
namespace {

double count(kernels::Bytes bytes) { return static_cast<double>(bytes.value()); }

/// The last row that begins at or below so many bytes.
template <class Row>
const Row& row_of(const std::vector<Row>& rows, kernels::Bytes bytes) {
  const auto above = std::upper_bound(rows.begin(), rows.end(), bytes,
                                      [](kernels::Bytes b, const Row& row) { return b < row.min_bytes; });
  return above == rows.begin() ? *above : *(above - 1);
}

}  // namespace

std::size_t Machine::level_between(int a, int b) const {
  const auto level = std::find_if(levels.begin(), levels.end() - 1,
                                  [&](const Level& l) { return a / l.ranks == b / l.ranks; });
  return static_cast<std::size_t>(level - levels.begin());
}

std::int64_t Machine::ranks_joined_by(std::size_t level) const {
  return level == 0 ? 1 : levels[level - 1].ranks;
}

std::int64_t Machine::ranks_of_node(std::int64_t ranks) const {
  return levels.empty() ? ranks : std::min(ranks, levels.front().ranks);
}

std::int64_t Machine::ranks_at_once(std::int64_t ranks, int threads) const {
  const auto of_node = ranks_of_node(ranks);
  if (cores.number == 0) return of_node;
  return std::min<std::int64_t>(of_node, std::max(1, cores.number / std::max(1, threads)));
}

double Machine::crowding(std::int64_t ranks, int threads) const {
  if (cores.number == 0) return 1;
  const auto wanted = ranks_of_node(ranks) * std::clamp(threads, 1, cores.number);
  return std::max(1.0, static_cast<double>(wanted) / cores.number);
}

bool Machine::messages_meet() const {
  return std::ranges::any_of(levels, [](const Level& level) {
    return !level.topology.kind.empty() || std::ranges::any_of(level.protocols, [](const Protocol& protocol) {
      return protocol.gap_seconds > 0;
    });
  });
}

Picoseconds picoseconds(double seconds) {
  return static_cast<Picoseconds>(std::min(std::round(seconds * 1e12), 1e18));
}

Picoseconds scaled(Picoseconds time, double factor) {
  return static_cast<Picoseconds>(std::min(std::round(static_cast<double>(time) * factor), 1e18));
}

MessageTime Machine::message(int from, int to, kernels::Bytes bytes) const {
  return message_on(levels.empty() ? 0 : level_between(from, to), bytes);
}

MessageTime Machine::message_on(std::size_t level, kernels::Bytes bytes) const {
  const double n = count(bytes);
  if (levels.empty())
    return {.latency = picoseconds(link_latency_seconds), .bytes = picoseconds(n / link_bytes_per_second)};
  const auto& p = row_of(levels[level].protocols, bytes);
  return {.send = picoseconds(p.send_seconds + n * p.send_byte_seconds),
          .latency = picoseconds(p.latency_seconds),
          .bytes = picoseconds(n * p.byte_seconds),
          .receive = picoseconds(p.receive_seconds + n * p.receive_byte_seconds),
          .gap = picoseconds(p.gap_seconds),
          .rendezvous = p.rendezvous};
}

const std::vector<WindowAccess>& Machine::windows_of(int part) const {
  const auto& own = of_part(part).windows;
  return own.empty() ? windows : own;
}

double Machine::seconds_of_flag() const {
  return windows.empty() && flag_seconds == 0 ? link_latency_seconds : flag_seconds;
}

WindowTime Machine::window(kernels::Bytes staged, kernels::Bytes loaded, kernels::Bytes stored,
                           int part) const {
  const auto flag = picoseconds(seconds_of_flag());
  const auto& rows = windows_of(part);
  if (rows.empty())
    return {.flag = flag, .access = picoseconds(count(loaded + stored) / link_bytes_per_second)};
  const auto& row = row_of(rows, staged + loaded + stored);
  return {
      .stage = picoseconds(count(staged) * row.stage_byte_seconds),
      .flag = flag,
      .access = picoseconds(count(loaded) * row.load_byte_seconds + count(stored) * row.store_byte_seconds)};
}

Picoseconds Machine::combine(kernels::Bytes bytes, int part) const {
  const auto& rows = windows_of(part);
  return rows.empty() ? 0 : picoseconds(count(bytes) * row_of(rows, bytes).load_byte_seconds);
}

}  // namespace partita::machine
