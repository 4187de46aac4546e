/// The back-ends under test: which they are is the program's choice (CMake links one of the sources that
/// define it), so that the same tests serve hosts and devices.
#pragma once

#include <memory>
#include <vector>

#include "partita/kernels/backend.hpp"

namespace partita::tests {

/// All of them take views of host memory, those of devices too (`on_device.hpp`).
std::vector<std::unique_ptr<kernels::Backend>> backends();

/// Of many cases in a row only each so many-th is run: 1 but where devices are emulated.
int every_case();

/// The memory orders in which a back-end takes images: a device only its own.
inline std::vector<kernels::Layout> layouts_of(kernels::Backend& backend) {
  if (backend.device().is_host()) return {kernels::Layout::nchw, kernels::Layout::nhwc};
  return {backend.image_layout()};
}

}  // namespace partita::tests
