/// Builds each case from a shape: the back-end's plan, the library's call on the same operands, and the error
/// against the reference in double, divided by what rounding allows (8·ε·terms·typical product).
#include "cases.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <random>

#include "partita/kernels/cpu/yardstick.hpp"
#include "partita/memory/arena.hpp"

namespace partita::bench_kernels {
namespace {

using namespace kernels;

/// A float32 buffer, aligned as in training, filled with normal numbers.
struct Operand {
  memory::HostBuffer storage;
  View view;
  explicit Operand(std::int64_t n)
      : storage(bytes_of(DataType::float32, Elements(n))),
        view(storage.view(DataType::float32, Elements(n))) {
    static std::mt19937 generator(1);
    std::normal_distribution<float> normal;
    for (auto& value : view.as<float>())
      value = normal(generator);
  }
  [[nodiscard]] std::vector<double> twice() const {
    return {view.as<float>().begin(), view.as<float>().end()};
  }
};

double mean_magnitude(std::span<const double> values) {
  double sum = 0;
  for (const double value : values)
    sum += std::abs(value);
  return sum / static_cast<double>(values.size());
}

double error_of(std::span<const float> ours, std::span<const double> reference, double terms,
                double typical_product) {
  double worst = 0;
  for (std::size_t i = 0; i < ours.size(); ++i) {
    const double difference = std::abs(ours[i] - reference[i]);
    worst = std::isfinite(difference) ? std::max(worst, difference) : std::numeric_limits<double>::infinity();
  }
  return worst / (8.0 * std::numeric_limits<float>::epsilon() * terms * typical_product);
}

View view_of(std::vector<double>& values) { return std::span(values); }

machine::KernelKey key_of(const Backend& backend, std::string kernel, std::string phase,
                          std::vector<std::int64_t> shape) {
  return {.implementation = std::string(backend.name()),
          .kernel = std::move(kernel),
          .phase = std::move(phase),
          .type = std::string(to_string(DataType::float32)),
          .shape = std::move(shape)};
}

/// C = op(A)·op(B), with everything that it needs kept alive by the functions.
Case gemm_case(Backend& backend, std::string name, std::string parameters, machine::KernelKey key,
               const GemmShape& shape) {
  struct State {
    GemmShape shape;
    std::unique_ptr<Gemm> plan;
    Operand a, b, c;
    memory::HostBuffer workspace;
  };
  auto plan = backend.plan_gemm(shape);
  const auto bytes = plan->workspace();
  auto state = std::make_shared<State>(State{shape, std::move(plan), Operand(shape.m * shape.k),
                                             Operand(shape.k * shape.n), Operand(shape.m * shape.n),
                                             memory::HostBuffer(bytes)});
  const double m = double(shape.m), n = double(shape.n), k = double(shape.k);
  return {
      .name = std::move(name),
      .parameters = std::move(parameters),
      .key = std::move(key),
      .flops = 2 * m * n * k,
      .ours =
          [state] {
            state->plan->run({.a = state->a.view, .b = state->b.view, .c = state->c.view},
                             state->workspace.bytes());
          },
      .yardstick = [state] { cpu::library_sgemm(state->shape, state->a.view, state->b.view, state->c.view); },
      .error =
          [state, k] {
            auto a = state->a.twice(), b = state->b.twice(), c = state->c.twice();
            make_reference_backend(DataType::float64)
                ->plan_gemm(state->shape)
                ->run({.a = view_of(a), .b = view_of(b), .c = view_of(c)}, {});
            return error_of(state->c.view.as<float>(), c, k, mean_magnitude(a) * mean_magnitude(b));
          }};
}

void add_linear(std::vector<Case>& cases, Backend& backend, const std::string& workload, std::int64_t batch,
                std::int64_t in, std::int64_t out, bool lowest) {
  const std::string parameters = "workload=" + workload + " batch=" + std::to_string(batch) +
                                 " in=" + std::to_string(in) + " out=" + std::to_string(out);
  const auto key = [&](std::string phase) {  // of a layer without a bias
    return key_of(backend, "linear+plain", std::move(phase), {batch, in, out});
  };
  cases.push_back(gemm_case(backend, "linear_forward", parameters, key("forward"),
                            {.m = batch, .n = out, .k = in, .transpose_b = true}));
  if (!lowest)
    cases.push_back(gemm_case(backend, "linear_backward_data", parameters, key("backward-data"),
                              {.m = batch, .n = in, .k = out}));
  cases.push_back(gemm_case(backend, "linear_backward_parameters", parameters, key("backward-parameters"),
                            {.m = out, .n = in, .k = batch, .transpose_a = true}));
}

struct ConvolutionState {
  ConvolutionShape shape;
  std::unique_ptr<Convolution> plan;
  Operand x, weight, bias, y, dx, dweight, dbias;
  memory::HostBuffer workspace;
};

void add_convolution(std::vector<Case>& cases, Backend& backend, const std::string& workload,
                     ConvolutionShape shape, bool lowest) {
  shape.layout = backend.image_layout();
  const auto& s = shape;
  const std::int64_t x = s.batch * s.channels * s.height * s.width,
                     y = s.batch * s.filters * s.out_height() * s.out_width();
  const std::int64_t w = s.filters * s.channels * s.kernel.h * s.kernel.w;
  auto plan = backend.plan_convolution(shape);
  const auto bytes = plan->workspace();
  auto state = std::make_shared<ConvolutionState>(
      ConvolutionState{shape, std::move(plan), Operand(x), Operand(w), Operand(s.filters), Operand(y),
                       Operand(x), Operand(w), Operand(s.filters), memory::HostBuffer(bytes)});
  const std::string parameters = "workload=" + workload + " batch=" + std::to_string(s.batch) +
                                 " image=" + std::to_string(s.channels) + "x" + std::to_string(s.height) +
                                 "x" + std::to_string(s.width) + " filters=" + std::to_string(s.filters) +
                                 " kernel=" + to_string(s.kernel);
  const double window = double(s.channels * s.kernel.h * s.kernel.w), flops = 2 * double(y) * window;
  const auto key = [&](std::string phase) {
    auto of_phase = key_of(backend, "conv", std::move(phase),
                           {s.batch, s.channels, s.height, s.width, s.filters, s.kernel.h, s.kernel.w,
                            s.stride.h, s.stride.w, s.padding.h, s.padding.w});
    of_phase.layout = s.layout == Layout::nchw ? "nchw" : "nhwc";
    return of_phase;
  };
  // Each direction is checked against the reference plan of the same shape, given doubles of the same
  // operands.
  const auto check = [state](View ours, double terms, auto run) {
    auto a = state->x.twice(), b = state->weight.twice(), c = state->bias.twice(), d = state->y.twice();
    std::vector<double> result(static_cast<std::size_t>(ours.size().value())), db(c.size());
    const auto reference = make_reference_backend(DataType::float64)->plan_convolution(state->shape);
    memory::HostBuffer workspace(reference->workspace());
    const double product = run(*reference, a, b, c, d, result, db, workspace.bytes());
    return error_of(ours.as<float>(), result, terms, product);
  };
  using Doubles = std::vector<double>;
  if (!lowest)
    cases.push_back({.name = "conv_backward_data",
                     .parameters = parameters,
                     .key = key("backward-data"),
                     .flops = flops,
                     .ours =
                         [state] {
                           state->plan->backward_data(state->y.view, state->weight.view, state->dx.view,
                                                      state->workspace.bytes());
                         },
                     .yardstick = {},
                     .error =
                         [=] {
                           return check(state->dx.view,
                                        window * double(state->shape.filters) / double(state->shape.channels),
                                        [](Convolution& r, Doubles&, Doubles& w2, Doubles&, Doubles& dy,
                                           Doubles& out, Doubles&, Workspace space) {
                                          r.backward_data(view_of(dy), view_of(w2), view_of(out), space);
                                          return mean_magnitude(dy) * mean_magnitude(w2);
                                        });
                         }});
  cases.push_back({.name = "conv_backward_parameters",
                   .parameters = parameters,
                   .key = key("backward-parameters"),
                   .flops = flops,
                   .ours =
                       [state] {
                         state->plan->backward_parameters(state->x.view, state->y.view, state->dweight.view,
                                                          state->dbias.view, Write::overwrite,
                                                          state->workspace.bytes());
                       },
                   .yardstick = {},
                   .error =
                       [=] {
                         return check(state->dweight.view, double(y) / double(state->shape.filters),
                                      [](Convolution& r, Doubles& in, Doubles&, Doubles&, Doubles& dy,
                                         Doubles& out, Doubles& db, Workspace space) {
                                        r.backward_parameters(view_of(in), view_of(dy), view_of(out),
                                                              view_of(db), Write::overwrite, space);
                                        return mean_magnitude(in) * mean_magnitude(dy);
                                      });
                       }});
  // Last, since it overwrites the output that stands for the gradient above.
  cases.push_back({.name = "conv_forward",
                   .parameters = parameters,
                   .key = key("forward"),
                   .flops = flops,
                   .ours =
                       [state] {
                         state->plan->forward(state->x.view, state->weight.view, state->bias.view,
                                              state->y.view, state->workspace.bytes());
                       },
                   .yardstick = {},
                   .error =
                       [=] {
                         return check(state->y.view, window + 1,
                                      [](Convolution& r, Doubles& in, Doubles& w2, Doubles& b, Doubles&,
                                         Doubles& out, Doubles&, Workspace space) {
                                        r.forward(view_of(in), view_of(w2), view_of(b), view_of(out), space);
                                        return mean_magnitude(in) * mean_magnitude(w2);
                                      });
                       }});
}

}  // namespace

std::vector<Case> all_cases(Backend& backend) {
  std::vector<Case> cases;
  add_convolution(cases, backend, "cnn-mnist",
                  {.batch = 64, .channels = 1, .height = 28, .width = 28, .filters = 10, .kernel = 5}, true);
  add_convolution(cases, backend, "cnn-mnist",
                  {.batch = 64, .channels = 10, .height = 12, .width = 12, .filters = 20, .kernel = 5},
                  false);
  add_convolution(
      cases, backend, "vgg-small",
      {.batch = 4, .channels = 64, .height = 32, .width = 32, .filters = 64, .kernel = 3, .padding = 1},
      false);
  add_linear(cases, backend, "cnn-mnist", 64, 320, 50, false);
  add_linear(cases, backend, "mlp-mnist", 100, 784, 128, true);
  add_linear(cases, backend, "mlp-mnist", 100, 128, 10, false);
  add_linear(cases, backend, "mlp-wide", 256, 2048, 2048, false);
  return cases;
}

}  // namespace partita::bench_kernels
