/// A product described to the library, whose matrices are column-major: it is given Cᵀ = op(B)ᵀ·op(A)ᵀ, so
/// that nothing is copied. What it cannot fuse (row sums, masks, a bias for a bfloat16 result) follows as
/// kernels of ours.
#include "cublas.hpp"

#include <algorithm>
#include <stdexcept>
#include <vector>

#include "after_product.hpp"
#include "cublas_library.hpp"
#include "launch.hpp"

namespace partita::kernels::cuda::gemm {
namespace {

void check_library(cublasStatus_t status, const char* call) {
  if (status == CUBLAS_STATUS_SUCCESS) return;
  throw std::runtime_error(std::string(call) + ": " + CublasLibrary::get().status_text(status));
}

/// The library if it is there, with a message if not.
const CublasLibrary& library() {
  const auto& lt = CublasLibrary::get();
  if (!lt.problem.empty()) throw std::runtime_error("cuBLASLt cannot be used: " + lt.problem);
  return lt;
}

/// Lets this thread do what a recording of its own forbids otherwise, such as taking memory of the device.
class BesidesRecording {
 public:
  BesidesRecording() {
    check(cudaThreadExchangeStreamCaptureMode(&mode_), "cudaThreadExchangeStreamCaptureMode");
  }
  ~BesidesRecording() { cudaThreadExchangeStreamCaptureMode(&mode_); }
  BesidesRecording(const BesidesRecording&) = delete;
  BesidesRecording& operator=(const BesidesRecording&) = delete;

