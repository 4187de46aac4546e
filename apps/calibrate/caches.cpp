/// Reads ever larger blocks of memory again and again, until they no longer fit.
#include "caches.hpp"

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <utility>

#include "partita/base/cores.hpp"
#include "partita/calibrate/capacity.hpp"
#include "partita/results/statistics.hpp"

namespace partita::calibrate {
namespace {

/// What is read is at least so many times the cache before the outermost one, which then holds none of it,
/// and at most so many times the outermost as it is named; by which factor sizes grow.
constexpr double least_of_inner = 2, most_of_outer = 4, growth = 1.26;
constexpr int passes = 5;

/// By all ranks of the group at once; the slowest counts.
std::vector<Reading> read(comm::Communicator& group, double least, double most_bytes) {
  std::vector<std::uint64_t> block(static_cast<std::size_t>(most_bytes) / sizeof(std::uint64_t), 1);
  std::vector<Reading> readings;
  [[maybe_unused]] volatile std::uint64_t kept = 0;  // what is not used need not be read
  for (double bytes = least; bytes <= most_bytes; bytes *= growth) {
    const auto end = block.begin() + static_cast<std::ptrdiff_t>(bytes / sizeof(std::uint64_t));
    std::vector<double> seconds;
    for (int pass = 0; pass <= passes; ++pass) {
      group.barrier();
      const double begin = base::now_seconds();
      kept = std::accumulate(block.begin(), end, std::uint64_t{0});
      if (pass > 0) seconds.push_back(most(group, base::now_seconds() - begin));
    }
    readings.push_back({.bytes = bytes, .byte_seconds = results::median(seconds) / bytes});
  }
  return readings;
}

/// The first rank's, on all: nodes may differ, and what ranks read together must not.
std::vector<machine::Cache> named_caches(comm::Communicator& world) {
  const auto of_first = [&](auto mine) {
    const double value = world.rank() == 0 ? static_cast<double>(mine) : 0;
    return static_cast<std::int64_t>(most(world, value));
  };
  auto own = base::data_caches();
  own.resize(static_cast<std::size_t>(of_first(own.size())));
  std::vector<machine::Cache> caches;
  for (const auto& [bytes, cores] : own)
    caches.push_back({.bytes = kernels::Bytes(of_first(bytes)), .cores = static_cast<int>(of_first(cores))});
  return caches;
}

}  // namespace

Caches measure_caches(comm::Communicator& world, comm::Communicator& self, int node_cores, bool at_once,
                      std::int64_t most_bytes) {
  auto caches = named_caches(world);
  if (caches.size() < 2) return {.all = std::move(caches)};
  auto& outer = caches.back();
  const auto bytes_of = [](const machine::Cache& cache) { return static_cast<double>(cache.bytes.value()); };
  const double least = least_of_inner * bytes_of(caches[caches.size() - 2]),
               most_read = std::min(most_of_outer * bytes_of(outer), static_cast<double>(most_bytes));
  Capacities found{.readers = world.local_size(), .node_cores = node_cores};
  if (world.rank() == 0) found.alone = find_capacity(read(self, least, most_read));
  gather_asleep(world);
  if (at_once) found.at_once = find_capacity(read(world, least, most_read));
  outer = as_read(outer, found);  // as the first rank found it
  outer = {.bytes = kernels::Bytes(
               static_cast<std::int64_t>(most(world, world.rank() == 0 ? bytes_of(outer) : 0))),
           .cores = static_cast<int>(most(world, world.rank() == 0 ? outer.cores : 0))};
  return {.all = std::move(caches), .read_bytes = most_read, .has_end = found.alone.has_value()};
}

}  // namespace partita::calibrate
