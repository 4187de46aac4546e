/// Work and messages to picoseconds.
#include "partita/cost/time.hpp"

#include <algorithm>

namespace partita::cost {
namespace {

double picoseconds(double seconds) { return static_cast<double>(machine::picoseconds(seconds)); }

double bytes(kernels::Bytes count) { return static_cast<double>(count.value()); }

}  // namespace

double picoseconds_of(const Work& work, const machine::Machine& machine) {
  const double longest =
      std::max({work.flops / machine.flops_per_second, bytes(work.cache) / machine.cache_bytes_per_second,
                bytes(work.main) / machine.main_bytes_per_second});
  return picoseconds(longest + static_cast<double>(work.calls) * machine.call_seconds);
}

double picoseconds_of_transfer(double bytes, const machine::Machine& machine, double rounds) {
  return picoseconds(rounds * machine.link_latency_seconds + bytes / machine.link_bytes_per_second);
}

}  // namespace partita::cost
