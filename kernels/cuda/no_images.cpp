/// In the place of convolution and pooling kernels.
#include <stdexcept>

#include "images.hpp"

namespace partita::kernels::cuda {

std::unique_ptr<Convolution> plan_convolution(const ConvolutionShape&, const gemm::Chip&, cudaStream_t) {
  throw std::logic_error("the CUDA back-end has no convolutions");
}

std::unique_ptr<Pooling> plan_pooling(const PoolingShape&, cudaStream_t) {
  throw std::logic_error("the CUDA back-end has no pooling");
}

}  // namespace partita::kernels::cuda
