/// A matrix product of the contract with a kernel of the family.
#pragma once

#include "device.hpp"
#include "partita/kernels/cuda/backend.hpp"

namespace partita::kernels::cuda {

/// Throws as `make_cuda_backend` says where `options` name a kernel that is not there.
void check_gemm_name(const BackendOptions& options);

/// The kernel that `options` asks for, or the one that the selector takes for this shape. Issued to the
/// device's compute queue. In bfloat16 the operands are cast into the workspace first.
std::unique_ptr<Gemm> plan_gemm(const GemmShape&, const BackendOptions& options, CudaDevice& device);

}  // namespace partita::kernels::cuda
