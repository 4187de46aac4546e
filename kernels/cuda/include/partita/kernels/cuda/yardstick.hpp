/// What benchmarks need of a CUDA device besides the back-end: every kernel of the family and the library's
/// proposals on one product, and what the arithmetic units do at most. Exists in every build; without a CUDA
/// compiler there is no device to ask it of.
///
/// Work is issued to the back-end's compute queue; how it is timed is the caller's business (events of
/// `Backend::device()`).
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "partita/kernels/cuda/backend.hpp"

namespace partita::kernels::cuda {

std::string_view to_string(Precision);

/// A kernel of the family; the order of `ladder` is that in which each adds a technique.
struct LadderKernel {
  std::string name;
  Precision precision;
};
/// Needs no device; empty in a build without CUDA.
std::vector<LadderKernel> ladder();

/// Version of the library that products are compared with ("13.0.2"), or why there is none.
struct ProductLibrary {
  std::string version, problem;
};
ProductLibrary product_library();

/// Architecture (90), multiprocessors and bytes of level-2 cache of the back-end's device.
struct ChipFigures {
  int architecture = 0, multiprocessors = 0;
  Bytes level_2{};
};
ChipFigures chip_figures(Backend&);

/// C = op(A)·op(B), dense; op(A) is [m, k], op(B) is [k, n]. Operands in bf16 are bfloat16 in memory, C is
/// float32 unless `bf16_result`.
struct Product {
  std::int64_t m = 0, n = 0, k = 0;
  bool transpose_a = false, transpose_b = false;
  Precision precision = Precision::fp32;
  bool bf16_result = false;
};

/// Everything that can compute one product, on sets of operands of its own: random normal numbers.
class ProductRace {
 public:
  struct Contender {
    std::string name;  ///< "warp_tile"; "cublas-0" is the library's first proposal
    bool own = false;
  };
  virtual ~ProductRace() = default;
  [[nodiscard]] virtual const std::vector<Contender>& contenders() const = 0;
  [[nodiscard]] virtual int sets() const = 0;
  /// Issues the product on the operands of a set; can be recorded.
  virtual void issue(std::size_t contender, int set) = 0;
  /// Computes C of set 0 once more over poison and returns the largest error of the elements looked at (all
  /// of a small product) against a product in double, relative to what rounding allows: at most 1 is right.
  virtual double error(std::size_t contender) = 0;
};

/// `proposals`: of the library, at most. As many sets as together take `working_set` bytes, at least one.
struct RaceOptions {
  int proposals = 16;
  Bytes working_set{};
};
std::unique_ptr<ProductRace> plan_race(Backend&, const Product&, const RaceOptions&);

/// Issues products in registers (bf16 on Hopper: of shared memory) that nothing has to be waited for, by as
/// many threads as the chip holds; returns their floating-point operations. fp32: fused multiply-adds; tf32:
/// mma.sync; bf16: mma.sync, on compute capability 9.0 wgmma.
double issue_peak(Backend&, Precision, int rounds);
/// What `issue_peak` multiplies with: "fma", "mma.sync", "wgmma".
std::string_view peak_instruction(Backend&, Precision);

/// A product by the library in this precision, on the back-end's queue. The library fuses what it can; a
/// shape without epilogue makes it a plain product.
std::unique_ptr<Gemm> plan_library_product(Backend&, const GemmShape&, Precision);

/// y = y + bias of each column, then max(0, ·) where `relu`, in place in one kernel: what follows a product
/// that fuses nothing. y [rows, columns], bias [columns].
void add_bias(Backend&, std::int64_t rows, std::int64_t columns, ConstView bias, View y, bool relu);

/// A kernel's time for a product, for the table by which products are chosen.
struct ProductTime {
  Product product;
  std::string kernel;
  double microseconds = 0;
};
/// The table's text, as `inputs/machines/gemm-h200.csv` is read.
std::string product_table(int architecture, std::span<const ProductTime>);

}  // namespace partita::kernels::cuda
