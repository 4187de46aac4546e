/// Convolution and pooling on a GPU against the double reference over ragged shapes; outputs and workspace
/// poisoned.
#include "images.hpp"

#include <array>

#include "device_values.hpp"

namespace partita::tests {
namespace {

using namespace kernels;

std::string text(const ConvolutionShape& s, int multiprocessors) {
  std::string result = "convolution";
  for (const auto n :
       {s.batch, s.channels, s.height, s.width, s.filters, s.kernel.h, s.kernel.w, s.stride.h, s.stride.w,
        s.padding.h, s.padding.w, std::int64_t{s.bias}, std::int64_t(multiprocessors)})
    result += " " + std::to_string(n);
  return result;
}

/// Fewer multiprocessors than there are ask for larger tiles and fewer splits.
void check(const ConvolutionShape& s, int multiprocessors, bool misplaced = false) {
  const auto what = text(s, multiprocessors);
  const auto inputs = s.batch * s.channels * s.height * s.width, taps = s.channels * s.kernel.h * s.kernel.w;
  const auto pixels = s.batch * s.out_height() * s.out_width();
  const auto x = random_values(inputs), w = random_values(s.filters * taps), b = random_values(s.filters),
             dy = random_values(s.filters * pixels);
  const auto X = doubles(x), W = doubles(w), B = doubles(b), DY = doubles(dy);
  std::vector<double> Y(dy.size()), DX(x.size()), DW(w.size()), DB(b.size());
  DeviceArray<float> device_x(x, misplaced), device_w(w), device_b(b), device_dy(dy, misplaced);
  DeviceArray<float> y(poison(s.filters * pixels), misplaced), dx(poison(inputs), misplaced),
      dw(poison(s.filters * taps)), db(poison(s.filters));
  const auto plan = cuda::plan_convolution(s, {.architecture = 80, .multiprocessors = multiprocessors}, {});
  const auto expected = make_reference_backend(DataType::float64)->plan_convolution(s);
  DeviceScratch scratch(*plan);

  const ConstView bias = s.bias ? ConstView(device_b.span()) : ConstView();
  const View gradient = s.bias ? View(db.span()) : View();
  plan->forward(device_x.span(), device_w.span(), bias, y.span(), scratch);
  expected->forward(std::span(X), std::span(W), std::span(B), std::span(Y), {});
  expect_close(y.values(what), Y, taps + 1, what + " forward");
  plan->backward_data(device_dy.span(), device_w.span(), dx.span(), scratch);
  expected->backward_data(std::span(DY), std::span(W), std::span(DX), {});
  expect_close(dx.values(what), DX, s.filters * s.kernel.h * s.kernel.w, what + " data gradient");
  for (const Write write : {Write::overwrite, Write::accumulate}) {
    plan->backward_parameters(device_x.span(), device_dy.span(), dw.span(), gradient, write, scratch);
    expected->backward_parameters(std::span(X), std::span(DY), std::span(DW), std::span(DB), write, {});
    expect_close(dw.values(what), DW, 2 * pixels, what + " weight gradient");
    if (s.bias) expect_close(db.values(what), DB, 2 * pixels, what + " bias gradient");
  }
  scratch.expect_guarded(what);
}

TEST(GpuConvolution, EveryChannelAndFilterCount) {
  for (const std::int64_t channels : {0, 1, 3, 4, 7, 10, 17})
    for (const std::int64_t filters : {0, 1, 10, 20, 33})
      for (const std::int64_t batch : {0, 1, 5})
        check({.batch = batch,
               .channels = channels,
               .height = 6,
               .width = 5,
               .filters = filters,
               .kernel = 3,
               .padding = 1,
               .epilogue = filters % 2 == 0 ? Epilogue::relu : Epilogue::none},
              batch == 1 ? 1 : 132, channels % 2 == 1);
}

TEST(GpuConvolution, EveryStridePaddingAndKernel) {
  for (const std::int64_t stride : {1, 2, 3})
    for (const std::int64_t padding : {0, 1, 2})
      for (const auto& [kernel_h, kernel_w] :
           std::vector<std::array<std::int64_t, 2>>{{1, 1}, {2, 3}, {3, 2}, {3, 3}, {4, 1}, {1, 5}, {5, 5}})
        for (const auto& [channels, height, width] :
             std::vector<std::array<std::int64_t, 3>>{{2, 11, 10}, {5, 7, 8}, {3, 4, 5}})
          check({.batch = 2,
                 .channels = channels,
                 .height = height,
                 .width = width,
                 .filters = 6,
                 .kernel = {kernel_h, kernel_w},
                 .stride = stride,
                 .padding = padding},
                132);
}

TEST(GpuConvolution, StridesAndPaddingsOfTheirOwnForHeightAndWidth) {
  for (const Extent2 stride : {Extent2(1, 2), Extent2(2, 1), Extent2(3, 2)})
    for (const Extent2 padding : {Extent2(0, 2), Extent2(1, 0), Extent2(2, 1)})
      for (const Extent2 kernel : {Extent2(1, 3), Extent2(3, 1), Extent2(4, 2)})
        for (const std::int64_t channels : {2, 6})
          check({.batch = 2,
                 .channels = channels,
                 .height = 8,
                 .width = 11,
                 .filters = 6,
                 .kernel = kernel,
                 .stride = stride,
                 .padding = padding,
                 .bias = stride.h != 2},
                stride.h == 1 ? 1 : 132);
}

TEST(GpuConvolution, ImagesWithoutOutputs) {
  for (const auto& [height, width] : std::vector<std::array<std::int64_t, 2>>{{0, 4}, {4, 0}, {2, 9}, {9, 2}})
    for (const std::int64_t stride : {1, 2})
      for (const std::int64_t channels : {1, 6})
        check({.batch = 2,
               .channels = channels,
               .height = height,
               .width = width,
               .filters = 3,
               .kernel = 3,
               .stride = stride},
              132);
}

TEST(GpuConvolution, LargeTiles) {
  for (const auto& [channels, filters] :
       std::vector<std::array<std::int64_t, 2>>{{70, 40}, {40, 70}, {3, 66}, {33, 130}})
    for (const std::int64_t stride : {1, 2})
      check({.batch = 3,
             .channels = channels,
             .height = 7,
             .width = 9,
             .filters = filters,
             .kernel = 3,
             .stride = stride,
             .padding = 1,
             .epilogue = Epilogue::relu},
            1);
}

TEST(GpuConvolution, ReferenceWorkloads) {
  const ConvolutionShape first{
      .batch = 20, .channels = 1, .height = 28, .width = 28, .filters = 10, .kernel = 5};
  const ConvolutionShape second{
      .batch = 4, .channels = 10, .height = 12, .width = 12, .filters = 20, .kernel = 5};
  const ConvolutionShape lenet{
      .batch = 2, .channels = 1, .height = 28, .width = 28, .filters = 6, .kernel = 5, .padding = 2};
  const ConvolutionShape vgg{.batch = 1,
                             .channels = 3,
                             .height = 32,
                             .width = 32,
                             .filters = 64,
                             .kernel = 3,
                             .padding = 1,
                             .epilogue = Epilogue::relu};
  for (const auto& s : {first, second, lenet, vgg})
    for (const int multiprocessors : {1, 132})
      check(s, multiprocessors);
}

TEST(GpuConvolution, PassesNaNThroughItsEpilogue) {
  for (const std::int64_t channels : {1, 6}) {
    const ConvolutionShape s{.batch = 1,
                             .channels = channels,
                             .height = 9,
                             .width = 9,
                             .filters = 2,
                             .kernel = 2,
                             .epilogue = Epilogue::relu};
    const auto plan = cuda::plan_convolution(s, {.architecture = 80, .multiprocessors = 1}, {});
    auto values = random_values(channels * 81);
    values[40] = std::numeric_limits<float>::quiet_NaN();
    DeviceArray<float> x(values), w(random_values(8 * channels)), b(random_values(2)), y(poison(128));
    plan->forward(x.span(), w.span(), b.span(), y.span(), {});
    const auto results = y.values("convolution");
    for (std::size_t i = 0; i < results.size(); ++i) {
      const auto row = i % 64 / 8, column = i % 8;
      EXPECT_EQ(std::isnan(results[i]), row >= 3 && row <= 4 && column >= 3 && column <= 4) << i;
    }
  }
}

TEST(GpuConvolution, IsRepeatableBitForBit) {
  const ConvolutionShape s{.batch = 4, .channels = 1, .height = 28, .width = 28, .filters = 10, .kernel = 5};
  const auto plan = cuda::plan_convolution(s, {.architecture = 80, .multiprocessors = 132}, {});
  ASSERT_GT(plan->workspace().value(), 0) << "sums are split";
  DeviceArray<float> x(random_values(4 * 784)), dy(random_values(4 * 5760));
  std::vector<std::vector<float>> results;
  for (int time = 0; time < 2; ++time) {
    DeviceScratch scratch(*plan);
    DeviceArray<float> dw(poison(250)), db(poison(10));
    plan->backward_parameters(x.span(), dy.span(), dw.span(), db.span(), Write::overwrite, scratch);
    results.push_back(dw.values("dw"));
    const auto sums = db.values("db");
    results.back().insert(results.back().end(), sums.begin(), sums.end());
  }
  EXPECT_EQ(0, std::memcmp(results[0].data(), results[1].data(), results[0].size() * sizeof(float)));
}

TEST(GpuConvolution, RefusesWhatItDoesNotCompute) {
  const cuda::gemm::Chip chip{.architecture = 80, .multiprocessors = 1};
  EXPECT_THROW((void)cuda::plan_convolution({.layout = Layout::nhwc}, chip, {}), std::invalid_argument);
  EXPECT_THROW((void)cuda::plan_convolution({.epilogue = Epilogue::relu_mask}, chip, {}),
               std::invalid_argument);
  EXPECT_THROW(
      (void)cuda::plan_convolution(
          {.batch = 1 << 20, .channels = 1, .height = 1 << 6, .width = 1 << 6, .filters = 1}, chip, {}),
      std::length_error);
  const auto plan = cuda::plan_convolution(
      {.batch = 4, .channels = 1, .height = 28, .width = 28, .filters = 10, .kernel = 5},
      {.architecture = 80, .multiprocessors = 132}, {});
  EXPECT_THROW(plan->backward_parameters({}, {}, {}, {}, Write::overwrite, {}), std::logic_error);
  std::vector<double> twice(1);
  EXPECT_THROW(plan->forward(std::span(twice), {}, {}, {}, {}), std::logic_error);
}

void check(const PoolingShape& s, bool with_ties = false) {
  const auto inputs = s.batch * s.channels * s.height * s.width;
  const auto outputs = s.batch * s.channels * s.out_height() * s.out_width();
  std::string what = s.kind == PoolingKind::maximum ? "maximum" : "average";
  for (const auto n :
       {s.batch, s.channels, s.height, s.width, s.kernel.h, s.kernel.w, s.stride.h, s.stride.w})
    what += " " + std::to_string(n);
  auto x = random_values(inputs);
  if (with_ties)
    for (auto& value : x)
      value = std::round(value);
  const auto dy = random_values(outputs);
  const auto X = doubles(x), DY = doubles(dy);
  std::vector<double> Y(dy.size()), DX(x.size());
  std::vector<std::uint8_t> expected_winners(dy.size(), 77);
  DeviceArray<float> device_x(x), device_dy(dy), y(poison(outputs)), dx(poison(inputs));
  DeviceArray<std::uint8_t> winners(expected_winners);
  const auto plan = cuda::plan_pooling(s, {});
  const auto expected = make_reference_backend(DataType::float64)->plan_pooling(s);
  plan->forward(device_x.span(), y.span(), winners.span(), {});
  expected->forward(std::span(X), std::span(Y), std::span(expected_winners), {});
  expect_close(y.values(what), Y, s.kernel.area(), what);
  EXPECT_EQ(winners.values(what), expected_winners) << what;
  plan->backward(device_dy.span(), winners.span(), dx.span(), {});
  expected->backward(std::span(DY), std::span(expected_winners), std::span(DX), {});
  expect_close(dx.values(what), DX, s.kernel.area(), what + " backward");
}

TEST(GpuPooling, EveryShapeAndKind) {
  for (const auto kind : {PoolingKind::maximum, PoolingKind::average})
    for (const Epilogue epilogue : {Epilogue::none, Epilogue::relu})
      for (const std::int64_t channels : {0, 1, 7})
        for (const auto& [batch, height, width, kernel, stride] :
             std::vector<std::array<std::int64_t, 5>>{{0, 4, 4, 2, 2},
                                                      {1, 2, 2, 2, 2},
                                                      {2, 9, 7, 2, 2},
                                                      {3, 12, 12, 2, 2},
                                                      {2, 7, 8, 3, 2},
                                                      {2, 8, 7, 3, 3},
                                                      {1, 5, 5, 1, 1},
                                                      {1, 9, 9, 2, 3},
                                                      {2, 6, 9, 3, 1},
                                                      {1, 17, 18, 16, 1},
                                                      {2, 3, 3, 4, 1},
                                                      {1, 0, 5, 2, 2}})
          check(PoolingShape{.kind = kind,
                             .batch = batch,
                             .channels = channels,
                             .height = height,
                             .width = width,
                             .kernel = kernel,
                             .stride = stride,
                             .epilogue = epilogue},
                epilogue == Epilogue::none);
}

/// An average of a whole image, as networks end with, and windows that overlap in many elements.
TEST(GpuPooling, AveragesOfLargeWindows) {
  for (const auto& [height, width, kernel, stride] :
       std::vector<std::array<std::int64_t, 4>>{{28, 28, 28, 28}, {35, 32, 28, 3}, {64, 65, 64, 1}})
    check(PoolingShape{.kind = PoolingKind::average,
                       .batch = 2,
                       .channels = 3,
                       .height = height,
                       .width = width,
                       .kernel = kernel,
                       .stride = stride});
}

TEST(GpuPooling, WindowsThatAreNotSquare) {
  for (const auto kind : {PoolingKind::maximum, PoolingKind::average})
    for (const Extent2 kernel : {Extent2(2, 3), Extent2(3, 1), Extent2(1, 4), Extent2(7, 9)})
      for (const Extent2 stride : {Extent2(2, 3), Extent2(1, 2), Extent2(3, 1)})
        check(PoolingShape{.kind = kind,
                           .batch = 2,
                           .channels = 3,
                           .height = 7,
                           .width = 9,
                           .kernel = kernel,
                           .stride = stride});
}

TEST(GpuPooling, EqualMaximaGiveTheirGradientToTheFirstAndNaNWins) {
  const auto plan = cuda::plan_pooling(
      {.batch = 1, .channels = 2, .height = 2, .width = 2, .epilogue = Epilogue::relu}, {});
  const float nan = std::numeric_limits<float>::quiet_NaN();
  DeviceArray<float> x({1, 3, 3, 3, 1, nan, 3, 2}), y(poison(2)), dy({5, 6}), dx(poison(8));
  DeviceArray<std::uint8_t> winners({9, 9});
  plan->forward(x.span(), y.span(), winners.span(), {});
  EXPECT_EQ(y.values("maximum")[0], 3);
  EXPECT_TRUE(std::isnan(y.values("maximum")[1]));
  EXPECT_EQ(winners.values("maximum"), (std::vector<std::uint8_t>{1, 1}));
  plan->backward(dy.span(), winners.span(), dx.span(), {});
  EXPECT_EQ(dx.values("maximum backward"), (std::vector<float>{0, 5, 0, 0, 0, 6, 0, 0}));
}

}  // namespace
}  // namespace partita::tests

int main(int count, char** arguments) {
  testing::InitGoogleTest(&count, arguments);
  int devices = 0;
  if (const auto error = cudaGetDeviceCount(&devices); error != cudaSuccess || devices == 0) {
    std::printf("SKIP: no CUDA device: %s\n", cudaGetErrorString(error));
    return 77;
  }
  return RUN_ALL_TESTS();
}
