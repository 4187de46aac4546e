/// Every layer's gradients by finite differences in double, through the operators that training uses.
#include "partita/nn/operator.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <functional>
#include <random>

#include "../models.hpp"

namespace partita::nn {
namespace {

using Doubles = std::vector<double>;

/// A layer alone, bound to a batch, on random data; f = Σ dy·y.
struct Bench {
  static constexpr std::int64_t batch = 3;
  std::unique_ptr<kernels::Backend> backend = kernels::make_reference_backend(kernels::DataType::float64);
  model::Layer layer;
  std::unique_ptr<Operator> plan;
  Doubles x, y, dy, dx;
  std::vector<model::Parameter> described;
  std::array<Doubles, model::most_parameters> parameters, dparameters;
  std::vector<std::uint8_t> winners;
  Doubles statistics, gradient_sums;
  kernels::StepValues values{.dropout_seed = 5, .step = 7};
  StepPosition position{
      .values = &values, .first_sample = kernels::Samples(11), .samples_of_all = kernels::Samples(batch)};

  Bench(const std::string& input, const std::string& line) {
    // A trailer makes any layer a whole model.
    const bool flat = input.find('x') == std::string::npos;
    std::vector<std::string> lines{line};
    if (!flat && line != "flatten") lines.emplace_back("flatten");
    lines.emplace_back("linear 2");
    layer = tests::model_of(input, lines).layers.front();
    plan = plan_operator(layer, {}, batch, *backend);
    const auto size = [](std::int64_t n) { return static_cast<std::size_t>(n); };
    for (auto* values : {&x, &dx})
      values->resize(size(batch * layer.input.elements().value()));
    for (auto* values : {&y, &dy})
      values->resize(size(batch * layer.output.elements().value()));
    described = layer.parameters();
    for (auto* tensors : {&parameters, &dparameters})
      for (std::size_t t = 0; t < described.size(); ++t)
        (*tensors)[t].resize(size(described[t].shape.elements().value()));
    winners.resize(y.size());
    for (auto* sums : {&statistics, &gradient_sums})
      sums->resize(size(layer.statistics().value()));
    std::mt19937 generator(3);
    std::normal_distribution<double> normal;
    for (auto* values : {&x, &parameters[0], &parameters[1], &dy, &parameters[2], &parameters[3]})
      for (auto& value : *values)
        value = normal(generator);
    for (std::size_t t = 0; t < described.size(); ++t)
      if (described[t].name == "running_var")
        for (auto& value : parameters[t])
          value = value * value + 0.1;
  }

