/// Every kernel against the reference in double over ragged sizes, and the reference against finite
/// differences.
#include <cstring>

#include "check_windows.hpp"

namespace partita::tests {
namespace {

void check_gemm(Backend& backend, Backend& reference, const GemmShape& s) {
  const std::int64_t rows_a = s.transpose_a ? s.k : s.m, rows_b = s.transpose_b ? s.n : s.k;
  Values a(rows_a * s.leading_a()), b(rows_b * s.leading_b()), bias(s.n), mask(s.m * s.leading_c());
  Output c(s.m * s.leading_c()), sums(s.m);
  if (s.beta != 0)
    for (Output* output : {&c, &sums})
      output->start_from(Values(static_cast<std::int64_t>(output->n)));
  const auto plan = backend.plan_gemm(s);
  plan->run(
      {.a = a.f(), .b = b.f(), .bias = bias.f(), .mask = mask.f(), .c = c.view(), .row_sums = sums.view()},
      Scratch(*plan));
  reference.plan_gemm(s)->run(
      {.a = a.d(), .b = b.d(), .bias = bias.d(), .mask = mask.d(), .c = c.d(), .row_sums = sums.d()}, {});
  const auto what = text(backend, "gemm",
                         {s.m, s.n, s.k, s.transpose_a, s.transpose_b, s.row_c, s.bias,
                          static_cast<std::int64_t>(s.epilogue), s.beta != 0, s.alpha != 1});
  if (s.row_c == 0) c.expect_close(static_cast<double>(s.k + 1), what);
  if (s.row_c > 0) c.expect_close_within(s.m, s.n, s.row_c, static_cast<double>(s.k + 1), what);
  if (s.row_sums) sums.expect_close(static_cast<double>(s.k + 1), what + ", row sums");
}

TEST(Kernels, GemmOverRaggedSizesTranspositionsAndEpilogues) {
  const auto reference = oracle();
  int turn = 0;
  for (const auto& backend : backends())
    for (const std::int64_t m : {0, 1, 17, 33})
      for (const std::int64_t n : {0, 1, 10, 31})
        for (const std::int64_t k : {0, 1, 13, 64})
          for (int flags = 0; flags < 32; ++flags) {
            // Not all combinations of the rest: the next one of each list, whose lengths have no common
            // divisor.
            constexpr double alphas[] = {1, 1, -0.5}, betas[] = {1, 0.25, 1, 1, -2};
            constexpr std::int64_t beyond[] = {0, 0, 3, 0, 0, 8, 0};
            ++turn;
            const auto more = beyond[turn % 7];
            check_gemm(*backend, *reference,
                       {.m = m,
                        .n = n,
                        .k = k,
                        .transpose_a = (flags & 1) != 0,
                        .transpose_b = (flags & 2) != 0,
                        .row_a = more > 0 ? ((flags & 1) != 0 ? m : k) + more : 0,
                        .row_b = more > 0 ? ((flags & 2) != 0 ? k : n) + more : 0,
                        .row_c = more > 0 ? n + more : 0,
                        .alpha = alphas[turn % 3],
                        .beta = (flags & 16) != 0 ? betas[turn % 5] : 0,
                        .bias = (flags & 4) != 0,
                        .epilogue = (flags & 8) == 0 ? Epilogue::none
                                    : turn % 2 == 0  ? Epilogue::relu
                                                     : Epilogue::relu_mask,
                        .row_sums = turn % 2 == 1});
          }
}

/// One row, one column or one term, dense and inside wider matrices: libraries confuse the two strides there.
TEST(Kernels, GemmOfVectors) {
  const auto reference = oracle();
  int turn = 0;
  for (const auto& backend : backends())
    for (const auto& [m, n, k] : std::vector<std::array<std::int64_t, 3>>{
             {1, 300, 70}, {300, 1, 70}, {300, 70, 1}, {1, 1, 300}, {1, 300, 1}, {300, 1, 1}, {1, 1, 1}})
      for (const std::int64_t more : {0, 5})
        for (int flags = 0; flags < 8; ++flags)
          check_gemm(*backend, *reference,
                     {.m = m,
                      .n = n,
                      .k = k,
                      .transpose_a = (flags & 1) != 0,
                      .transpose_b = (flags & 2) != 0,
                      .row_a = more > 0 ? ((flags & 1) != 0 ? m : k) + more : 0,
                      .row_b = more > 0 ? ((flags & 2) != 0 ? k : n) + more : 0,
                      .row_c = more > 0 ? n + more : 0,
                      .beta = (flags & 4) != 0 ? 0.5 : 0,
                      .bias = ++turn % 3 == 0});
}

TEST(Kernels, GemmOfTheReferenceWorkloads) {
  const auto reference = oracle();
  for (const auto& backend : backends()) {
    check_gemm(*backend, *reference,
               {.m = 100, .n = 128, .k = 784, .transpose_b = true, .bias = true, .epilogue = Epilogue::relu});
    check_gemm(*backend, *reference, {.m = 128, .n = 784, .k = 100, .transpose_a = true});
    check_gemm(*backend, *reference, {.m = 100, .n = 784, .k = 128});
  }
}

TEST(Kernels, ConvolutionOverRaggedShapes) {
  const auto reference = oracle();
  for (const auto& backend : backends())
    for (const Layout layout : layouts_of(*backend))
      for (const auto& [batch, channels, height, width, filters, kernel, stride, padding] :
           std::vector<std::array<std::int64_t, 8>>{
               {0, 1, 8, 8, 4, 3, 1, 0},
               {1, 1, 5, 5, 1, 5, 1, 0},
               {2, 1, 28, 28, 10, 5, 1, 0},
               {3, 10, 12, 12, 20, 5, 1, 0},
               {2, 3, 9, 7, 5, 3, 2, 1},
               {1, 7, 6, 6, 17, 1, 1, 0},
               {2, 2, 7, 11, 3, 4, 3, 2},
               {1, 16, 8, 8, 16, 3, 1, 1},
               // the outer products of few channels: every number of vectors, ragged filters
               {3, 1, 3, 3, 1, 3, 1, 0},
               {5, 1, 9, 8, 7, 3, 1, 0},
               {2, 2, 9, 9, 16, 2, 1, 0},
               {1, 1, 6, 7, 16, 5, 1, 0},
               {1, 3, 8, 8, 7, 3, 2, 0},
               {3, 15, 6, 6, 4, 2, 1, 0},
               {2, 9, 7, 7, 5, 5, 1, 0},
               {2, 12, 9, 9, 23, 5, 1, 0},
               {4, 15, 5, 5, 1, 4, 1, 0}})
        for (const Epilogue epilogue : {Epilogue::none, Epilogue::relu})
          check_convolution(*backend, *reference,
                            {.batch = batch,
                             .channels = channels,
                             .height = height,
                             .width = width,
                             .filters = filters,
                             .kernel = kernel,
                             .stride = stride,
                             .padding = padding,
                             .layout = layout,
                             .epilogue = epilogue});
}

TEST(Kernels, OwnLoopsLetNaNThrough) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  for (const auto& backend : backends()) {
    const Layout layout = backend->image_layout();
    const auto at = [&](std::size_t channel, std::size_t pixels) {  // its first pixel
      return layout == Layout::nchw ? channel * pixels : channel;
    };
    std::vector<float> x(4 * 4 * 10, 1.0F), y(2 * 2 * 10);
    x[at(3, 16)] = nan;
    std::vector<std::uint8_t> winners(y.size());
    for (const auto kind : {PoolingKind::maximum, PoolingKind::average})
      for (const auto epilogue : {Epilogue::none, Epilogue::relu}) {
        const auto plan = backend->plan_pooling({.kind = kind,
                                                 .batch = 1,
                                                 .channels = 10,
                                                 .height = 4,
                                                 .width = 4,
                                                 .layout = layout,
                                                 .epilogue = epilogue});
        plan->forward(std::span(x), std::span(y), std::span(winners), Scratch(*plan));
        EXPECT_TRUE(std::isnan(y[at(3, 4)])) << backend->name();
        EXPECT_FALSE(std::isnan(y[at(4, 4)])) << backend->name();
      }
    const ConvolutionShape s{.batch = 1,
                             .channels = 10,
                             .height = 4,
                             .width = 4,
                             .filters = 2,
                             .kernel = 4,
                             .layout = layout,
                             .epilogue = Epilogue::relu};
    const auto plan = backend->plan_convolution(s);
    std::vector<float> w(2 * 160, 1.0F), b(2), out(2);
    plan->forward(std::span(x), std::span(w), std::span(b), std::span(out), Scratch(*plan));
    EXPECT_TRUE(std::isnan(out[0]) && std::isnan(out[1])) << backend->name();
    backend->relu_forward(std::span(x), std::span(x));
    EXPECT_TRUE(std::isnan(x[at(3, 16)])) << backend->name();
  }
}

/// What a convolution in all directions and a product with row sums give, one behind the other.
std::vector<float> images_and_product(Backend& backend, std::int64_t channels, Values& x, Values& w,
                                      Values& b, Values& dy) {
  const ConvolutionShape s{.batch = 7,
                           .channels = channels,
                           .height = 12,
                           .width = 12,
                           .filters = 20,
                           .kernel = 5,
                           .layout = backend.image_layout()};
  const auto plan = backend.plan_convolution(s);
  std::vector<float> y(dy.single.size()), dx(x.single.size()), dw(w.single.size()), db(20);
  plan->forward(x.f(), w.f(), b.f(), std::span(y), Scratch(*plan));
  plan->backward_data(dy.f(), w.f(), std::span(dx), Scratch(*plan));
  plan->backward_parameters(x.f(), dy.f(), std::span(dw), std::span(db), Write::overwrite, Scratch(*plan));
  const auto gemm = backend.plan_gemm({.m = 20, .n = 25, .k = 64, .transpose_a = true, .row_sums = true});
  std::vector<float> c(500), sums(20);
  gemm->run({.a = std::span(y).first(1280),
             .b = std::span(dy.single).first(1600),
             .c = std::span(c),
             .row_sums = std::span(sums)},
            Scratch(*gemm));
  for (const auto* part : {&dx, &dw, &db, &c, &sums})
    y.insert(y.end(), part->begin(), part->end());
  return y;
}

/// What the reductions over rows give, one behind the other.
std::vector<double> reductions(Backend& backend, std::int64_t batch, std::int64_t classes, Values& x,
                               Values& target, const std::vector<std::int32_t>& labels) {
  std::vector<float> b(static_cast<std::size_t>(classes)), dx(x.single.size());
  backend.sum_rows(batch, classes, x.f(), std::span(b), Write::overwrite);
  std::vector<double> all(b.begin(), b.end());
  for (const auto& sums :
       {cross_entropy(backend, batch, classes, x.f(), std::span(labels), 0.1, std::span(dx)),
        mean_squared_error(backend, batch, classes, x.f(), target.f(), 0.1, {})})
    all.push_back(sums.loss);
  all.insert(all.end(), dx.begin(), dx.end());
  return all;
}

template <class T>
bool same_bits(const std::vector<T>& a, const std::vector<T>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(T)) == 0;
}

