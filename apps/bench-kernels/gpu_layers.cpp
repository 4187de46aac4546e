/// A linear layer's step to race on a GPU: its products with bias, ReLU, mask and row sums fused, against the
/// library's plain products with kernels of their own for the rest.
#include <algorithm>
#include <cmath>
#include <limits>

#include "device_tensors.hpp"
#include "gpu_cases.hpp"

namespace partita::bench_kernels {
namespace {

using namespace kernels;
using kernels::cuda::Precision;

struct LayerShape {
  std::int64_t batch = 0, in = 0, out = 0;
  bool lowest = false;
  [[nodiscard]] std::int64_t bytes() const {
    return 4 * (2 * batch * in + 2 * batch * out + 2 * in * out + 2 * out);
  }
  [[nodiscard]] double flops() const {
    return (lowest ? 4.0 : 6.0) * static_cast<double>(batch) * static_cast<double>(in) *
           static_cast<double>(out);
  }
};

/// What every set of tensors begins as; x is the result of a ReLU, so that it masks dX.
struct Contents {
  Floats x, w, bias, dy;
  explicit Contents(const LayerShape& s)
      : x(normal_numbers(s.batch * s.in)),
        w(normal_numbers(s.out * s.in)),
        bias(normal_numbers(s.out)),
        dy(normal_numbers(s.batch * s.out)) {
    for (auto& value : x)
      value = std::max(value, 0.0F);
  }
};

struct Tensors {
  DeviceTensor x, w, bias, dy, y, dx, dw, db;
  Tensors(Device& device, const Contents& c)
      : x(device, c.x),
        w(device, c.w),
        bias(device, c.bias),
        dy(device, c.dy),
        y(device, c.dy),
        dx(device, c.x),
        dw(device, c.w),
        db(device, c.bias) {}
};

GemmShape forward_shape(const LayerShape& s) {
  return {.m = s.batch, .n = s.out, .k = s.in, .transpose_b = true};
}
GemmShape data_shape(const LayerShape& s) { return {.m = s.batch, .n = s.in, .k = s.out}; }
GemmShape parameters_shape(const LayerShape& s) {
  return {.m = s.out, .n = s.in, .k = s.batch, .transpose_a = true};
}

struct Plans {
  std::unique_ptr<Gemm> forward, data, parameters;
  [[nodiscard]] Bytes workspace() const {
    return std::max({forward->workspace(), data->workspace(), parameters->workspace()});
  }
};

Plans fused_plans(Backend& backend, const LayerShape& s) {
  auto forward = forward_shape(s), data = data_shape(s), parameters = parameters_shape(s);
  forward.bias = true;
  forward.epilogue = Epilogue::relu;
  data.epilogue = Epilogue::relu_mask;
  parameters.row_sums = true;
  return {backend.plan_gemm(forward), backend.plan_gemm(data), backend.plan_gemm(parameters)};
}

Plans library_plans(Backend& backend, Precision precision, const LayerShape& s) {
  const auto plan = [&](const GemmShape& shape) {
    return kernels::cuda::plan_library_product(backend, shape, precision);
  };
  return {plan(forward_shape(s)), plan(data_shape(s)), plan(parameters_shape(s))};
}

class Layer {
 public:
  Layer(Backend& backend, Precision precision, const LayerShape& shape, int sets)
      : backend_(backend),
        precision_(precision),
        shape_(shape),
        contents_(shape),
        fused_(fused_plans(backend, shape)),
        has_library_(kernels::cuda::product_library().problem.empty()),
        plain_(has_library_ ? library_plans(backend, precision, shape) : Plans{}),
        workspace_(backend.device(),
                   has_library_ ? std::max(fused_.workspace(), plain_.workspace()) : fused_.workspace()) {
    for (int i = 0; i < sets; ++i)
      sets_.emplace_back(backend.device(), contents_);
  }

  [[nodiscard]] bool has_library() const { return has_library_; }

  void fused(int set) {
    const auto& t = sets_[static_cast<std::size_t>(set)];
    fused_.forward->run({.a = t.x.view(), .b = t.w.view(), .bias = t.bias.view(), .c = t.y.view()},
                        workspace_.span());
    if (!shape_.lowest)
      fused_.data->run({.a = t.dy.view(), .b = t.w.view(), .mask = t.x.view(), .c = t.dx.view()},
                       workspace_.span());
    fused_.parameters->run({.a = t.dy.view(), .b = t.x.view(), .c = t.dw.view(), .row_sums = t.db.view()},
                           workspace_.span());
  }

  void unfused(int set) {
    const auto& t = sets_[static_cast<std::size_t>(set)];
    plain_.forward->run({.a = t.x.view(), .b = t.w.view(), .c = t.y.view()}, workspace_.span());
    kernels::cuda::add_bias(backend_, shape_.batch, shape_.out, t.bias.view(), t.y.view(), true);
    if (!shape_.lowest) {
      plain_.data->run({.a = t.dy.view(), .b = t.w.view(), .c = t.dx.view()}, workspace_.span());
      backend_.relu_backward(t.x.view(), t.dx.view(), t.dx.view());
    }
    plain_.parameters->run({.a = t.dy.view(), .b = t.x.view(), .c = t.dw.view()}, workspace_.span());
    backend_.sum_rows(shape_.batch, shape_.out, t.dy.view(), t.db.view(), Write::overwrite);
  }

