/// A product with all kernels that can compute it on this chip, beside the library's proposals, on as many
/// sets of operands as exceed the cache; and the chip's figures and peak for the benchmark.
#include <algorithm>
#include <optional>
#include <sstream>
#include <stdexcept>

#include "gemm/after_product.hpp"
#include "gemm/cublas.hpp"
#include "gemm/selector.hpp"
#include "gemm_plan.hpp"
#include "launch.hpp"
#include "operands.hpp"
#include "partita/kernels/cuda/yardstick.hpp"
#include "peak.hpp"

namespace partita::kernels::cuda {
namespace {

using gemm::Arguments;
using gemm::Arithmetic;

Arithmetic arithmetic_of(Precision precision) {
  return precision == Precision::fp32   ? Arithmetic::fp32
         : precision == Precision::tf32 ? Arithmetic::tf32
                                        : Arithmetic::bf16;
}
Precision precision_of(Arithmetic arithmetic) {
  return arithmetic == Arithmetic::fp32   ? Precision::fp32
         : arithmetic == Arithmetic::tf32 ? Precision::tf32
                                          : Precision::bf16;
}

CudaDevice& cuda_device(Backend& backend) { return dynamic_cast<CudaDevice&>(backend.device()); }
cudaStream_t stream_of(CudaDevice& device) { return device.stream(kernels::Device::Queue::compute); }

constexpr std::int64_t boundary = 256;
std::int64_t padded(std::int64_t bytes) { return (bytes + boundary - 1) / boundary * boundary; }

class CudaRace final : public ProductRace {
 public:
  CudaRace(CudaDevice& device, const Product& product, const RaceOptions& options)
      : device_(device),
        arithmetic_(arithmetic_of(product.precision)),
        shape_{.m = product.m,
               .n = product.n,
               .k = product.k,
               .row_a = product.transpose_a ? product.m : product.k,
               .row_b = product.transpose_b ? product.k : product.n,
               .row_c = product.n,
               .transpose_a = product.transpose_a,
               .transpose_b = product.transpose_b,
               .c_is_bf16 = product.bf16_result} {
    const int operand = arithmetic_ == Arithmetic::bf16 ? 2 : 4, result = product.bf16_result ? 2 : 4;
    a_bytes_ = padded(product.m * product.k * operand);
    b_bytes_ = padded(product.k * product.n * operand);
    c_bytes_ = padded(product.m * product.n * result);
    const std::int64_t set = std::max<std::int64_t>(a_bytes_ + b_bytes_ + c_bytes_, 1);
    sets_ = static_cast<int>(std::max<std::int64_t>(1, (options.working_set.value() + set - 1) / set));
    memory_.emplace(device, Bytes(set * sets_));
    fill();
    admit(options.proposals);
  }

  const std::vector<Contender>& contenders() const override { return contenders_; }
  int sets() const override { return sets_; }

  void issue(std::size_t contender, int set) override {
    const auto p = arguments(set);
    const auto stream = stream_of(device_);
    if (contender < kernels_.size())
      kernels_[contender]->run(p, workspace_->data(), device_.chip(), stream);
    else
      library_->run(static_cast<int>(contender - kernels_.size()), p, workspace_->data(), stream);
  }

  double error(std::size_t contender) override {
    const auto stream = stream_of(device_);
    const auto p = arguments(0);
    if (!expected_) expected_.emplace(p, arithmetic_, stream);
    check(cudaMemsetAsync(p.c, 0xFF, static_cast<std::size_t>(c_bytes_), stream), "cudaMemsetAsync");
    issue(contender, 0);
    return expected_->error_of(p.c, stream);
  }

 private:
  [[nodiscard]] Arguments arguments(int set) const {
    auto p = shape_;
    std::byte* const first = memory_->data() + set * (a_bytes_ + b_bytes_ + c_bytes_);
    p.a = first;
    p.b = first + a_bytes_;
    p.c = first + a_bytes_ + b_bytes_;
    return p;
  }

  void fill() {
    const bool bf16 = arithmetic_ == Arithmetic::bf16;
    for (int set = 0; set < sets_; ++set) {
      const auto p = arguments(set);
      const auto number = static_cast<std::uint64_t>(2 * set);
      yardstick::fill_normal(const_cast<void*>(p.a), p.m * p.k, bf16, number, stream_of(device_));
      yardstick::fill_normal(const_cast<void*>(p.b), p.k * p.n, bf16, number + 1, stream_of(device_));
    }
  }