TEST(Kernels, AreRepeatableBitForBit) {
  for (const auto& backend : backends()) {
    for (const std::int64_t channels : {1, 10, 32}) {
      Values x(7 * channels * 144), w(20 * channels * 25), b(20), dy(7 * 20 * 64);
      const auto run = [&] { return images_and_product(*backend, channels, x, w, b, dy); };
      EXPECT_TRUE(same_bits(run(), run())) << backend->name() << ' ' << channels;
    }
    for (const auto& extents : std::vector<std::array<std::int64_t, 2>>{{600, 10}, {300, 100}, {9, 2100}}) {
      const std::int64_t batch = extents[0], classes = extents[1];
      const std::vector<std::int32_t> labels(static_cast<std::size_t>(batch), 3);
      Values x(batch * classes), target(batch * classes);
      const auto run = [&] { return reductions(*backend, batch, classes, x, target, labels); };
      EXPECT_TRUE(same_bits(run(), run())) << backend->name() << ' ' << classes;
    }
  }
}

TEST(Kernels, PoolingOverRaggedShapes) {
  const auto reference = oracle();
  for (const auto& backend : backends())
    for (const auto kind : {PoolingKind::maximum, PoolingKind::average})
      for (const Layout layout : layouts_of(*backend))
        for (const Epilogue epilogue : {Epilogue::none, Epilogue::relu})
          for (const std::int64_t channels : {1, 3, 10, 16, 17, 40})
            for (const auto& [batch, height, width, kernel, stride] :
                 std::vector<std::array<std::int64_t, 5>>{{0, 4, 4, 2, 2},
                                                          {1, 2, 2, 2, 2},
                                                          {2, 9, 7, 2, 2},
                                                          {3, 12, 12, 2, 2},
                                                          {2, 7, 8, 3, 2},
                                                          {2, 8, 7, 3, 3},
                                                          {1, 5, 5, 1, 1},
                                                          {1, 9, 9, 2, 3}})
              check_pooling(*backend, *reference,
                            {.kind = kind,
                             .batch = batch,
                             .channels = channels,
                             .height = height,
                             .width = width,
                             .kernel = kernel,
                             .stride = stride,
                             .layout = layout,
                             .epilogue = epilogue});
}

