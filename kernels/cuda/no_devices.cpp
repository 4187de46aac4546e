/// A build without CUDA: there are no devices, and making a back-end says why.
#include <stdexcept>

#include "partita/kernels/cuda/backend.hpp"
#include "partita/kernels/cuda/devices.hpp"

namespace partita::kernels::cuda {

DeviceQuery query_devices() { return {.runtime = "none", .problem = "built without CUDA"}; }

std::vector<std::string> gemm_names(Precision) { return {"auto"}; }

std::string cublas_problem() { return "built without CUDA"; }

std::unique_ptr<Backend> make_cuda_backend(const BackendOptions&) {
  throw std::runtime_error("the CUDA back-end: " + describe(query_devices()));
}

}  // namespace partita::kernels::cuda
