/// Which ranks measure a level, and what is said of it.
#include "partita/calibrate/network.hpp"

#include <algorithm>
#include <iomanip>
#include <limits>
#include <ostream>

namespace partita::calibrate {
namespace {

double gigabytes_per_second(double byte_seconds) { return 1e-9 / std::max(byte_seconds, 1e-15); }

}  // namespace

std::vector<machine::Level> measure_levels(comm::Communicator& world, const machine::Overheads& overheads,
                                           const MessageOptions& options) {
  std::vector<machine::Level> levels;
  if (world.size() == 1) return levels;
  const auto measure = [&](const std::string& name, int other, std::int64_t ranks) {
    const auto samples = measure_messages(world, 0, other, options);
    if (world.rank() == 0)
      levels.push_back({.name = name, .ranks = ranks, .protocols = protocols_of(samples, overheads)});
  };
  const auto nodes = world.nodes();
  const auto on_other = std::find_if(nodes.begin(), nodes.end(), [&](int n) { return n != nodes.front(); });
  const bool several = on_other != nodes.end();
  constexpr auto all = std::numeric_limits<std::int64_t>::max();
  if (nodes[1] == nodes[0]) measure("node", 1, several ? on_other - nodes.begin() : all);
  if (several) measure("cluster", static_cast<int>(on_other - nodes.begin()), all);
  return levels;
}

void print(std::ostream& out, const std::vector<machine::Level>& levels) {
  out << std::fixed << std::setprecision(1);
  for (const auto& level : levels)
    for (const auto& p : level.protocols)
      out << "  " << level.name << ", from " << p.min_bytes.value()
          << " bytes: " << (p.rendezvous ? "rendezvous" : "eager") << ", send " << p.send_seconds * 1e9
          << " ns, latency " << p.latency_seconds * 1e9 << " ns, receive " << p.receive_seconds * 1e9
          << " ns, " << gigabytes_per_second(p.byte_seconds + p.send_byte_seconds + p.receive_byte_seconds)
          << " GB/s" << std::endl;
}

WindowTimes measure_window_times(comm::Communicator& world, const WindowOptions& options) {
  const int ranks = world.local_size(), nodes = world.size() / ranks;
  const auto all = world.nodes();
  bool even = ranks > 1;
  for (int r = 0; r < world.size(); ++r)
    even = even && all[static_cast<std::size_t>(r)] == r / ranks;
  if (most(world, even ? 0 : 1) > 0) return {};
  auto node = world.along(topology::Axis::tensor, {.data = nodes, .tensor = ranks});
  return window_times(measure_windows(node, options));
}

void print(std::ostream& out, const WindowTimes& times) {
  if (times.rows.empty()) return;
  out << std::fixed << std::setprecision(1) << "  flag " << times.flag_seconds * 1e9 << " ns" << std::endl;
  for (const auto& row : times.rows)
    out << "  rounds from " << row.min_bytes.value() << " bytes: stage "
        << gigabytes_per_second(row.stage_byte_seconds) << ", load "
        << gigabytes_per_second(row.load_byte_seconds) << ", store "
        << gigabytes_per_second(row.store_byte_seconds) << " GB/s" << std::endl;
}

}  // namespace partita::calibrate
