/// Convolution, pooling and batch normalisation of float32 images [N, C, H, W] in device memory, nchw.
#pragma once

#include <cuda_runtime.h>

#include <memory>

#include "gemm/family.hpp"
#include "partita/kernels/backend.hpp"

namespace partita::kernels::cuda {

/// Plans hold no device memory; their run functions issue launches to the stream and nothing else. Extents
/// whose indices would not fit in 31 bits (pixels of a batch, elements of a sample or of the filters) throw
/// std::length_error, other layouts and epilogues than the contract gives to images std::invalid_argument.
std::unique_ptr<Convolution> plan_convolution(const ConvolutionShape&, const gemm::Chip&, cudaStream_t);
std::unique_ptr<Pooling> plan_pooling(const PoolingShape&, cudaStream_t);
std::unique_ptr<BatchNorm> plan_batch_norm(const BatchNormShape&, cudaStream_t);

}  // namespace partita::kernels::cuda
