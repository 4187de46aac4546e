/// What is raced on a GPU: products, layers, convolutions.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "partita/kernels/cuda/yardstick.hpp"
#include "race.hpp"

namespace partita::bench_kernels {

/// The back-end that multiplies in this precision, made at the first call; a race keeps to one.
using Backends = std::function<kernels::Backend&(kernels::cuda::Precision)>;

struct GpuCase {
  std::string name;        ///< "gemm/bf16", "layer/fp32", "conv_forward"
  std::string parameters;  ///< "m=4096 n=4096 k=4096 ab=nn"
  kernels::cuda::Precision precision = kernels::cuda::Precision::fp32;
  std::optional<kernels::cuda::Product> product = {};  ///< of a race of products
  /// Takes memory and fills it; the working set is that of all sets of operands.
  std::function<Race(kernels::Backend&, const kernels::cuda::RaceOptions&)> make;
};

GpuCase product_case(const kernels::cuda::Product&);
/// What rounding allows a sum of `terms` typical products: float32 sums, operands rounded to the precision.
double allowed_error(kernels::cuda::Precision, double terms, double typical_product);

/// A linear layer with ReLU, forward and backward: our three products with what belongs to them fused,
/// beside the library's products and element-wise kernels. Y = relu(X Wᵀ + b); dX = dY W where X > 0 (but
/// for the lowest layer); dW = dYᵀ X, db = Σ dY.
GpuCase layer_case(kernels::cuda::Precision, const std::string& workload, std::int64_t batch, std::int64_t in,
                   std::int64_t out, bool lowest);
/// The three directions of a convolution, or two for the lowest layer.
std::vector<GpuCase> convolution_cases(const std::string& workload, const kernels::ConvolutionShape&,
                                       bool lowest);

/// All of them.
std::vector<GpuCase> gpu_cases();

}  // namespace partita::bench_kernels
