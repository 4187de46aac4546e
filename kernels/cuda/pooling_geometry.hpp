/// Which windows of a pooling cover an element, and which elements a window covers.
#pragma once

#include <cuda_runtime.h>

#include "divisor.hpp"
#include "partita/kernels/operations.hpp"

namespace partita::kernels::cuda::pooling {

/// Passed to kernels by value. A plane is a channel of a sample.
struct Geometry {
  int planes = 0, height = 0, width = 0, out_height = 0, out_width = 0;
  int kernel_h = 1, kernel_w = 1;
  Divisor stride_h, stride_w;
  Divisor row, column, out_row, out_column;  ///< by height, width, out_height, out_width
};

inline Geometry geometry(const PoolingShape& s) {
  return {.planes = static_cast<int>(s.batch * s.channels),
          .height = static_cast<int>(s.height),
          .width = static_cast<int>(s.width),
          .out_height = static_cast<int>(s.out_height()),
          .out_width = static_cast<int>(s.out_width()),
          .kernel_h = static_cast<int>(s.kernel.h),
          .kernel_w = static_cast<int>(s.kernel.w),
          .stride_h = Divisor(s.stride.h),
          .stride_w = Divisor(s.stride.w),
          .row = Divisor(s.height),
          .column = Divisor(s.width),
          .out_row = Divisor(s.out_height()),
          .out_column = Divisor(s.out_width())};
}

struct Position {
  int plane, row, column;
};

/// Where the i-th element of planes of `rows` × `columns` lies.
[[nodiscard]] __host__ __device__ constexpr Position position(int i, const Divisor& rows,
                                                              const Divisor& columns) {
  const auto [line, column] = divide(i, columns);
  const auto [plane, row] = divide(line, rows);
  return {plane, row, column};
}

/// [begin, end)
struct Range {
  int begin, end;
};

/// The windows, of `windows` along an axis, that cover element `at`: o·stride ≤ at < o·stride + kernel.
[[nodiscard]] __host__ __device__ constexpr Range covering(int at, int kernel, const Divisor& stride,
                                                           int windows) {
  const int last = stride.quotient(at) + 1;
  const int begin = at < kernel ? 0 : stride.quotient(at - kernel) + 1;
  return {begin, last < windows ? last : windows};
}

}  // namespace partita::kernels::cuda::pooling
