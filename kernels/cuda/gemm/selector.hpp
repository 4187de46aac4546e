/// Which kernel computes a product: by a table of what was measured on a chip, else by rules; or the one
/// asked for.
#pragma once

#include <iosfwd>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "family.hpp"

namespace partita::kernels::cuda::gemm {

std::string_view to_string(Arithmetic);

/// One row of the table: a kernel's time for a product, or a preference that was not measured.
struct Measurement {
  int architecture = 0;
  Arithmetic arithmetic = Arithmetic::fp32;
  std::int64_t m = 0, n = 0, k = 0;
  bool transpose_a = false, transpose_b = false;
  std::string kernel;
  std::optional<double> microseconds;
  friend bool operator==(const Measurement&, const Measurement&) = default;
};

/// Comma-separated text: a line of names of columns, then a row a line; '#' begins a comment.
///     architecture,arithmetic,m,n,k,transpositions,kernel,microseconds
///     90,bf16,4096,4096,4096,nn,hopper_bf16,-
/// transpositions: of A, then of B, n or t. microseconds: `-` where the row is a preference by reasoning. Of
/// one product's rows the fastest kernel counts, among preferences the first; a time counts before a
/// preference.
class Table {
 public:
  /// The table of inputs/machines/gemm-h200.csv, compiled in.
  static const Table& shipped();
  /// Throws std::runtime_error with a line for each row that is wrong: "source:3: …".
  static Table parse(std::string_view text, std::string_view source);
  /// The same of a file.
  static Table read(const std::string& path);
  /// As `parse` reads it.
  void print(std::ostream&) const;
  void add(Measurement row) { rows_.push_back(std::move(row)); }
  [[nodiscard]] std::span<const Measurement> rows() const { return rows_; }

 private:
  std::vector<Measurement> rows_;
};

/// Throws std::invalid_argument with the list of names unless `wanted` is `auto` or names a kernel of this
/// arithmetic, and std::runtime_error where it is `cublas` and the library is not there.
void check_name(std::string_view wanted, Arithmetic, std::span<const Kernel>);

/// The kernel for a product. `wanted` names one, which is taken wherever it can compute the product on this
/// chip; where it cannot, and for `auto`, the table decides: of the rows for the newest architecture not
/// newer than the chip's, the product nearest in the logarithms of m, n, k (another transposition counts like
/// twice an extent) that has a kernel which can; without such rows, the rules of `preferred`. Throws
/// std::invalid_argument for an unknown name, std::runtime_error where no kernel can.
const Kernel& select(const Arguments&, Arithmetic, const Chip&, std::string_view wanted, const Table&,
                     std::span<const Kernel>);

/// A choice before the operands are known: a kernel for operands on boundaries of 256 bytes and one for any.
struct Choice {
  const Kernel* aligned = nullptr;
  const Kernel* any = nullptr;
  Bytes workspace{};  ///< enough for both
  void run(const Arguments&, std::byte* memory, const Chip&, cudaStream_t) const;
};

/// The shape as arguments, with pointers that stand for whatever it has: not to be followed.
Arguments planned(const GemmShape&);
/// Two selections for `planned` arguments, whose leading dimensions and type of C may be changed.
Choice choose(const Arguments& planned, Arithmetic, const Chip&, std::string_view wanted, const Table&,
              std::span<const Kernel>);

/// The ladder's kernels and the library's: what `--compute.gemm` may name.
std::span<const Kernel> all_kernels();

/// Whether this kernel runs on the chip and can compute the product.
bool fits(const Kernel&, const Arguments&, Arithmetic, const Chip&);

/// Whether C has too few tiles to keep the chip busy while sums are long: then k should be split. Where even
/// the smallest tiles are too few, shorter sums are worth the second launch: a block alone on its
/// multiprocessor goes from step to step at the pace of memory. By reasoning, not measured.
bool is_long_and_thin(const Arguments&, const Chip&);

/// Without a table: a kernel that splits k ("split_k…") where the product is long and thin, else the last of
/// the ladder that fits. The library ("cublas") is never chosen so. Null where none fits.
const Kernel* preferred(const Arguments&, Arithmetic, const Chip&, std::span<const Kernel>);

}  // namespace partita::kernels::cuda::gemm
