/// The kernels that can be asked for by name: the family's own, then the library's.
#include "cublas.hpp"
#include "selector.hpp"

namespace partita::kernels::cuda::gemm {

std::span<const Kernel> all_kernels() {
  static const std::vector<Kernel> all = [] {
    const auto own = kernels(), library = cublas_kernels();
    std::vector<Kernel> both(own.begin(), own.end());
    both.insert(both.end(), library.begin(), library.end());
    return both;
  }();
  return all;
}

}  // namespace partita::kernels::cuda::gemm
