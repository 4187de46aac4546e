/// NVIDIA's cuBLASLt behind the family's contract: the yardstick, and an alternative by the name `cublas`.
///
/// The library is loaded at its first use, not linked: it takes hundreds of MB and is not there on machines
/// without a GPU, where programs linked to it would not start; linked statically it would be in each of them.
#pragma once

#include <memory>
#include <span>
#include <string>

#include "family.hpp"

namespace partita::kernels::cuda::gemm {

/// `cublas` for each arithmetic: float32 (never TF32), TF32, bfloat16. Not for k = 0.
std::span<const Kernel> cublas_kernels();

/// Why the library cannot be used, in the loader's words; empty if it can. Asks once.
const std::string& cublas_problem();
/// Its version, "13.0.2"; "none" where it cannot be used.
std::string cublas_version();

/// The device memory that its algorithms may use.
inline constexpr Bytes cublas_workspace{std::int64_t{32} << 20};

/// A product and the algorithms that the library's heuristics propose for it, so that a benchmark can time
/// each.
class CublasProduct {
 public:
  /// Asks for `at_most` algorithms. Throws std::runtime_error where the library is not there or proposes
  /// none.
  CublasProduct(const Arguments&, Arithmetic, int at_most = 16);
  CublasProduct(CublasProduct&&) noexcept;
  ~CublasProduct();

  /// How many were proposed, best first in the library's opinion.
  [[nodiscard]] int algorithms() const;
  /// The product of the same shape on any operands that are aligned as the first ones. What of the epilogue
  /// the library does not fuse (a bias of another type than C's, masks, row sums) follows as kernels of their
  /// own.
  void run(int algorithm, const Arguments&, std::byte* workspace, cudaStream_t) const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace partita::kernels::cuda::gemm