/// An average of a whole image, as networks end with; the largest window of a maximum, whose position fills a
/// byte.
TEST(Kernels, PoolingOverLargeWindows) {
  const auto reference = oracle();
  for (const auto& backend : backends())
    for (const Layout layout : layouts_of(*backend))
      for (const std::int64_t channels : {1, 17})
        for (const auto& [height, width, kernel, stride] : std::vector<std::array<std::int64_t, 4>>{
                 {28, 28, 28, 28}, {35, 32, 28, 3}, {64, 65, 64, 64}, {17, 18, 16, 1}, {33, 32, 16, 16}})
          for (const auto kind : {PoolingKind::maximum, PoolingKind::average})
            if (kind == PoolingKind::average || kernel <= 16)
              check_pooling(*backend, *reference,
                            {.kind = kind,
                             .batch = 2,
                             .channels = channels,
                             .height = height,
                             .width = width,
                             .kernel = kernel,
                             .stride = stride,
                             .layout = layout});
}

TEST(Kernels, EqualMaximaGiveTheirGradientToTheFirst) {
  for (const auto& backend : backends()) {
    const auto plan = backend->plan_pooling(
        {.batch = 1, .channels = 1, .height = 2, .width = 2, .layout = backend->image_layout()});
    std::vector<float> x{1, 3, 3, 3}, y(1), dy{5}, dx(4);
    std::vector<std::uint8_t> winners(1);
    plan->forward(std::span(x), std::span(y), std::span(winners), Scratch(*plan));
    plan->backward(std::span(dy), std::span(winners), std::span(dx), Scratch(*plan));
    EXPECT_EQ(dx, (std::vector<float>{0, 5, 0, 0})) << backend->name();
  }
}

