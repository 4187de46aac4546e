/// Tensor maps: what the copy engine (TMA) must know of a matrix in device memory.
#pragma once

#include <cuda.h>

#include <cstdint>

namespace partita::kernels::cuda::gemm {

/// A row-major matrix and the box that one copy moves; 128 bytes are the most that a box's row may have.
struct MatrixBoxes {
  const void* data = nullptr;
  std::int64_t rows = 0, columns = 0, row = 0;  ///< `row`: elements from a row to the next
  int element_bytes = 2;                        ///< 2: bfloat16, 4: float32
  int box_rows = 0, box_columns = 0;
};

/// Whether a tensor map can describe it: data on 16 bytes, rows on 16 bytes, extents in 1 … 2³² (CUDA driver
/// API, cuTensorMapEncodeTiled), boxes of at most 256 rows and 128 bytes.
bool has_tensor_map(const MatrixBoxes&);

/// Its map with SWIZZLE_128B, zeros beyond the matrix. Done by the driver on the host, without touching the
/// device; found through the runtime so that no program needs libcuda to start. Throws std::runtime_error
/// with the driver's error.
CUtensorMap tensor_map(const MatrixBoxes&);

}  // namespace partita::kernels::cuda::gemm
