/// Which products, layers and convolutions are raced: squares, those of the reference workloads, and products
/// with a long sum and a small result.
#include <array>
#include <iterator>

#include "gpu_cases.hpp"

namespace partita::bench_kernels {

GpuCase product_case(const kernels::cuda::Product& product) {
  const std::string transpositions{product.transpose_a ? 't' : 'n', product.transpose_b ? 't' : 'n'};
  return {.name = "gemm/" + std::string(to_string(product.precision)) + (product.bf16_result ? "-c16" : ""),
          .parameters = "m=" + std::to_string(product.m) + " n=" + std::to_string(product.n) +
                        " k=" + std::to_string(product.k) + " ab=" + transpositions,
          .precision = product.precision,
          .product = product,
          .make = [product](kernels::Backend& backend, const kernels::cuda::RaceOptions& options) {
            const std::shared_ptr<kernels::cuda::ProductRace> plan =
                kernels::cuda::plan_race(backend, product, options);
            Race race{.flops = 2.0 * static_cast<double>(product.m) * static_cast<double>(product.n) *
                               static_cast<double>(product.k),
                      .sets = plan->sets()};
            for (std::size_t i = 0; i < plan->contenders().size(); ++i)
              race.ways.push_back({.name = plan->contenders()[i].name,
                                   .own = plan->contenders()[i].own,
                                   .issue = [plan, i](int set) { plan->issue(i, set); },
                                   .error = [plan, i] { return plan->error(i); }});
            return race;
          }};
}

namespace {

using kernels::cuda::Precision;

/// The three products of a linear layer: Y = X Wᵀ, dX = dY W, dW = dYᵀ X.
void add_layer_products(std::vector<GpuCase>& cases, Precision precision, std::int64_t batch, std::int64_t in,
                        std::int64_t out) {
  cases.push_back(product_case({.m = batch, .n = out, .k = in, .transpose_b = true, .precision = precision}));
  cases.push_back(product_case({.m = batch, .n = in, .k = out, .precision = precision}));
  cases.push_back(product_case({.m = out, .n = in, .k = batch, .transpose_a = true, .precision = precision}));
}

void add_products(std::vector<GpuCase>& cases, Precision precision) {
  for (const std::int64_t n : {4096, 8192})
    cases.push_back(product_case({.m = n, .n = n, .k = n, .precision = precision}));
  if (precision == Precision::bf16)
    for (const std::int64_t n : {4096, 8192})
      cases.push_back(product_case({.m = n, .n = n, .k = n, .precision = precision, .bf16_result = true}));
  // The first layer of mlp-mnist, forward, for ten batches.
  for (std::int64_t batch = 64; batch <= 32768; batch *= 2)
    cases.push_back(
        product_case({.m = batch, .n = 128, .k = 784, .transpose_b = true, .precision = precision}));
  add_layer_products(cases, precision, 64, 320, 50);      // cnn-mnist
  add_layer_products(cases, precision, 100, 784, 128);    // mlp-mnist
  add_layer_products(cases, precision, 100, 128, 10);     // mlp-mnist
  add_layer_products(cases, precision, 256, 2048, 2048);  // mlp-wide
  add_layer_products(cases, precision, 4096, 2048, 2048);
  add_layer_products(cases, precision, 2048, 512, 512);  // mlp-deep
  // Weight gradients of few weights and many samples.
  for (const auto& [out, in, batch] :
       {std::array<std::int64_t, 3>{128, 784, 8192}, {128, 784, 60000}, {20, 250, 36864}, {512, 512, 65536}})
    cases.push_back(
        product_case({.m = out, .n = in, .k = batch, .transpose_a = true, .precision = precision}));
}

constexpr kernels::ConvolutionShape first_mnist{
    .batch = 64, .channels = 1, .height = 28, .width = 28, .filters = 10, .kernel = 5};
constexpr kernels::ConvolutionShape second_mnist{
    .batch = 64, .channels = 10, .height = 12, .width = 12, .filters = 20, .kernel = 5};
constexpr kernels::ConvolutionShape vgg{
    .batch = 4, .channels = 64, .height = 32, .width = 32, .filters = 64, .kernel = 3, .padding = 1};

}  // namespace

std::vector<GpuCase> gpu_cases() {
  std::vector<GpuCase> cases;
  for (const auto precision : {Precision::fp32, Precision::tf32, Precision::bf16})
    add_products(cases, precision);
  for (const auto precision : {Precision::fp32, Precision::tf32, Precision::bf16}) {
    cases.push_back(layer_case(precision, "cnn-mnist", 64, 320, 50, false));
    cases.push_back(layer_case(precision, "mlp-mnist", 100, 784, 128, true));
    cases.push_back(layer_case(precision, "mlp-wide", 256, 2048, 2048, false));
    cases.push_back(layer_case(precision, "mlp-wide", 4096, 2048, 2048, false));
  }
  const auto add = [&](std::vector<GpuCase> more) {
    cases.insert(cases.end(), std::move_iterator(more.begin()), std::move_iterator(more.end()));
  };
  add(convolution_cases("cnn-mnist", first_mnist, true));
  add(convolution_cases("cnn-mnist", second_mnist, false));
  add(convolution_cases("vgg-small", vgg, false));
  return cases;
}

}  // namespace partita::bench_kernels
