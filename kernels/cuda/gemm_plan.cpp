/// Chooses a kernel from the shape before there is any memory, casts operands to bfloat16 in the workspace
/// where the precision asks for it, and runs the kernel on a call's views.
#include "gemm_plan.hpp"

#include <cuda_bf16.h>

#include <stdexcept>
#include <vector>

#include "cast.hpp"
#include "gemm/cublas.hpp"
#include "gemm/selector.hpp"
#include "issue.hpp"

namespace partita::kernels::cuda {
namespace {

constexpr std::int64_t cast_row = 8;    ///< elements of bfloat16 to a boundary of 16 bytes
constexpr std::int64_t boundary = 256;  ///< of the parts of a workspace, in bytes

constexpr std::int64_t rounded_up(std::int64_t n, std::int64_t to) { return (n + to - 1) / to * to; }

/// A stored operand [rows, columns], and its bfloat16 copy in the workspace where there is one.
struct Operand {
  std::int64_t rows = 0, columns = 0, leading = 0;
  [[nodiscard]] std::int64_t cast_leading() const { return rounded_up(columns, cast_row); }
  [[nodiscard]] std::int64_t cast_bytes() const { return rounded_up(rows * cast_leading() * 2, boundary); }
};

gemm::Arithmetic arithmetic_of(Precision precision) {
  switch (precision) {
    case Precision::fp32:
      return gemm::Arithmetic::fp32;
    case Precision::tf32:
      return gemm::Arithmetic::tf32;
    case Precision::bf16:
      return gemm::Arithmetic::bf16;
  }
  throw std::logic_error("an unknown precision");
}

class CudaGemm final : public Gemm {
 public:
  CudaGemm(const GemmShape& s, const BackendOptions& options, CudaDevice& device)
      : device_(device),
        shape_(s),
        a_{s.transpose_a ? s.k : s.m, s.transpose_a ? s.m : s.k, s.leading_a()},
        b_{s.transpose_b ? s.n : s.k, s.transpose_b ? s.k : s.n, s.leading_b()},
        arguments_(gemm::planned(s)) {
    if (options.precision == Precision::bf16) {
      arguments_.row_a = a_.cast_leading(), arguments_.row_b = b_.cast_leading();
      cast_bytes_ = a_.cast_bytes() + b_.cast_bytes();
      casts_ = true;
    }
    choice_ = gemm::choose(arguments_, arithmetic_of(options.precision), device.chip(), options.gemm,
                           gemm::Table::shipped(), gemm::all_kernels());
  }

  Bytes workspace() const override { return Bytes(cast_bytes_) + choice_.workspace; }

  void run(const GemmViews& v, Workspace workspace) override {
    if (static_cast<std::int64_t>(workspace.size()) < this->workspace().value())
      throw std::logic_error("a product was given too small a workspace");
    auto p = arguments_;
    const auto stream = device_.stream(kernels::Device::Queue::compute);
    p.a = v.a.as<float>().data(), p.b = v.b.as<float>().data(), p.c = v.c.as<float>().data();
    if (shape_.bias) p.bias = v.bias.as<float>().data();
    if (shape_.epilogue == Epilogue::relu_mask) p.mask = v.mask.as<float>().data();
    if (shape_.row_sums) p.row_sums = v.row_sums.as<float>().data();
    if (casts_) {
      auto* const a = reinterpret_cast<__nv_bfloat16*>(workspace.data());
      auto* const b = reinterpret_cast<__nv_bfloat16*>(workspace.data() + a_.cast_bytes());
      to_bf16(a_.rows, a_.columns, v.a.as<float>().data(), a_.leading, a, a_.cast_leading(), stream);
      to_bf16(b_.rows, b_.columns, v.b.as<float>().data(), b_.leading, b, b_.cast_leading(), stream);
      p.a = a, p.b = b;
    }
    choice_.run(p, workspace.data() + cast_bytes_, device_.chip(), stream);
  }

 private:
  CudaDevice& device_;
  GemmShape shape_;
  Operand a_, b_;
  gemm::Arguments arguments_;
  bool casts_ = false;
  std::int64_t cast_bytes_ = 0;
  gemm::Choice choice_;
};

}  // namespace

std::vector<std::string> gemm_names(Precision precision) {
  std::vector<std::string> names{"auto"};
  for (const auto& kernel : gemm::all_kernels())
    if (kernel.arithmetic == arithmetic_of(precision)) names.emplace_back(kernel.name);
  return names;
}

std::string cublas_problem() { return gemm::cublas_problem(); }

void check_gemm_name(const BackendOptions& options) {
  gemm::check_name(options.gemm, arithmetic_of(options.precision), gemm::all_kernels());
}

std::unique_ptr<Gemm> plan_gemm(const GemmShape& shape, const BackendOptions& options, CudaDevice& device) {
  return std::make_unique<CudaGemm>(shape, options, device);
}

}  // namespace partita::kernels::cuda
