/// Which matrices TMA can address, and the call that encodes one; it belongs to the driver and is looked up
/// at run time, so that nothing is linked to the driver.
#include "tensor_map.hpp"

#include <cuda_runtime.h>

#include <stdexcept>
#include <string>

#include "launch.hpp"

namespace partita::kernels::cuda::gemm {
namespace {

using Encode = decltype(&cuTensorMapEncodeTiled);

Encode find_encode() {
  void* entry = nullptr;
  cudaDriverEntryPointQueryResult found{};
  check(cudaGetDriverEntryPointByVersion("cuTensorMapEncodeTiled", &entry, 12000, cudaEnableDefault, &found),
        "cudaGetDriverEntryPointByVersion");
  if (found != cudaDriverEntryPointSuccess || entry == nullptr)
    throw std::runtime_error("the CUDA driver has no cuTensorMapEncodeTiled; it is older than CUDA 12.0");
  return reinterpret_cast<Encode>(entry);
}

}  // namespace

bool has_tensor_map(const MatrixBoxes& m) {
  constexpr std::int64_t most = std::int64_t{1} << 31;  // coordinates are signed
  return reinterpret_cast<std::uintptr_t>(m.data) % 16 == 0 && m.row * m.element_bytes % 16 == 0 &&
         m.rows > 0 && m.columns > 0 && m.row >= m.columns && m.rows < most && m.columns < most &&
         m.row * m.element_bytes < std::int64_t{1} << 40 && m.box_rows <= 256 &&
         m.box_columns * m.element_bytes <= 128;
}

CUtensorMap tensor_map(const MatrixBoxes& m) {
  static const Encode encode = find_encode();
  const cuuint64_t extents[] = {static_cast<cuuint64_t>(m.columns), static_cast<cuuint64_t>(m.rows)};
  const cuuint64_t strides[] = {static_cast<cuuint64_t>(m.row * m.element_bytes)};
  const cuuint32_t box[] = {static_cast<cuuint32_t>(m.box_columns), static_cast<cuuint32_t>(m.box_rows)};
  const cuuint32_t every[] = {1, 1};
  CUtensorMap map{};
  const CUresult result = encode(
      &map, m.element_bytes == 2 ? CU_TENSOR_MAP_DATA_TYPE_BFLOAT16 : CU_TENSOR_MAP_DATA_TYPE_FLOAT32, 2,
      const_cast<void*>(m.data), extents, strides, box, every, CU_TENSOR_MAP_INTERLEAVE_NONE,
      CU_TENSOR_MAP_SWIZZLE_128B, CU_TENSOR_MAP_L2_PROMOTION_L2_128B, CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
  if (result != CUDA_SUCCESS)
    throw std::runtime_error("cuTensorMapEncodeTiled: error " + std::to_string(static_cast<int>(result)));
  return map;
}

}  // namespace partita::kernels::cuda::gemm
