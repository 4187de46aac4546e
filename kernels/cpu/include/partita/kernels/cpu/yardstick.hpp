/// What kernels are measured against: oneDNN's sgemm as a program would call it.
#pragma once

#include "partita/kernels/backend.hpp"

namespace partita::kernels::cpu {

/// C = op(A)·op(B) in float32 through dnnl_sgemm; the shape's bias, epilogue and write must be the defaults.
void library_sgemm(const GemmShape&, ConstView a, ConstView b, View c);

}  // namespace partita::kernels::cpu
