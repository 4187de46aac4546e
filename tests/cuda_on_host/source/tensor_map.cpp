/// Encoding a tensor map, refused where the driver's documentation says so; matrices only.
#include "tensor_map.hpp"

namespace {

int bytes_of(CUtensorMapDataType type) {
  switch (type) {
    case CU_TENSOR_MAP_DATA_TYPE_UINT8:
      return 1;
    case CU_TENSOR_MAP_DATA_TYPE_UINT16:
    case CU_TENSOR_MAP_DATA_TYPE_FLOAT16:
    case CU_TENSOR_MAP_DATA_TYPE_BFLOAT16:
      return 2;
    case CU_TENSOR_MAP_DATA_TYPE_UINT32:
    case CU_TENSOR_MAP_DATA_TYPE_INT32:
    case CU_TENSOR_MAP_DATA_TYPE_FLOAT32:
      return 4;
    default:
      return 8;
  }
}

}  // namespace

CUresult cuTensorMapEncodeTiled(CUtensorMap* map, CUtensorMapDataType type, cuuint32_t rank, void* data,
                                const cuuint64_t* extents, const cuuint64_t* strides, const cuuint32_t* box,
                                const cuuint32_t* element_strides, CUtensorMapInterleave interleave,
                                CUtensorMapSwizzle swizzle, CUtensorMapL2promotion,
                                CUtensorMapFloatOOBfill fill) {
  constexpr auto refused = CUDA_ERROR_INVALID_VALUE;
  constexpr unsigned spans[] = {0, 32, 64, 128};
  const auto is_multiple = [](auto value, unsigned of) {
    return reinterpret_cast<std::uintptr_t>(value) % of == 0;
  };
  if (rank != 2 || !map || !data || !is_multiple(map, 64) || !is_multiple(data, 16)) return refused;
  if (interleave != CU_TENSOR_MAP_INTERLEAVE_NONE || fill != CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE)
    return refused;
  if (swizzle < CU_TENSOR_MAP_SWIZZLE_NONE || swizzle > CU_TENSOR_MAP_SWIZZLE_128B) return refused;
  for (int i = 0; i < 2; ++i)
    if (extents[i] == 0 || extents[i] > cuuint64_t{1} << 32 || box[i] == 0 || box[i] > 256 ||
        element_strides[i] != 1)
      return refused;
  if (strides[0] % 16 != 0 || strides[0] >= cuuint64_t{1} << 40) return refused;
  const auto row = box[0] * static_cast<unsigned>(bytes_of(type));
  if (row % 16 != 0) return refused;
  // Narrower rows than a swizzle's span are allowed by the driver, but how they lie is not emulated.
  if (swizzle != CU_TENSOR_MAP_SWIZZLE_NONE && row != spans[swizzle]) return refused;
  const cuda_on_host::TensorMapContent content{.magic = cuda_on_host::TensorMapContent::valid,
                                               .data = static_cast<std::byte*>(data),
                                               .extent_x = static_cast<std::int64_t>(extents[0]),
                                               .extent_y = static_cast<std::int64_t>(extents[1]),
                                               .row_bytes = static_cast<std::int64_t>(strides[0]),
                                               .box_x = static_cast<int>(box[0]),
                                               .box_y = static_cast<int>(box[1]),
                                               .element_bytes = bytes_of(type),
                                               .swizzle = spans[swizzle]};
  *map = {};
  std::memcpy(map, &content, sizeof(content));
  return CUDA_SUCCESS;
}
