/// The functions of cuBLASLt that are used, found in the loaded library.
#pragma once

#include <cublasLt.h>

#include <span>
#include <string>

namespace partita::kernels::cuda::gemm {

struct CublasLibrary {
  decltype(&cublasLtCreate) create = nullptr;
  decltype(&cublasLtGetStatusString) status_text = nullptr;
  decltype(&cublasLtGetVersion) version = nullptr;
  decltype(&cublasLtMatmul) matmul = nullptr;
  decltype(&cublasLtMatmulAlgoGetHeuristic) heuristics = nullptr;
  decltype(&cublasLtMatmulDescCreate) product_create = nullptr;
  decltype(&cublasLtMatmulDescDestroy) product_destroy = nullptr;
  decltype(&cublasLtMatmulDescSetAttribute) product_set = nullptr;
  decltype(&cublasLtMatrixLayoutCreate) layout_create = nullptr;
  decltype(&cublasLtMatrixLayoutDestroy) layout_destroy = nullptr;
  decltype(&cublasLtMatmulPreferenceCreate) preference_create = nullptr;
  decltype(&cublasLtMatmulPreferenceDestroy) preference_destroy = nullptr;
  decltype(&cublasLtMatmulPreferenceSetAttribute) preference_set = nullptr;
  std::string problem = {};  ///< why it is not there; the functions are null then

  /// The library of the major version of our headers, loaded once: as the system finds it, else from the
  /// toolkit that CUDA_HOME or CUDA_PATH names, else from /usr/local/cuda.
  static const CublasLibrary& get();
  /// The first of these files that can be loaded. It stays loaded until the process ends.
  static CublasLibrary load(std::span<const std::string> places);
};

}  // namespace partita::kernels::cuda::gemm
