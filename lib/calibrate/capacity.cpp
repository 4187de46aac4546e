/// Tries all cuts into two levels.
#include "partita/calibrate/capacity.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

namespace partita::calibrate {
namespace {

struct Level {
  double mean = 0;           ///< of the logarithms of seconds
  double squared_error = 0;  ///< their sum
};

Level level_of(std::span<const Reading> readings) {
  Level level;
  for (const auto& reading : readings)
    level.mean += std::log(reading.byte_seconds) / static_cast<double>(readings.size());
  for (const auto& reading : readings) {
    const double error = std::log(reading.byte_seconds) - level.mean;
    level.squared_error += error * error;
  }
  return level;
}

}  // namespace

std::optional<double> find_capacity(std::span<const Reading> readings) {
  constexpr std::size_t least = 2;
  constexpr double slower = 1.25;
  std::optional<double> capacity;
  double best = std::numeric_limits<double>::infinity();
  for (std::size_t cut = least; cut + least <= readings.size(); ++cut) {
    const auto within = level_of(readings.first(cut)), beyond = level_of(readings.subspan(cut));
    const double error = within.squared_error + beyond.squared_error;
    if (error >= best) continue;
    best = error;
    const bool bends = beyond.mean - within.mean >= std::log(slower);
    capacity = bends ? std::optional(std::sqrt(readings[cut - 1].bytes * readings[cut].bytes)) : std::nullopt;
  }
  return capacity;
}

machine::Cache as_read(machine::Cache named, const Capacities& found) {
  constexpr double most_of_it = 0.75;
  if (!found.alone) return named;
  named.bytes = std::min(named.bytes, kernels::Bytes(static_cast<std::int64_t>(*found.alone)));
  const bool meet = found.readers * named.cores > found.node_cores;
  if (meet && found.at_once.value_or(0) >= most_of_it * *found.alone) named.cores = 1;
  return named;
}

}  // namespace partita::calibrate