  Tensors tensors() {
    const auto view = [](Doubles& values) { return View(std::span(values)); };
    return {
        .x = view(x),
        .parameters = {view(parameters[0]), view(parameters[1]), view(parameters[2]), view(parameters[3])},
        .y = view(y),
        .saved = {View(std::span(winners))},
        .dy = view(dy),
        .dx = view(dx),
        .dparameters = {view(dparameters[0]), view(dparameters[1])},
        .statistics = view(statistics),
        .gradient_sums = view(gradient_sums)};
  }
  double f() {
    if (!statistics.empty()) plan->forward_statistics(tensors(), {});
    plan->forward(tensors(), position, {});
    double sum = 0;
    for (std::size_t i = 0; i < y.size(); ++i)
      sum += y[i] * dy[i];
    return sum;
  }
  void expect_gradient(Doubles& values, const Doubles& gradient, const std::string& what) {
    for (std::size_t i = 0; i < values.size(); ++i) {
      const double at = values[i], h = 1e-6;
      values[i] = at + h;
      const double above = f();
      values[i] = at - h;
      const double below = f();
      values[i] = at;
      ASSERT_NEAR((above - below) / (2 * h), gradient[i], 2e-7 * (1 + std::abs(gradient[i])))
          << what << " at " << i;
    }
  }
};

TEST(Operators, GradientsAreFiniteDifferences) {
  const std::pair<const char*, const char*> layers[] = {
      {"7", "linear 5"},
      {"1", "linear 1"},
      {"2x6x5", "conv 3 kernel=3"},
      {"2x7x5", "conv 3 kernel=3 stride=2 padding=1"},
      {"1x4x4", "conv 2 kernel=1 stride=3"},
      {"3x5x6", "conv 2 kernel=4 padding=3"},
      {"2x5x7", "conv 3 kernel=2x3 stride=1x2 padding=1x0"},
      {"2x4x5", "conv 2 kernel=3x5 padding=same bias=false"},
      {"7", "linear 5 bias=false"},
      {"2x6x7", "maxpool 3x2 stride=1x3"},
      {"2x5x4", "avgpool 2x3 stride=2x1"},
      {"3x4x5", "avgpool global"},
      {"2x6x5", "maxpool 2"},
      {"2x7x7", "maxpool 3 stride=2"},
      {"2x6x5", "avgpool 2"},
      {"1x7x7", "avgpool 3 stride=1"},
      {"2x3x3", "relu"},
      {"9", "relu"},
      {"2x3x3", "tanh"},
      {"2x3x3", "flatten"},
      {"2x3x3", "dropout 0.5"},
      {"9", "dropout 0.25"},
      {"2x3x3", "batchnorm"},
      {"2x3x3", "batchnorm affine=false eps=0.5"},
      {"4", "batchnorm eps=0.1"},
      {"2x3x3", "batchnorm frozen"}};
  for (const auto& [input, line] : layers) {
    Bench bench(input, line);
    const std::string what = std::string(line) + " on " + input;
    bench.f();
    if (!bench.statistics.empty()) bench.plan->backward_statistics(bench.tensors(), bench.position, {});
    bench.plan->backward_data(bench.tensors(), bench.position, {});
    bench.expect_gradient(bench.x, Doubles(bench.dx), what + ": input");
    if (!bench.layer.is_trained()) continue;
    bench.plan->backward_parameters(bench.tensors(), kernels::Write::overwrite, {});
    for (std::size_t t = 0; t < bench.described.size(); ++t)
      if (bench.layer.trains(bench.described[t]))
        bench.expect_gradient(bench.parameters[t], Doubles(bench.dparameters[t]),
                              what + ": " + std::string(bench.described[t].name));
  }
}

TEST(Operators, AFusedReluIsTheMaximumWithZero) {
  for (const auto& [input, line] :
       {std::pair("7", "linear 5"), std::pair("2x6x5", "conv 3 kernel=3"), std::pair("2x6x5", "maxpool 2")}) {
    Bench bench(input, line);
    bench.f();
    auto expected = bench.y;
    for (auto& value : expected)
      value = std::max(0.0, value);
    plan_operator(bench.layer, {.fused_relu = true}, Bench::batch, *bench.backend)
        ->forward(bench.tensors(), bench.position, {});
    EXPECT_EQ(bench.y, expected) << line;
  }
}

/// As PyTorch has them: of all micro-batches of a step, each moves the running ones once.
TEST(Operators, RunningStatisticsMoveToThoseOfTheBatch) {
  Bench bench("2x3x3", "batchnorm momentum=0.25");
  const auto before = bench.parameters;
  bench.f();
  EXPECT_EQ(bench.parameters, before) << "a forward pass alone changes nothing";
  bench.plan->update_running(bench.tensors(), bench.position);
  constexpr double n = Bench::batch * 9;
  for (std::size_t c = 0; c < 2; ++c) {
    double mean = 0, squares = 0;
    for (std::size_t i = 0; i < bench.x.size(); ++i)
      if (i / 9 % 2 == c) mean += bench.x[i] / n;
    for (std::size_t i = 0; i < bench.x.size(); ++i)
      if (i / 9 % 2 == c) squares += (bench.x[i] - mean) * (bench.x[i] - mean);
    EXPECT_NEAR(bench.parameters[2][c], 0.75 * before[2][c] + 0.25 * mean, 1e-14);
    EXPECT_NEAR(bench.parameters[3][c], 0.75 * before[3][c] + 0.25 * squares / (n - 1), 1e-14);
  }
}

TEST(Operators, DropoutDependsOnTheGlobalSampleNotOnTheShare) {
  Bench whole("8", "dropout 0.5");
  whole.f();
  const auto share = plan_operator(whole.layer, {}, 1, *whole.backend);
  for (std::size_t sample = 0; sample < 3; ++sample) {
    Doubles x(whole.x.begin() + static_cast<std::ptrdiff_t>(8 * sample),
              whole.x.begin() + static_cast<std::ptrdiff_t>(8 * sample + 8)),
        y(8);
    auto position = whole.position;
    position.first_sample = kernels::Samples(11 + static_cast<std::int64_t>(sample));
    share->forward({.x = View(std::span(x)), .y = View(std::span(y))}, position, {});
    EXPECT_TRUE(std::equal(y.begin(), y.end(), whole.y.begin() + static_cast<std::ptrdiff_t>(8 * sample)));
  }
  EXPECT_NE(whole.y, whole.x);
}

}  // namespace
}  // namespace partita::nn
