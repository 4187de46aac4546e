/// A failed call of the CUDA runtime becomes an exception that names call and cause; too little memory
/// becomes a std::bad_alloc.
#include "launch.hpp"

#include <memory>
#include <new>
#include <stdexcept>
#include <string>

namespace partita::kernels::cuda {
namespace {

/// Which of the two memories is too small is in the call's name.
class OutOfMemory final : public std::bad_alloc {
 public:
  explicit OutOfMemory(const std::string& words) : words_(std::make_shared<const std::string>(words)) {}
  [[nodiscard]] const char* what() const noexcept override { return words_->c_str(); }

 private:
  std::shared_ptr<const std::string> words_;  // whose copies do not throw
};

}  // namespace

void check(cudaError_t error, const char* call) {
  if (error == cudaSuccess) return;
  cudaGetLastError();  // what one call reported is not reported again by the next
  const auto words = std::string(call) + ": " + cudaGetErrorName(error) + ": " + cudaGetErrorString(error);
  if (error == cudaErrorMemoryAllocation) throw OutOfMemory(words);
  throw std::runtime_error(words);
}

}  // namespace partita::kernels::cuda
