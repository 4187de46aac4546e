/// The CUDA back-end: hand-written kernels in float32 on one device. Exists in every build; without a CUDA
/// compiler making one says so.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "partita/kernels/backend.hpp"

namespace partita::kernels::cuda {

/// In which numbers products multiply. Sums, and all tensors in memory, are float32 in any of them.
enum class Precision { fp32, tf32, bf16 };

struct BackendOptions {
  int device = 0;  ///< of those that the process sees
  Precision precision = Precision::fp32;
  std::string gemm = "auto";  ///< a kernel of the family by name, or the best measured one for each shape
};

/// What `BackendOptions::gemm` may be with this precision.
std::vector<std::string> gemm_names(Precision);
/// Why none of them is to be `cublas` on this machine, in the loader's words; empty if it can be.
std::string cublas_problem();

/// Throws std::runtime_error in one line that names the driver's problem where there is no such device, and
/// std::invalid_argument for a product kernel that does not exist with this precision.
std::unique_ptr<Backend> make_cuda_backend(const BackendOptions&);

}  // namespace partita::kernels::cuda
