/// The family of matrix products: what each of them computes, and the list of them.
///
/// Every kernel computes C = epilogue(alpha·op(A)·op(B) + beta·C [+ bias]) and on demand the row sums of
/// op(A), just as `kernels::GemmShape` says, for any M N K including 0 and ragged ones, whatever the
/// transposition, or says by `supports` that it does not. Sums are taken in an order that depends on the
/// shape only: the same call gives the same bits.
#pragma once

#include <cuda_runtime.h>

#include <span>
#include <string_view>

#include "partita/kernels/count.hpp"
#include "partita/kernels/operations.hpp"

namespace partita::kernels::cuda::gemm {

/// In which numbers operands are multiplied; sums are float32 in all of them. Operands and results in memory
/// are float32, but for `bf16`, whose operands are bfloat16 (and whose C and mask are float32 or bfloat16).
enum class Arithmetic { fp32, tf32, bf16 };

/// A GemmShape's product on device memory; passed to kernels by value. Leading dimensions are filled in.
struct Arguments {
  const void *a = nullptr, *b = nullptr;
  void* c = nullptr;
  const float* bias = nullptr;  ///< [n] or null
  const void* mask = nullptr;   ///< lies and is typed as C, or null
  float* row_sums = nullptr;    ///< [m] or null
  std::int64_t m = 0, n = 0, k = 0;
  std::int64_t row_a = 0, row_b = 0, row_c = 0;
  float alpha = 1, beta = 0;
  bool transpose_a = false, transpose_b = false;
  bool relu = false;  ///< epilogue max(0, ·); `mask` asks for the other one
  bool c_is_bf16 = false;
};

/// What the choice of a kernel depends on besides the shape.
struct Chip {
  int architecture = 0;  ///< 80, 90, …: compute capability · 10
  int multiprocessors = 0;
};

struct Kernel {
  std::string_view name;  ///< as `--compute.gemm=` and the benchmarks name it
  Arithmetic arithmetic;
  int minimum_architecture;
  /// Whether it can compute this product: pointers' alignment, leading dimensions, transpositions, epilogue.
  bool (*supports)(const Arguments&);
  /// Device memory that a run needs besides its operands.
  Bytes (*workspace)(const Arguments&, const Chip&);
  void (*run)(const Arguments&, std::byte* workspace, const Chip&, cudaStream_t);
  int maximum_architecture = 0;  ///< 0: none; instructions of one architecture's own do not run on later ones
};

/// All of them, in the order of the ladder: each adds one technique to those before it.
std::span<const Kernel> kernels();

}  // namespace partita::kernels::cuda::gemm
