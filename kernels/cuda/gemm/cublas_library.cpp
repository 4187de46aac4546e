/// Looks for the library where the loader does, then under CUDA_HOME, CUDA_PATH and /usr/local/cuda; a
/// function that is missing is named in `problem`, and nothing is used then.
#include "cublas_library.hpp"

#include <cublas_api.h>
#include <dlfcn.h>

#include <cstdlib>
#include <vector>

namespace partita::kernels::cuda::gemm {
namespace {

/// Structures that the library fills belong to its major version.
const std::string file = "libcublasLt.so." + std::to_string(CUBLAS_VER_MAJOR);

/// Where it may lie, in the order of trying.
std::vector<std::string> places() {
  std::vector<std::string> all{file};
  for (const char* variable : {"CUDA_HOME", "CUDA_PATH"})
    if (const char* folder = std::getenv(variable)) all.push_back(std::string(folder) + "/lib64/" + file);
  all.push_back("/usr/local/cuda/lib64/" + file);
  return all;
}

template <class Function>
void bind(void* library, const char* name, Function& function, std::string& problem) {
  function = reinterpret_cast<Function>(dlsym(library, name));
  if (function == nullptr) problem += (problem.empty() ? file + " lacks " : ", ") + std::string(name);
}

void bind_all(void* library, CublasLibrary& lt) {
  bind(library, "cublasLtCreate", lt.create, lt.problem);
  bind(library, "cublasLtGetStatusString", lt.status_text, lt.problem);
  bind(library, "cublasLtGetVersion", lt.version, lt.problem);
  bind(library, "cublasLtMatmul", lt.matmul, lt.problem);
  bind(library, "cublasLtMatmulAlgoGetHeuristic", lt.heuristics, lt.problem);
  bind(library, "cublasLtMatmulDescCreate", lt.product_create, lt.problem);
  bind(library, "cublasLtMatmulDescDestroy", lt.product_destroy, lt.problem);
  bind(library, "cublasLtMatmulDescSetAttribute", lt.product_set, lt.problem);
  bind(library, "cublasLtMatrixLayoutCreate", lt.layout_create, lt.problem);
  bind(library, "cublasLtMatrixLayoutDestroy", lt.layout_destroy, lt.problem);
  bind(library, "cublasLtMatmulPreferenceCreate", lt.preference_create, lt.problem);
  bind(library, "cublasLtMatmulPreferenceDestroy", lt.preference_destroy, lt.problem);
  bind(library, "cublasLtMatmulPreferenceSetAttribute", lt.preference_set, lt.problem);
}

}  // namespace

CublasLibrary CublasLibrary::load(std::span<const std::string> places) {
  CublasLibrary lt;
  void* library = nullptr;
  for (const auto& place : places) {
    library = dlopen(place.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (library != nullptr) break;
    const char* error = dlerror();
    lt.problem += (lt.problem.empty() ? "" : "; ") + std::string(error != nullptr ? error : place);
  }
  if (library == nullptr) return lt;
  lt.problem.clear();
  bind_all(library, lt);
  return lt;
}

const CublasLibrary& CublasLibrary::get() {
  static const CublasLibrary library = load(places());
  return library;
}

}  // namespace partita::kernels::cuda::gemm
