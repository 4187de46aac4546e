/// On a machine with a device the query finds it; elsewhere it says why not, and the test is skipped visibly.
#include "partita/kernels/cuda/devices.hpp"

#include <cstdio>

int main() {
  const auto query = partita::kernels::cuda::query_devices();
  std::puts(describe(query).c_str());
  if (query.devices.empty()) {
    const bool explained = !query.problem.empty();
    std::puts(explained ? "SKIP: no CUDA device" : "FAIL: no device and no reason");
    return explained ? 77 : 1;
  }
  for (const auto& device : query.devices)
    if (device.name.empty() || device.major < 1 || device.memory.value() <= 0) return 1;
  return 0;
}
