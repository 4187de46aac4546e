#include "backends.hpp"

namespace partita::tests {

std::vector<std::unique_ptr<kernels::Backend>> backends() {
  std::vector<std::unique_ptr<kernels::Backend>> all;
  all.push_back(kernels::make_cpu_backend(1));
  all.push_back(kernels::make_cpu_backend(2));
  all.push_back(kernels::make_reference_backend(kernels::DataType::float32));
  return all;
}

}  // namespace partita::tests
