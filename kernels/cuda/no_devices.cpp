#include "partita/kernels/cuda/devices.hpp"

namespace partita::kernels::cuda {

DeviceQuery query_devices() { return {.runtime = "none", .problem = "built without CUDA"}; }

}  // namespace partita::kernels::cuda
