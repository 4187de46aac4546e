/// Batch normalisation on a GPU where its blocks are cut: against the double reference over shapes whose
/// tiles and chunks are ragged, outputs and workspace poisoned, memory on no boundary of vectors, and
/// recorded.
#include <array>

#include "device_values.hpp"
#include "images.hpp"

namespace partita::tests {
namespace {

using namespace kernels;

/// A batch of one shape and what both sides make of it.
struct Batch {
  BatchNormShape s;
  bool affine = true;
  float offset = 0;

  std::int64_t values = s.batch * s.height * s.width, elements = s.channels * values;
  std::vector<float> x = random_values(elements), dy = random_values(elements);
  std::vector<float> weight = random_values(affine ? s.channels : 0), bias = weight;
  std::vector<float> mean = random_values(s.channels), variance = random_values(s.channels);
  std::string what = "batch norm";

  void prepare() {
    for (auto& value : x)
      value += offset;
    for (auto& value : variance)
      value = 0.5F + std::abs(value);
    for (const auto n : {s.batch, s.channels, s.height, s.width})
      what += " " + std::to_string(n);
  }
};
Batch batch_of(const BatchNormShape& s, bool affine = true, float offset = 0) {
  Batch batch{.s = s, .affine = affine, .offset = offset};
  batch.prepare();
  return batch;
}

/// What all passes leave, in T.
template <class T>
struct Results {
  std::vector<double> statistics, gradients;
  std::vector<T> y, dx, y_by_running, dx_by_running, dweight, dbias, mean, variance;
};

Results<double> expected(const Batch& b) {
  const auto plan = make_reference_backend(DataType::float64)->plan_batch_norm(b.s);
  auto X = doubles(b.x), DY = doubles(b.dy), W = doubles(b.weight), B = doubles(b.bias);
  const std::vector<double> nothing(b.x.size()), sums(2 * b.mean.size());
  Results<double> r{sums,    sums, nothing, nothing,         nothing,
                    nothing, W,    B,       doubles(b.mean), doubles(b.variance)};
  plan->statistics(std::span(X), std::span(r.statistics), {});
  const BatchMoments of_batch{.sums = std::span(r.statistics), .count = b.values};
  plan->forward(std::span(X), of_batch, std::span(W), std::span(B), std::span(r.y), {});
  plan->gradient_sums(std::span(X), std::span(DY), of_batch, std::span(r.gradients), {});
  plan->backward_data(std::span(X), std::span(DY), of_batch, std::span(r.gradients), std::span(W),
                      std::span(r.dx), {});
  for (const Write write : {Write::overwrite, Write::accumulate})
    plan->backward_parameters(std::span(r.gradients), std::span(r.dweight), std::span(r.dbias), write);
  const BatchMoments running{.running_mean = std::span(r.mean), .running_variance = std::span(r.variance)};
  plan->forward(std::span(X), running, std::span(W), std::span(B), std::span(r.y_by_running), {});
  plan->backward_data(std::span(X), std::span(DY), running, {}, std::span(W), std::span(r.dx_by_running), {});
  plan->update_running(std::span(r.statistics), b.values, std::span(r.mean), std::span(r.variance));
  return r;
}

/// Each pass by the sums that `given` holds, so that each is judged by itself.
Results<float> computed(const Batch& b, const Results<double>& given, bool misplaced) {
  const auto plan = cuda::plan_batch_norm(b.s, {});
  DeviceScratch scratch(*plan);
  const std::vector<double> poisoned(2 * b.mean.size(), NAN);
  DeviceArray<double> statistics(poisoned), gradients(poisoned), sums(given.statistics),
      gradient_sums(given.gradients);
  DeviceArray<float> x(b.x, misplaced), dy(b.dy, misplaced), weight(b.weight), bias(b.bias), mean(b.mean),
      variance(b.variance), dweight(poison(b.s.channels)), dbias(poison(b.affine ? b.s.channels : 0));
  const auto output = [&] { return std::make_unique<DeviceArray<float>>(poison(b.elements), misplaced); };
  const auto y = output(), dx = output(), y_by_running = output(), dx_by_running = output();
  plan->statistics(x.span(), statistics.span(), scratch);
  const BatchMoments of_batch{.sums = sums.span(), .count = b.values};
  plan->forward(x.span(), of_batch, weight.span(), bias.span(), y->span(), {});
  plan->gradient_sums(x.span(), dy.span(), of_batch, gradients.span(), scratch);
  plan->backward_data(x.span(), dy.span(), of_batch, gradient_sums.span(), weight.span(), dx->span(), {});
  const View no_gradient = b.affine ? View(dweight.span()) : View();
  for (const Write write : {Write::overwrite, Write::accumulate})
    plan->backward_parameters(gradient_sums.span(), no_gradient, dbias.span(), write);
  const BatchMoments running{.running_mean = mean.span(), .running_variance = variance.span()};
  plan->forward(x.span(), running, weight.span(), bias.span(), y_by_running->span(), {});
  plan->backward_data({}, dy.span(), running, {}, weight.span(), dx_by_running->span(), {});
  plan->update_running(sums.span(), b.values, mean.span(), variance.span());
  scratch.expect_guarded(b.what);
  return {statistics.values(b.what),
          gradients.values(b.what),
          y->values(b.what),
          dx->values(b.what),
          y_by_running->values(b.what),
          dx_by_running->values(b.what),
          b.affine ? dweight.values(b.what) : std::vector<float>(),
          dbias.values(b.what),
          mean.values(b.what),
          variance.values(b.what)};
}

/// Sums of float64 in another order: |Δ| ≤ 8·n·ε·n·largest, of n terms of at most `largest`.
void expect_sums(const std::vector<double>& sums, const std::vector<double>& expected, double n,
                 double largest, const std::string& what) {
  ASSERT_EQ(sums.size(), expected.size());
  const double tolerance = 8 * n * std::numeric_limits<double>::epsilon() * n * largest;
  for (std::size_t i = 0; i < sums.size(); ++i)
    ASSERT_NEAR(sums[i], expected[i], tolerance) << what << " " << i;
}

void check(const Batch& b, bool misplaced = false) {
  const auto e = expected(b);
  const auto r = computed(b, e, misplaced);
  const double n = static_cast<double>(b.values), far = 6 + static_cast<double>(b.offset);
  expect_sums(r.statistics, e.statistics, n, far * far, b.what + " statistics");
  // σ² loses what µ² has more of digits; beyond 5 σ there is no value of these batches.
  expect_sums(r.gradients, e.gradients, n, 25 * far * far, b.what + " gradient sums");
  expect_close(r.y, e.y, 1, b.what + " forward");
  expect_close(r.dx, e.dx, 1, b.what + " data gradient");
  expect_close(r.y_by_running, e.y_by_running, 1, b.what + " forward by running moments");
  expect_close(r.dx_by_running, e.dx_by_running, 1, b.what + " data gradient by running moments");
  expect_close(r.dweight, e.dweight, 1, b.what + " weight gradient");
  expect_close(r.dbias, e.dbias, 1, b.what + " bias gradient");
  expect_close(r.mean, e.mean, 1, b.what + " running mean");
  expect_close(r.variance, e.variance, 1, b.what + " running variance");
}

/// Nothing; vectors; planes within a tile, over several, that end with one; several chunks, of which threads
/// or warps add the parts.
std::vector<std::array<std::int64_t, 4>> cuts() {
  return {{0, 3, 2, 2},    {3, 0, 2, 2},   {3, 2, 0, 4},  {1, 1, 1, 1},    {2, 130, 1, 1},
          {160, 3, 1, 1},  {40, 5, 3, 3},  {3, 7, 4, 4},  {17, 3, 12, 12}, {2, 40, 4, 1},
          {33, 1, 20, 20}, {2, 300, 1, 1}, {5, 3, 16, 8}, {5, 2, 16, 16},  {3, 1, 37, 41}};
}

TEST(GpuBatchNorm, EveryCut) {
  int turn = 0;
  for (const auto& [batch, channels, height, width] : cuts()) {
    ++turn;
    check(batch_of({.batch = batch,
                    .channels = channels,
                    .height = height,
                    .width = width,
                    .epilogue = turn % 2 == 0 ? Epilogue::relu : Epilogue::none},
                   turn % 3 > 0),
          turn % 4 == 0);
  }
}

/// µ as one float would be wrong by 10⁴·ε of σ.
TEST(GpuBatchNorm, KeepsTheDigitsOfChannelsFarFromZero) {
  check(batch_of({.batch = 20, .channels = 3, .height = 4, .width = 5}, true, 1e4F));
}

TEST(GpuBatchNorm, GivesTheSameBitsByFoursAndSinglyAndAgain) {
  for (const auto& [batch, channels, height, width] : cuts()) {
    const auto b = batch_of({.batch = batch, .channels = channels, .height = height, .width = width});
    const auto e = expected(b);
    const auto first = computed(b, e, false);
    for (const bool misplaced : {false, true}) {
      const auto again = computed(b, e, misplaced);
      EXPECT_EQ(first.statistics, again.statistics) << b.what;
      EXPECT_EQ(first.gradients, again.gradients) << b.what;
      EXPECT_EQ(first.y, again.y) << b.what;
      EXPECT_EQ(first.dx, again.dx) << b.what;
    }
  }
}

/// A recording is issued again on other values, where blocks have parts of channels and where there is
/// nothing.
TEST(GpuBatchNorm, IsRecorded) {
  cudaStream_t stream{};
  cuda::check(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), "cudaStreamCreateWithFlags");
  const auto b = batch_of({.batch = 40, .channels = 2}), other = batch_of(b.s);
  const auto plan = cuda::plan_batch_norm(b.s, stream),
             empty = cuda::plan_batch_norm({.channels = 2}, stream);
  ASSERT_GT(plan->workspace().value(), 0);
  DeviceScratch scratch(*plan);
  DeviceArray<float> x(poison(b.elements)), y(poison(b.elements)), first(b.x), second(other.x);
  DeviceArray<double> sums({NAN, NAN, NAN, NAN}), zeros({NAN, NAN, NAN, NAN});
  cudaGraph_t graph{};
  cudaGraphExec_t recorded{};
  cuda::check(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal), "cudaStreamBeginCapture");
  plan->statistics(x.span(), sums.span(), scratch);
  plan->forward(x.span(), {.sums = sums.span(), .count = b.values}, {}, {}, y.span(), {});
  empty->statistics({}, zeros.span(), {});
  cuda::check(cudaStreamEndCapture(stream, &graph), "cudaStreamEndCapture");
  cuda::check(cudaGraphInstantiate(&recorded, graph, 0), "cudaGraphInstantiate");
  for (const Batch* values : {&b, &other}) {
    cuda::check(cudaMemcpyAsync(x.span().data(), (values == &b ? first : second).span().data(),
                                b.x.size() * 4, cudaMemcpyDeviceToDevice, stream),
                "cudaMemcpyAsync");
    cuda::check(cudaGraphLaunch(recorded, stream), "cudaGraphLaunch");
    const auto e = expected({.s = b.s, .affine = false, .x = values->x, .weight = {}, .bias = {}});
    expect_sums(sums.values("sums"), e.statistics, 40, 36, "recorded statistics");
    expect_close(y.values("y"), e.y, 1, "recorded forward");
  }
  EXPECT_EQ(zeros.values("zeros"), (std::vector<double>{0, 0, 0, 0}));
  cuda::check(cudaGraphExecDestroy(recorded), "cudaGraphExecDestroy");
  cuda::check(cudaGraphDestroy(graph), "cudaGraphDestroy");
  cuda::check(cudaStreamDestroy(stream), "cudaStreamDestroy");
}

TEST(GpuBatchNorm, RefusesWhatItDoesNotCompute) {
  EXPECT_THROW((void)cuda::plan_batch_norm({.layout = Layout::nhwc}, {}), std::invalid_argument);
  EXPECT_THROW((void)cuda::plan_batch_norm({.epilogue = Epilogue::relu_mask}, {}), std::invalid_argument);
  EXPECT_THROW((void)cuda::plan_batch_norm({.batch = 1, .channels = 1 << 20, .height = 32, .width = 32}, {}),
               std::length_error);
  EXPECT_THROW((void)cuda::plan_batch_norm({.batch = 1 << 30, .channels = 1}, {}), std::length_error);
  const auto plan = cuda::plan_batch_norm({.batch = 40, .channels = 2}, {});
  std::vector<double> sums(4), twice(80);
  EXPECT_THROW(plan->statistics({}, std::span(sums), {}), std::logic_error) << "without workspace";
  EXPECT_THROW(plan->forward(std::span(twice), {}, {}, {}, {}, {}), std::logic_error);
}

}  // namespace
}  // namespace partita::tests
