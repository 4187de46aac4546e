/// What partita-bench-kernels times: the products and convolutions of the reference workloads, each as the
/// layer runs it.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "partita/kernels/backend.hpp"
#include "partita/machine/kernel_time.hpp"

namespace partita::bench_kernels {

/// One kernel at one shape, on random data of its own. The buffers live in the functions.
struct Case {
  std::string name;        ///< "linear_forward"
  std::string parameters;  ///< "workload=mlp-mnist batch=100 in=784 out=128"
  machine::KernelKey key;  ///< in a machine file
  double flops = 0;        ///< a multiply-add counts as two
  std::function<void()> ours;
  std::function<void()> yardstick;  ///< dnnl_sgemm on the same operands; empty for convolutions
  /// The largest error of `ours` (which has run) against the double reference, relative to what rounding
  /// allows: 8·ε·(number of terms)·(mean product of operands). At most 1 is right.
  std::function<double()> error;
};

/// Forward, input gradient and weight gradient of every linear and convolution layer measured.
std::vector<Case> all_cases(kernels::Backend& backend);

/// Runs `rounds` of register-resident fused multiply-adds in the widest vectors of this build; returns their
/// number of floating-point operations.
double fma_flops(std::int64_t rounds);

}  // namespace partita::bench_kernels