  /// Of some elements of each result, computed over poison.
  double error(const std::function<void(int)>& compute) {
    const auto& t = sets_.front();
    for (const auto* result : {&t.y, &t.dx, &t.dw, &t.db})
      result->set(Floats(static_cast<std::size_t>(result->view().size().value()),
                         std::numeric_limits<float>::quiet_NaN()));
    compute(0);
    const Floats &x = contents_.x, &w = contents_.w, &bias = contents_.bias, &dy = contents_.dy;
    const std::int64_t batch = shape_.batch, in = shape_.in, out = shape_.out;
    const auto at = [](const Floats& matrix, std::int64_t columns, std::int64_t i, std::int64_t j) {
      return static_cast<double>(matrix[static_cast<std::size_t>(i * columns + j)]);
    };
    double worst = worst_of(
        t.y, batch, out, in,
        [&](std::int64_t i, std::int64_t j, std::int64_t k) { return at(x, in, i, k) * at(w, in, j, k); },
        [&](std::int64_t, std::int64_t j, double sum) { return std::max(0.0, sum + at(bias, out, 0, j)); });
    if (!shape_.lowest)
      worst = std::max(worst, worst_of(
                                  t.dx, batch, in, out,
                                  [&](std::int64_t i, std::int64_t j, std::int64_t k) {
                                    return at(dy, out, i, k) * at(w, in, k, j);
                                  },
                                  [&](std::int64_t i, std::int64_t j, double sum) {
                                    return at(x, in, i, j) > 0 ? sum : 0.0;
                                  }));
    const auto as_is = [](std::int64_t, std::int64_t, double sum) { return sum; };
    worst = std::max(worst, worst_of(
                                t.dw, out, in, batch,
                                [&](std::int64_t i, std::int64_t j, std::int64_t k) {
                                  return at(dy, out, k, i) * at(x, in, k, j);
                                },
                                as_is));
    return std::max(
        worst, worst_of(
                   t.db, 1, out, batch,
                   [&](std::int64_t, std::int64_t j, std::int64_t k) { return at(dy, out, k, j); }, as_is));
  }

 private:
  /// The largest error of up to 512 elements spread over `result` [rows, columns] = finish(Σ_k term(i, j,
  /// k)).
  template <class Term, class Finish>
  double worst_of(const DeviceTensor& result, std::int64_t rows, std::int64_t columns, std::int64_t terms,
                  const Term& term, const Finish& finish) const {
    const auto values = result.values();
    const std::int64_t size = rows * columns, looked_at = std::min<std::int64_t>(size, 512);
    // Half of x is zero, and a typical product of normal numbers is 2/π.
    const double allowed = allowed_error(precision_, static_cast<double>(terms), 0.3);
    double worst = 0;
    for (std::int64_t n = 0; n < looked_at; ++n) {
      const std::int64_t index = size * n / looked_at, i = index / columns, j = index % columns;
      double sum = 0;
      for (std::int64_t k = 0; k < terms; ++k)
        sum += term(i, j, k);
      const double difference = std::abs(values[static_cast<std::size_t>(index)] - finish(i, j, sum));
      if (!std::isfinite(difference)) return std::numeric_limits<double>::infinity();
      worst = std::max(worst, difference / allowed);
    }
    return worst;
  }

  Backend& backend_;
  Precision precision_;
  LayerShape shape_;
  Contents contents_;
  Plans fused_;
  bool has_library_;
  Plans plain_;
  DeviceBytes workspace_;
  std::vector<Tensors> sets_;
};

}  // namespace

double allowed_error(Precision precision, double terms, double typical_product) {
  const double lost = precision == Precision::fp32 ? 0 : precision == Precision::tf32 ? 0x1p-10 : 0x1p-8;
  return typical_product * (8 * static_cast<double>(std::numeric_limits<float>::epsilon()) * (terms + 1) +
                            16 * lost * std::sqrt(terms));
}

GpuCase layer_case(Precision precision, const std::string& workload, std::int64_t batch, std::int64_t in,
                   std::int64_t out, bool lowest) {
  const LayerShape shape{.batch = batch, .in = in, .out = out, .lowest = lowest};
  return {
      .name = "layer/" + std::string(to_string(precision)),
      .parameters = "workload=" + workload + " batch=" + std::to_string(batch) + " in=" + std::to_string(in) +
                    " out=" + std::to_string(out),
      .precision = precision,
      .make = [=](Backend& backend, const kernels::cuda::RaceOptions& options) {
        const int sets = static_cast<int>(
            std::max<std::int64_t>(1, (options.working_set.value() + shape.bytes() - 1) / shape.bytes()));
        auto layer = std::make_shared<Layer>(backend, precision, shape, sets);
        const std::function<void(int)> fused = [layer](int set) { layer->fused(set); },
                                       unfused = [layer](int set) { layer->unfused(set); };
        Race race{.flops = shape.flops(), .sets = sets};
        race.ways.push_back(
            {.name = "fused", .issue = fused, .error = [layer, fused] { return layer->error(fused); }});
        if (layer->has_library())
          race.ways.push_back({.name = "unfused", .own = false, .issue = unfused, .error = [layer, unfused] {
                                 return layer->error(unfused);
                               }});
        return race;
      }};
}

}  // namespace partita::bench_kernels
