/// Tests on a CUDA device, or with kernels executed on the host; skipped where there is neither.
#pragma once

#include <gtest/gtest.h>

#include <memory>

#include "../mpi_main.hpp"
#include "partita/kernels/cuda/backend.hpp"
#include "partita/kernels/cuda/devices.hpp"

namespace partita::tests {

class OnCuda : public ::testing::Test {
 protected:
  void SetUp() override {
    const auto query = kernels::cuda::query_devices();
    if (query.devices.empty()) GTEST_SKIP() << "no CUDA device: " << query.problem;
    const auto devices = static_cast<int>(query.devices.size());
    cuda_ = kernels::cuda::make_cuda_backend({.device = world().local_rank() % devices});
  }
  std::unique_ptr<kernels::Backend> cuda_;
};

}  // namespace partita::tests
