/// A product by its definition, one thread an element of C, for any shape and either type of operands.
#pragma once

#include "gemm/family.hpp"

namespace partita::kernels::cuda {

const gemm::Kernel& simple_gemm(gemm::Arithmetic);

}  // namespace partita::kernels::cuda