TEST(Reference, GradientsAreFiniteDifferences) {
  const auto backend = oracle();
  const ConvolutionShape s{.batch = 2,
                           .channels = 2,
                           .height = 5,
                           .width = 4,
                           .filters = 3,
                           .kernel = 3,
                           .stride = 2,
                           .padding = 1};
  const auto plan = backend->plan_convolution(s);
  const auto outputs = 2 * 3 * s.out_height() * s.out_width();
  Values x(2 * 2 * 5 * 4), w(3 * 2 * 9), b(3), dy(outputs), y(outputs), dx(2 * 2 * 5 * 4), dw(3 * 2 * 9),
      db(3);
  const auto f = [&] {
    plan->forward(x.d(), w.d(), b.d(), y.d(), {});
    double sum = 0;
    for (std::size_t i = 0; i < y.twice.size(); ++i)
      sum += y.twice[i] * dy.twice[i];
    return sum;
  };
  plan->backward_data(dy.d(), w.d(), dx.d(), {});
  plan->backward_parameters(x.d(), dy.d(), dw.d(), db.d(), Write::overwrite, {});
  expect_gradient(x.twice, dx.twice, f);
  expect_gradient(w.twice, dw.twice, f);
  expect_gradient(b.twice, db.twice, f);
}

TEST(Reference, LossesAndPoolingAreFiniteDifferences) {
  const auto backend = oracle();
  Values logits(3 * 4), gradient(3 * 4), targets(3 * 4);
  const std::vector<std::int32_t> labels{1, 3, 0};
  const std::span<const std::int32_t> l(labels);
  cross_entropy(*backend, 3, 4, logits.d(), l, 1.0, gradient.d());
  expect_gradient(logits.twice, gradient.twice,
                  [&] { return cross_entropy(*backend, 3, 4, logits.d(), l, 1.0, {}).loss; });
  mean_squared_error(*backend, 3, 4, logits.d(), targets.d(), 1.0, gradient.d());
  expect_gradient(logits.twice, gradient.twice,
                  [&] { return mean_squared_error(*backend, 3, 4, logits.d(), targets.d(), 1.0, {}).loss; });
  for (const auto kind : {PoolingKind::maximum, PoolingKind::average}) {
    const auto plan = backend->plan_pooling(
        {.kind = kind, .batch = 1, .channels = 2, .height = 5, .width = 5, .kernel = 3, .stride = 2});
    Values x(50), y(8), dy(8), dx(50);
    std::vector<std::uint8_t> winners(8);
    const auto f = [&] {
      plan->forward(x.d(), y.d(), std::span(winners), {});
      double sum = 0;
      for (std::size_t i = 0; i < 8; ++i)
        sum += y.twice[i] * dy.twice[i];
      return sum;
    };
    f();
    plan->backward(dy.d(), std::span(winners), dx.d(), {});
    expect_gradient(x.twice, dx.twice, f);
  }
}

}  // namespace
}  // namespace partita::tests
