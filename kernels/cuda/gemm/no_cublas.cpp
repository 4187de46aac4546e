/// A build that has no headers of cuBLASLt: the name `cublas` is known, using it says why it cannot be.
#include <stdexcept>

#include "cublas.hpp"

namespace partita::kernels::cuda::gemm {
namespace {

[[noreturn]] void refuse() { throw std::runtime_error("cuBLASLt cannot be used: " + cublas_problem()); }
bool supports(const Arguments&) { return false; }
Bytes workspace(const Arguments&, const Chip&) { return Bytes(0); }
void run(const Arguments&, std::byte*, const Chip&, cudaStream_t) { refuse(); }

constexpr Kernel entries[] = {
    {"cublas", Arithmetic::fp32, 50, supports, workspace, run},
    {"cublas", Arithmetic::tf32, 80, supports, workspace, run},
    {"cublas", Arithmetic::bf16, 80, supports, workspace, run},
};

}  // namespace

struct CublasProduct::State {};

std::span<const Kernel> cublas_kernels() { return entries; }

const std::string& cublas_problem() {
  static const std::string problem = "built without cuBLASLt";
  return problem;
}

std::string cublas_version() { return "none"; }

CublasProduct::CublasProduct(const Arguments&, Arithmetic, int) { refuse(); }
CublasProduct::CublasProduct(CublasProduct&&) noexcept = default;
CublasProduct::~CublasProduct() = default;
int CublasProduct::algorithms() const { return 0; }
void CublasProduct::run(int, const Arguments&, std::byte*, cudaStream_t) const { refuse(); }

}  // namespace partita::kernels::cuda::gemm
