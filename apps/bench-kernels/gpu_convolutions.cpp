/// Convolutions to race on a GPU, each direction on its own, on so many sets of tensors that they exceed the
/// cache; checked against the reference in double.
#include <algorithm>
#include <cmath>
#include <limits>

#include "device_tensors.hpp"
#include "gpu_cases.hpp"

namespace partita::bench_kernels {
namespace {

using namespace kernels;
using Doubles = std::vector<double>;

enum class Direction { forward, data, parameters };

View view_of(Doubles& values) { return std::span(values); }

struct Sizes {
  std::int64_t x, y, w, filters;
  explicit Sizes(const ConvolutionShape& s)
      : x(s.batch * s.channels * s.height * s.width),
        y(s.batch * s.filters * s.out_height() * s.out_width()),
        w(s.filters * s.channels * s.kernel.h * s.kernel.w),
        filters(s.filters) {}
  [[nodiscard]] std::int64_t bytes() const { return 4 * (2 * x + 2 * y + 2 * w + 2 * filters); }
};

struct Contents {
  Floats x, w, bias, dy;
  explicit Contents(const Sizes& n)
      : x(normal_numbers(n.x)),
        w(normal_numbers(n.w)),
        bias(normal_numbers(n.filters)),
        dy(normal_numbers(n.y)) {}
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

double mean_magnitude(const Floats& values) {
  double sum = 0;
  for (const float value : values)
    sum += std::abs(value);
  return sum / static_cast<double>(std::max<std::size_t>(values.size(), 1));
}

/// One direction of one convolution on sets of tensors.
class RacedConvolution {
 public:
  RacedConvolution(Backend& backend, const ConvolutionShape& shape, Direction direction, int sets)
      : shape_(shape),
        direction_(direction),
        contents_(Sizes(shape)),
        plan_(backend.plan_convolution(shape)),
        workspace_(backend.device(), plan_->workspace()) {
    for (int i = 0; i < sets; ++i)
      sets_.emplace_back(backend.device(), contents_);
  }

  void issue(int set) {
    const auto& t = sets_[static_cast<std::size_t>(set)];
    if (direction_ == Direction::forward)
      plan_->forward(t.x.view(), t.w.view(), t.bias.view(), t.y.view(), workspace_.span());
    else if (direction_ == Direction::data)
      plan_->backward_data(t.dy.view(), t.w.view(), t.dx.view(), workspace_.span());
    else
      plan_->backward_parameters(t.x.view(), t.dy.view(), t.dw.view(), t.db.view(), Write::overwrite,
                                 workspace_.span());
  }

  /// Of all elements, computed over poison, against the reference plan of the same shape in double.
  double error() {
    const auto& result = this->result();
    result.set(Floats(static_cast<std::size_t>(result.view().size().value()),
                      std::numeric_limits<float>::quiet_NaN()));
    issue(0);
    const Floats ours = result.values();
    const Doubles right = expected();
    double worst = 0;
    for (std::size_t i = 0; i < ours.size(); ++i) {
      const double difference = std::abs(ours[i] - right[i]);
      if (!std::isfinite(difference)) return std::numeric_limits<double>::infinity();
      worst = std::max(worst, difference);
    }
    const auto& a = direction_ == Direction::data ? contents_.dy : contents_.x;
    const auto& b = direction_ == Direction::parameters ? contents_.dy : contents_.w;
    return worst /
           allowed_error(kernels::cuda::Precision::fp32, terms(), mean_magnitude(a) * mean_magnitude(b));
  }

 private:
  [[nodiscard]] const DeviceTensor& result() const {
    const auto& t = sets_.front();
    return direction_ == Direction::forward ? t.y : direction_ == Direction::data ? t.dx : t.dw;
  }
  /// The number of products in a sum of this direction.
  [[nodiscard]] double terms() const {
    const auto& s = shape_;
    const std::int64_t window = s.kernel.h * s.kernel.w;
    return static_cast<double>(direction_ == Direction::forward ? window * s.channels
                               : direction_ == Direction::data  ? window * s.filters
                                                                : s.batch * s.out_height() * s.out_width());
  }
  [[nodiscard]] Doubles expected() const {
    const auto twice = [](const Floats& values) { return Doubles(values.begin(), values.end()); };
    auto x = twice(contents_.x), w = twice(contents_.w), bias = twice(contents_.bias),
         dy = twice(contents_.dy);
    const auto backend = make_reference_backend(DataType::float64);
    const auto plan = backend->plan_convolution(shape_);
    std::vector<std::byte> workspace(static_cast<std::size_t>(plan->workspace().value()));
    Doubles values(static_cast<std::size_t>(result().view().size().value())), db(bias.size());
    if (direction_ == Direction::forward)
      plan->forward(view_of(x), view_of(w), view_of(bias), view_of(values), workspace);
    else if (direction_ == Direction::data)
      plan->backward_data(view_of(dy), view_of(w), view_of(values), workspace);
    else
      plan->backward_parameters(view_of(x), view_of(dy), view_of(values), view_of(db), Write::overwrite,
                                workspace);
    return values;
  }

  ConvolutionShape shape_;
  Direction direction_;
  Contents contents_;
  std::unique_ptr<Convolution> plan_;
  DeviceBytes workspace_;
  std::vector<Tensors> sets_;
};

GpuCase convolution_case(const std::string& name, const std::string& parameters,
                         const ConvolutionShape& shape, Direction direction) {
  return {.name = name,
          .parameters = parameters,
          .make = [=](Backend& backend, const kernels::cuda::RaceOptions& options) {
            auto laid_out = shape;
            laid_out.layout = backend.image_layout();
            const Sizes sizes(shape);
            const int sets = static_cast<int>(
                std::max<std::int64_t>(1, (options.working_set.value() + sizes.bytes() - 1) / sizes.bytes()));
            auto raced = std::make_shared<RacedConvolution>(backend, laid_out, direction, sets);
            Race race{.flops = 2.0 * static_cast<double>(sizes.y) *
                               static_cast<double>(shape.channels * shape.kernel.h * shape.kernel.w),
                      .sets = sets};
            race.ways.push_back({.name = "cuda",
                                 .issue = [raced](int set) { raced->issue(set); },
                                 .error = [raced] { return raced->error(); }});
            return race;
          }};
}

}  // namespace

std::vector<GpuCase> convolution_cases(const std::string& workload, const ConvolutionShape& s, bool lowest) {
  const std::string parameters = "workload=" + workload + " batch=" + std::to_string(s.batch) +
                                 " image=" + std::to_string(s.channels) + "x" + std::to_string(s.height) +
                                 "x" + std::to_string(s.width) + " filters=" + std::to_string(s.filters) +
                                 " kernel=" + to_string(s.kernel);
  std::vector<GpuCase> cases{
      convolution_case("conv_forward/fp32", parameters, s, Direction::forward),
      convolution_case("conv_backward_parameters/fp32", parameters, s, Direction::parameters)};
  if (!lowest) cases.push_back(convolution_case("conv_backward_data/fp32", parameters, s, Direction::data));
  return cases;
}

}  // namespace partita::bench_kernels