  /// The kernels that compute this product on this chip, then the library's proposals.
  void admit(int proposals) {
    const auto p = arguments(0);
    Bytes workspace(0);
    for (const auto& kernel : gemm::kernels()) {
      if (!gemm::fits(kernel, p, arithmetic_, device_.chip())) continue;
      kernels_.push_back(&kernel);
      contenders_.push_back({std::string(kernel.name), true});
      workspace = std::max(workspace, kernel.workspace(p, device_.chip()));
    }
    if (proposals > 0 && gemm::cublas_problem().empty()) {
      library_.emplace(p, arithmetic_, proposals);
      for (int i = 0; i < library_->algorithms(); ++i)
        contenders_.push_back({"cublas-" + std::to_string(i), false});
      workspace = std::max(workspace, gemm::cublas_workspace);
    }
    workspace_.emplace(device_, workspace);
  }

  CudaDevice& device_;
  Arithmetic arithmetic_;
  Arguments shape_;
  std::int64_t a_bytes_ = 0, b_bytes_ = 0, c_bytes_ = 0;
  int sets_ = 1;
  std::optional<yardstick::Memory> memory_, workspace_;
  std::vector<const gemm::Kernel*> kernels_;
  std::optional<gemm::CublasProduct> library_;
  std::vector<Contender> contenders_;
  std::optional<yardstick::ExpectedElements> expected_;
};

}  // namespace

std::string_view to_string(Precision precision) { return gemm::to_string(arithmetic_of(precision)); }

std::vector<LadderKernel> ladder() {
  std::vector<LadderKernel> names;
  for (const auto& kernel : gemm::kernels())
    names.push_back({std::string(kernel.name), precision_of(kernel.arithmetic)});
  return names;
}

ProductLibrary product_library() { return {gemm::cublas_version(), gemm::cublas_problem()}; }

ChipFigures chip_figures(Backend& backend) {
  const auto& chip = cuda_device(backend).chip();
  int device = 0;
  check(cudaGetDevice(&device), "cudaGetDevice");
  cudaDeviceProp properties{};
  check(cudaGetDeviceProperties(&properties, device), "cudaGetDeviceProperties");
  return {chip.architecture, chip.multiprocessors, Bytes(properties.l2CacheSize)};
}

std::unique_ptr<ProductRace> plan_race(Backend& backend, const Product& product, const RaceOptions& options) {
  return std::make_unique<CudaRace>(cuda_device(backend), product, options);
}

double issue_peak(Backend& backend, Precision precision, int rounds) {
  auto& device = cuda_device(backend);
  return yardstick::issue_peak(arithmetic_of(precision), device.chip(), rounds, stream_of(device));
}

std::string_view peak_instruction(Backend& backend, Precision precision) {
  if (precision == Precision::fp32) return "fma";
  const auto arithmetic = arithmetic_of(precision);
  return yardstick::peak_is_wgmma(arithmetic, cuda_device(backend).chip()) ? "wgmma" : "mma.sync";
}

std::unique_ptr<Gemm> plan_library_product(Backend& backend, const GemmShape& shape, Precision precision) {
  return plan_gemm(shape, {.precision = precision, .gemm = "cublas"}, cuda_device(backend));
}

void add_bias(Backend& backend, std::int64_t rows, std::int64_t columns, ConstView bias, View y, bool relu) {
  if (y.size().value() != rows * columns || bias.size().value() != columns)
    throw std::logic_error("a bias of another shape than its views");
  const Arguments p{.c = y.data(),
                    .bias = static_cast<const float*>(bias.data()),
                    .m = rows,
                    .n = columns,
                    .row_c = columns,
                    .relu = relu};
  gemm::finish_in_place(p, true, stream_of(cuda_device(backend)));
}

std::string product_table(int architecture, std::span<const ProductTime> times) {
  gemm::Table table;
  for (const auto& time : times)
    table.add({.architecture = architecture,
               .arithmetic = arithmetic_of(time.product.precision),
               .m = time.product.m,
               .n = time.product.n,
               .k = time.product.k,
               .transpose_a = time.product.transpose_a,
               .transpose_b = time.product.transpose_b,
               .kernel = time.kernel,
               .microseconds = time.microseconds});
  std::ostringstream text;
  table.print(text);
  return text.str();
}

}  // namespace partita::kernels::cuda
