/// Reads ever larger blocks of memory again and again, until they no longer fit.
#include "caches.hpp"

#include <algorithm>
#include <cstdint>
#include <numeric>

#include "partita/base/cores.hpp"
#include "partita/calibrate/capacity.hpp"
#include "partita/results/statistics.hpp"

namespace partita::calibrate {
namespace {

/// From where on a size says nothing of the cache before the outermost one; up to where beyond the outermost
/// as the system names it; by which factor sizes grow.
constexpr double above_inner = 4, above_outer = 4, growth = 1.26;
constexpr int passes = 5;
constexpr double own_share = 0.75;  ///< as much as that of it remains to one of many, if each has its own

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

}  // namespace

std::vector<machine::Cache> measure_caches(comm::Communicator& world, comm::Communicator& self, bool at_once,
                                           std::int64_t most_bytes) {
  std::vector<machine::Cache> caches;
  for (const auto& [bytes, cores] : base::data_caches())
    caches.push_back({.bytes = kernels::Bytes(bytes), .cores = cores});
  if (caches.size() < 2) return caches;
  auto& outer = caches.back();
  const double inner_bytes = static_cast<double>(caches[caches.size() - 2].bytes.value()),
               least = above_inner * inner_bytes,
               most_read = std::min(above_outer * static_cast<double>(outer.bytes.value()),
                                    static_cast<double>(most_bytes));
  double alone = 0;  // nothing found
  if (world.rank() == 0) alone = find_capacity(read(self, least, most_read)).value_or(0);
  gather_asleep(world);
  alone = most(world, alone);
  if (alone == 0) return caches;
  outer.bytes = kernels::Bytes(static_cast<std::int64_t>(alone));
  if (at_once && find_capacity(read(world, least, most_read)).value_or(0) >= own_share * alone)
    outer.cores = 1;
  return caches;
}

}  // namespace partita::calibrate
