/// The CUDA runtime and its devices in one line, for --version and results, in builds with CUDA and without.
#include "partita/kernels/cuda/devices.hpp"

namespace partita::kernels::cuda {

std::string describe(const DeviceQuery& query) {
  if (query.runtime == "none") return "built without CUDA";
  std::string text = "CUDA " + query.runtime + ":";
  if (query.devices.empty()) text += " no device: " + query.problem;
  for (const auto& device : query.devices)
    text += (&device == &query.devices.front() ? " " : ", ") + device.name + " (" +
            std::to_string(device.major) + "." + std::to_string(device.minor) + ")";
  return text;
}

}  // namespace partita::kernels::cuda
