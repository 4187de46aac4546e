/// A build without CUDA: no kernels, no device, and calls that need one say so.
#include <stdexcept>

#include "partita/kernels/cuda/devices.hpp"
#include "partita/kernels/cuda/yardstick.hpp"

namespace partita::kernels::cuda {
namespace {

[[noreturn]] void refuse() { throw std::runtime_error("the CUDA back-end: " + describe(query_devices())); }

}  // namespace

std::string_view to_string(Precision precision) {
  return precision == Precision::fp32 ? "fp32" : precision == Precision::tf32 ? "tf32" : "bf16";
}
std::vector<LadderKernel> ladder() { return {}; }
ProductLibrary product_library() { return {"none", "built without CUDA"}; }
ChipFigures chip_figures(Backend&) { refuse(); }
std::unique_ptr<ProductRace> plan_race(Backend&, const Product&, const RaceOptions&) { refuse(); }
double issue_peak(Backend&, Precision, int) { refuse(); }
std::string_view peak_instruction(Backend&, Precision) { refuse(); }
std::unique_ptr<Gemm> plan_library_product(Backend&, const GemmShape&, Precision) { refuse(); }
void add_bias(Backend&, std::int64_t, std::int64_t, ConstView, View, bool) { refuse(); }
std::string product_table(int, std::span<const ProductTime>) { refuse(); }

}  // namespace partita::kernels::cuda
