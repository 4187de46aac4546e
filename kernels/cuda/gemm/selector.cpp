/// The one asked for if it can compute the product; else the fastest at the nearest measured product that
/// can; else the last of the ladder that can, with split_k for long sums of few results.
#include "selector.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <stdexcept>

#include "cublas.hpp"

namespace partita::kernels::cuda::gemm {
namespace {

const Kernel* find(std::string_view name, Arithmetic arithmetic, std::span<const Kernel> kernels) {
  const auto found = std::ranges::find_if(
      kernels, [&](const Kernel& kernel) { return kernel.name == name && kernel.arithmetic == arithmetic; });
  return found == kernels.end() ? nullptr : &*found;
}

/// Squared distance in powers of two; a 0 counts as a 1.
double distance(const Measurement& row, const Arguments& p) {
  const auto apart = [](std::int64_t a, std::int64_t b) {
    const double d = std::log2(static_cast<double>(std::max<std::int64_t>(a, 1))) -
                     std::log2(static_cast<double>(std::max<std::int64_t>(b, 1)));
    return d * d;
  };
  return apart(row.m, p.m) + apart(row.n, p.n) + apart(row.k, p.k) + (row.transpose_a != p.transpose_a) +
         (row.transpose_b != p.transpose_b);
}

/// The newest architecture of the table's rows that is not newer than the chip's; 0: none.
int architecture_of_rows(const Table& table, Arithmetic arithmetic, const Chip& chip) {
  int newest = 0;
  for (const auto& row : table.rows())
    if (row.arithmetic == arithmetic && row.architecture <= chip.architecture)
      newest = std::max(newest, row.architecture);
  return newest;
}

/// By the table; null where it has no row for a kernel that fits.
const Kernel* tabulated(const Arguments& p, Arithmetic arithmetic, const Chip& chip, const Table& table,
                        std::span<const Kernel> kernels) {
  constexpr double never = std::numeric_limits<double>::max();
  const int architecture = architecture_of_rows(table, arithmetic, chip);
  const Kernel* best = nullptr;
  double nearest = never, fastest = never;
  for (const auto& row : table.rows()) {
    if (row.arithmetic != arithmetic || row.architecture != architecture) continue;
    const double away = distance(row, p), time = row.microseconds.value_or(never);
    if (best != nullptr && (away > nearest || (away == nearest && time >= fastest))) continue;
    const Kernel* kernel = find(row.kernel, arithmetic, kernels);
    if (kernel == nullptr || !fits(*kernel, p, arithmetic, chip)) continue;
    best = kernel;
    nearest = away;
    fastest = time;
  }
  return best;
}

}  // namespace

bool fits(const Kernel& kernel, const Arguments& p, Arithmetic arithmetic, const Chip& chip) {
  return kernel.arithmetic == arithmetic && kernel.minimum_architecture <= chip.architecture &&
         (kernel.maximum_architecture == 0 || chip.architecture <= kernel.maximum_architecture) &&
         kernel.supports(p);
}

bool is_long_and_thin(const Arguments& p, const Chip& chip) {
  const auto fill_half_at_most = [&](std::int64_t extent) {
    const std::int64_t tiles = ((p.m + extent - 1) / extent) * ((p.n + extent - 1) / extent);
    return tiles * 2 <= chip.multiprocessors;
  };
  return (p.k >= 1024 && fill_half_at_most(128)) || (p.k >= 512 && fill_half_at_most(32));
}

const Kernel* preferred(const Arguments& p, Arithmetic arithmetic, const Chip& chip,
                        std::span<const Kernel> kernels) {
  const bool split = is_long_and_thin(p, chip);
  const Kernel* last = nullptr;
  for (const Kernel& kernel : kernels) {
    if (kernel.name == "cublas" || !fits(kernel, p, arithmetic, chip)) continue;
    if (kernel.name.starts_with("split_k")) {
      if (split) return &kernel;
      if (last != nullptr) continue;
    }
    last = &kernel;
  }
  return last;
}

void check_name(std::string_view wanted, Arithmetic arithmetic, std::span<const Kernel> kernels) {
  if (wanted == "cublas" && !cublas_problem().empty())
    throw std::runtime_error("the product cublas cannot be used: " + cublas_problem());
  if (wanted == "auto" || find(wanted, arithmetic, kernels) != nullptr) return;
  std::string names = "auto";
  for (const Kernel& kernel : kernels)
    if (kernel.arithmetic == arithmetic) names += ", " + std::string(kernel.name);
  throw std::invalid_argument("there is no " + std::string(to_string(arithmetic)) + " product named " +
                              std::string(wanted) + "; there are " + names);
}

const Kernel& select(const Arguments& p, Arithmetic arithmetic, const Chip& chip, std::string_view wanted,
                     const Table& table, std::span<const Kernel> kernels) {
  check_name(wanted, arithmetic, kernels);
  if (const Kernel* named = find(wanted, arithmetic, kernels);
      named != nullptr && fits(*named, p, arithmetic, chip))
    return *named;
  if (const Kernel* kernel = tabulated(p, arithmetic, chip, table, kernels)) return *kernel;
  if (const Kernel* kernel = preferred(p, arithmetic, chip, kernels)) return *kernel;
  throw std::runtime_error("no " + std::string(to_string(arithmetic)) + " kernel computes a product of " +
                           std::to_string(p.m) + " x " + std::to_string(p.n) + " x " + std::to_string(p.k) +
                           " on compute capability " + std::to_string(chip.architecture / 10) + "." +
                           std::to_string(chip.architecture % 10));
}

Arguments planned(const GemmShape& s) {
  const auto stands_for = [](bool there) {
    return reinterpret_cast<void*>(std::uintptr_t{there ? 256u : 0u});
  };
  const bool mask = s.epilogue == Epilogue::relu_mask;
  return {.a = stands_for(true),
          .b = stands_for(true),
          .c = stands_for(true),
          .bias = static_cast<float*>(stands_for(s.bias)),
          .mask = stands_for(mask),
          .row_sums = static_cast<float*>(stands_for(s.row_sums)),
          .m = s.m,
          .n = s.n,
          .k = s.k,
          .row_a = s.leading_a(),
          .row_b = s.leading_b(),
          .row_c = s.leading_c(),
          .alpha = static_cast<float>(s.alpha),
          .beta = static_cast<float>(s.beta),
          .transpose_a = s.transpose_a,
          .transpose_b = s.transpose_b,
          .relu = s.epilogue == Epilogue::relu};
}

Choice choose(const Arguments& p, Arithmetic arithmetic, const Chip& chip, std::string_view wanted,
              const Table& table, std::span<const Kernel> kernels) {
  const auto displaced = [](auto* pointer, int bytes) {
    const auto address = reinterpret_cast<std::uintptr_t>(pointer);
    return reinterpret_cast<decltype(pointer)>(address == 0 ? 0
                                                            : address + static_cast<std::uintptr_t>(bytes));
  };
  const int of_operand = arithmetic == Arithmetic::bf16 ? 2 : 4, of_c = p.c_is_bf16 ? 2 : 4;
  Arguments odd = p;
  odd.a = displaced(p.a, of_operand);
  odd.b = displaced(p.b, of_operand);
  odd.c = displaced(p.c, of_c);
  odd.mask = displaced(p.mask, of_c);
  odd.bias = displaced(p.bias, 4);
  odd.row_sums = displaced(p.row_sums, 4);
  const Kernel& aligned = select(p, arithmetic, chip, wanted, table, kernels);
  const Kernel& any = select(odd, arithmetic, chip, wanted, table, kernels);
  return {.aligned = &aligned,
          .any = &any,
          .workspace = std::max(aligned.workspace(p, chip), any.workspace(odd, chip))};
}

void Choice::run(const Arguments& p, std::byte* memory, const Chip& chip, cudaStream_t stream) const {
  (aligned->supports(p) ? aligned : any)->run(p, memory, chip, stream);
}

}  // namespace partita::kernels::cuda::gemm
