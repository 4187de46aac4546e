/// What a test can ask of the emulation beyond CUDA: in which order things run, what was done, and its
/// errors.
#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>

namespace cuda_on_host {

/// What a kernel or the host's use of the runtime did wrong and a real device would not have told so clearly:
/// thrown by the call that made the work run (synchronisation, query, blocking copy, free).
struct Fault : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// The order of threads, blocks and streams among those that may run, and when asynchronous work is done.
///   forward  lowest threads first; asynchronous copies, products and streams' work as late as allowed
///   reverse  highest first and one as far as it gets; asynchronous copies and products at once, streams late
///   random   any of it, by the seed
enum class Order { forward, reverse, random };

/// From now on; before the first call CUDA_ON_HOST_ORDER=forward|reverse|random[:seed] says it, or forward.
void set_order(Order, std::uint64_t seed = 0);

/// What was executed since the start.
struct Counts {
  std::uint64_t kernels = 0, threads = 0, switches = 0, copies = 0, graph_launches = 0, ranges = 0;
};
Counts counts();

/// How many devices the program finds (1), and the compute capability that they claim (9, 0).
void set_devices(int count, int major = 9, int minor = 0);

}  // namespace cuda_on_host
