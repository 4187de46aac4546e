/// Which CUDA devices this process could compute on. Exists in every build: without a CUDA compiler it says
/// so.
#pragma once

#include <string>
#include <vector>

#include "partita/kernels/count.hpp"

namespace partita::kernels::cuda {

struct Device {
  std::string name;
  int major = 0, minor = 0;  ///< compute capability
  Bytes memory{};
};

struct DeviceQuery {
  std::string runtime;  ///< version of the CUDA runtime, "13.0"; "none" in a build without CUDA
  std::vector<Device> devices;
  std::string problem;  ///< why there are none, in the driver's words; empty when there are some
};

/// Asks the driver; never throws, allocates nothing on a device.
DeviceQuery query_devices();

/// One line: "CUDA 13.0: NVIDIA H200 (9.0)" or "CUDA 13.0: no device: CUDA driver version is insufficient …".
std::string describe(const DeviceQuery&);

}  // namespace partita::kernels::cuda