 private:
  cudaStreamCaptureMode mode_ = cudaStreamCaptureModeRelaxed;
};

/// One for the process; made once a device is chosen, at the first product, which may be one that is
/// recorded.
cublasLtHandle_t handle() {
  static const cublasLtHandle_t one = [] {
    const BesidesRecording making;
    cublasLtHandle_t made = nullptr;
    check_library(library().create(&made), "cublasLtCreate");
    return made;
  }();
  return one;
}

template <class Handle>
using Owned = std::unique_ptr<std::remove_pointer_t<Handle>, cublasStatus_t (*)(Handle)>;
using Product = Owned<cublasLtMatmulDesc_t>;
using Layout = Owned<cublasLtMatrixLayout_t>;
using Preference = Owned<cublasLtMatmulPreference_t>;

template <class Value>
void set(const Product& product, cublasLtMatmulDescAttributes_t attribute, const Value& value) {
  check_library(library().product_set(product.get(), attribute, &value, sizeof value),
                "cublasLtMatmulDescSetAttribute");
}

template <class Value>
void set(const Preference& preference, cublasLtMatmulPreferenceAttributes_t attribute, const Value& value) {
  check_library(library().preference_set(preference.get(), attribute, &value, sizeof value),
                "cublasLtMatmulPreferenceSetAttribute");
}

/// A row-major [rows, columns] is the library's column-major [columns, rows].
Layout layout_of(cudaDataType type, std::int64_t rows, std::int64_t columns, std::int64_t row) {
  cublasLtMatrixLayout_t made = nullptr;
  check_library(library().layout_create(&made, type, static_cast<std::uint64_t>(columns),
                                        static_cast<std::uint64_t>(rows), row),
                "cublasLtMatrixLayoutCreate");
  return {made, library().layout_destroy};
}

cudaDataType type_of_operands(Arithmetic arithmetic) {
  return arithmetic == Arithmetic::bf16 ? CUDA_R_16BF : CUDA_R_32F;
}

/// The bias is float32; the library adds one of C's type only.
bool fuses_bias(const Arguments& p) { return p.bias != nullptr && !p.c_is_bf16; }
/// ReLU comes last, so with a bias of its own kernel it goes there too.
bool fuses_relu(const Arguments& p) { return p.relu && (p.bias == nullptr || fuses_bias(p)); }

cublasLtEpilogue_t epilogue_of(const Arguments& p) {
  if (fuses_bias(p)) return fuses_relu(p) ? CUBLASLT_EPILOGUE_RELU_BIAS : CUBLASLT_EPILOGUE_BIAS;
  return fuses_relu(p) ? CUBLASLT_EPILOGUE_RELU : CUBLASLT_EPILOGUE_DEFAULT;
}

/// Cᵀ = op(B)ᵀ·op(A)ᵀ: the library's first operand is our B, its second our A, each as it lies or transposed.
Product product_of(const Arguments& p, Arithmetic arithmetic) {
  cublasLtMatmulDesc_t made = nullptr;
  const auto compute = arithmetic == Arithmetic::tf32 ? CUBLAS_COMPUTE_32F_FAST_TF32 : CUBLAS_COMPUTE_32F;
  check_library(library().product_create(&made, compute, CUDA_R_32F), "cublasLtMatmulDescCreate");
  Product product{made, library().product_destroy};
  set(product, CUBLASLT_MATMUL_DESC_TRANSA, p.transpose_b ? CUBLAS_OP_T : CUBLAS_OP_N);
  set(product, CUBLASLT_MATMUL_DESC_TRANSB, p.transpose_a ? CUBLAS_OP_T : CUBLAS_OP_N);
  set(product, CUBLASLT_MATMUL_DESC_EPILOGUE, epilogue_of(p));
  if (fuses_bias(p)) set(product, CUBLASLT_MATMUL_DESC_BIAS_POINTER, p.bias);
  return product;
}

/// The largest power of two up to 256 on which data and rows lie.
std::uint32_t alignment_of(const void* data) {
  std::uint32_t alignment = 256;
  while (reinterpret_cast<std::uintptr_t>(data) % alignment != 0)
    alignment /= 2;
  return alignment;
}

Preference preference_of(const Arguments& p) {
  cublasLtMatmulPreference_t made = nullptr;
  check_library(library().preference_create(&made), "cublasLtMatmulPreferenceCreate");
  Preference preference{made, library().preference_destroy};
  set(preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES,
      static_cast<std::uint64_t>(cublas_workspace.value()));
  set(preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, alignment_of(p.b));
  set(preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, alignment_of(p.a));
  set(preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, alignment_of(p.c));
  set(preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, alignment_of(p.c));
  return preference;
}

}  // namespace

struct CublasProduct::State {
  Product product;
  Layout a, b, c;
  bool a_is_bf16;
  std::vector<cublasLtMatmulAlgo_t> algorithms = {};
};

CublasProduct::CublasProduct(const Arguments& p, Arithmetic arithmetic, int at_most) {
  const auto type = type_of_operands(arithmetic);
  state_ = std::make_unique<State>(
      State{.product = product_of(p, arithmetic),
            .a = layout_of(type, p.transpose_a ? p.k : p.m, p.transpose_a ? p.m : p.k, p.row_a),
            .b = layout_of(type, p.transpose_b ? p.n : p.k, p.transpose_b ? p.k : p.n, p.row_b),
            .c = layout_of(p.c_is_bf16 ? CUDA_R_16BF : CUDA_R_32F, p.m, p.n, p.row_c),
            .a_is_bf16 = arithmetic == Arithmetic::bf16});
  const auto preference = preference_of(p);
  std::vector<cublasLtMatmulHeuristicResult_t> found(static_cast<std::size_t>(at_most));
  int count = 0;
  check_library(
      library().heuristics(handle(), state_->product.get(), state_->b.get(), state_->a.get(), state_->c.get(),
                           state_->c.get(), preference.get(), at_most, found.data(), &count),
      "cublasLtMatmulAlgoGetHeuristic");
  for (int i = 0; i < count; ++i)
    if (found[i].state == CUBLAS_STATUS_SUCCESS) state_->algorithms.push_back(found[i].algo);
  if (state_->algorithms.empty()) throw std::runtime_error("cuBLASLt proposes no algorithm for this product");
}

CublasProduct::CublasProduct(CublasProduct&&) noexcept = default;
CublasProduct::~CublasProduct() = default;

int CublasProduct::algorithms() const { return static_cast<int>(state_->algorithms.size()); }

void CublasProduct::run(int algorithm, const Arguments& p, std::byte* workspace, cudaStream_t stream) const {
  const auto& s = *state_;
  if (fuses_bias(p)) set(s.product, CUBLASLT_MATMUL_DESC_BIAS_POINTER, p.bias);
  check_library(
      library().matmul(handle(), s.product.get(), &p.alpha, p.b, s.b.get(), p.a, s.a.get(), &p.beta, p.c,
                       s.c.get(), p.c, s.c.get(), &s.algorithms.at(static_cast<std::size_t>(algorithm)),
                       workspace, static_cast<std::size_t>(cublas_workspace.value()), stream),
      "cublasLtMatmul");
  Arguments rest = p;
  rest.relu = p.relu && !fuses_relu(p);
  finish_in_place(rest, p.bias != nullptr && !fuses_bias(p), stream);
  add_row_sums(p, s.a_is_bf16, stream);
}

namespace {

bool supports(const Arguments& p) { return cublas_problem().empty() && p.k > 0 && p.m > 0 && p.n > 0; }
Bytes workspace(const Arguments&, const Chip&) { return cublas_workspace; }

/// The library's first choice, looked up anew each time: where that matters, work is recorded once and
/// repeated.
template <Arithmetic arithmetic>
void run(const Arguments& p, std::byte* memory, const Chip&, cudaStream_t stream) {
  CublasProduct(p, arithmetic, 1).run(0, p, memory, stream);
}

constexpr Kernel entries[] = {
    {"cublas", Arithmetic::fp32, 50, supports, workspace, run<Arithmetic::fp32>},
    {"cublas", Arithmetic::tf32, 80, supports, workspace, run<Arithmetic::tf32>},
    {"cublas", Arithmetic::bf16, 80, supports, workspace, run<Arithmetic::bf16>},
};

}  // namespace

std::span<const Kernel> cublas_kernels() { return entries; }

const std::string& cublas_problem() { return CublasLibrary::get().problem; }

std::string cublas_version() {
  if (!cublas_problem().empty()) return "none";
  const auto version = CublasLibrary::get().version();  // 130002: 13.0.2
  return std::to_string(version / 10000) + "." + std::to_string(version / 100 % 100) + "." +
         std::to_string(version % 100);
}

}  // namespace partita::kernels::cuda::gemm
