/// Tests of the CUDA back-end: where there is no device they say why and are skipped, visibly.
#include <gtest/gtest.h>

#include <cstdio>

#include "backends.hpp"
#include "on_device.hpp"
#include "partita/kernels/cuda/backend.hpp"
#include "partita/kernels/cuda/devices.hpp"

namespace partita::tests {

std::vector<std::unique_ptr<kernels::Backend>> backends() {
  static const auto cuda = kernels::cuda::make_cuda_backend({});
  static OnDevice::Memory memory(cuda->device());
  std::vector<std::unique_ptr<kernels::Backend>> all;
  all.push_back(std::make_unique<OnDevice>(*cuda, memory));
  return all;
}

}  // namespace partita::tests

int main(int count, char** arguments) {
  testing::InitGoogleTest(&count, arguments);
  const auto query = partita::kernels::cuda::query_devices();
  std::puts(describe(query).c_str());
  if (query.devices.empty()) {
    std::puts("SKIP: no CUDA device");
    return 77;
  }
  return RUN_ALL_TESTS();
}
