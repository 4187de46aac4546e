/// cuBLASLt is loaded at its first use: what is said where it is not there, or is something else.
#include "cublas_library.hpp"

#include <gtest/gtest.h>

#include "cublas.hpp"

namespace partita::kernels::cuda::gemm {
namespace {

TEST(CublasLibrary, AnAbsentOneIsNamedWithEachPlaceThatWasTried) {
  const std::string places[] = {"/no/such/libcublasLt.so.1", "/nor/this/libcublasLt.so.1"};
  const auto library = CublasLibrary::load(places);
  EXPECT_EQ(library.create, nullptr);
  EXPECT_NE(library.problem.find(places[0]), std::string::npos) << library.problem;
  EXPECT_NE(library.problem.find(places[1]), std::string::npos) << library.problem;
}

TEST(CublasLibrary, AnotherLibraryIsNotTakenForIt) {
  const std::string places[] = {"libm.so.6"};
  const auto library = CublasLibrary::load(places);
  EXPECT_NE(library.problem.find("cublasLtMatmul"), std::string::npos) << library.problem;
}

TEST(CublasLibrary, WhereItIsThereAllFunctionsAre) {
  if (!cublas_problem().empty()) GTEST_SKIP() << cublas_problem();
  EXPECT_NE(CublasLibrary::get().matmul, nullptr);
  EXPECT_GE(CublasLibrary::get().version(), std::size_t{CUBLAS_VER_MAJOR} * 10000);
  EXPECT_NE(cublas_version(), "none");
}

}  // namespace
}  // namespace partita::kernels::cuda::gemm
