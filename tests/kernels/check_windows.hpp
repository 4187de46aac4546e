/// One convolution or pooling of a given shape in all its directions against the reference.
#pragma once

#include <string>

#include "compare.hpp"

namespace partita::tests {

inline std::string text(const Backend& backend, const std::string& what,
                        std::initializer_list<std::int64_t> numbers) {
  std::string result = std::string(backend.name()) + " " + what;
  for (const auto n : numbers)
    result += " " + std::to_string(n);
  return result;
}

inline void check_convolution(Backend& backend, Backend& reference, ConvolutionShape s) {
  const auto inputs = s.batch * s.channels * s.height * s.width;
  const auto outputs = s.batch * s.filters * s.out_height() * s.out_width();
  const auto weights = s.filters * s.channels * s.kernel.h * s.kernel.w;
  Values x(inputs), w(weights), b(s.filters), dy(outputs);
  Output y(outputs), dx(inputs), dw(weights), db(s.filters);
  const ConstView bias = s.bias ? b.f() : ConstView(), bias_d = s.bias ? b.d() : ConstView();
  const View gradient = s.bias ? db.view() : View(), gradient_d = s.bias ? db.d() : View();
  const auto plan = backend.plan_convolution(s);
  const auto expected = reference.plan_convolution(s);
  const auto what =
      text(backend, "convolution",
           {s.batch, s.channels, s.height, s.width, s.filters, s.kernel.h, s.kernel.w, s.stride.h, s.stride.w,
            s.padding.h, s.padding.w, s.bias, s.layout == Layout::nhwc});
  plan->forward(x.f(), w.f(), bias, y.view(), Scratch(*plan));
  expected->forward(x.d(), w.d(), bias_d, y.d(), {});
  y.expect_close(static_cast<double>(s.channels * s.kernel.h * s.kernel.w), what + " forward");
  plan->backward_data(dy.f(), w.f(), dx.view(), Scratch(*plan));
  expected->backward_data(dy.d(), w.d(), dx.d(), {});
  dx.expect_close(static_cast<double>(s.filters * s.kernel.h * s.kernel.w), what + " backward data");
  for (const Write write : {Write::overwrite, Write::accumulate}) {
    plan->backward_parameters(x.f(), dy.f(), dw.view(), gradient, write, Scratch(*plan));
    expected->backward_parameters(x.d(), dy.d(), dw.d(), gradient_d, write, {});
    const auto terms = static_cast<double>(2 * s.batch * s.out_height() * s.out_width());
    dw.expect_close(terms, what + " weight gradient");
    if (s.bias) db.expect_close(terms, what + " bias gradient");
  }
}

inline void check_pooling(Backend& backend, Backend& reference, PoolingShape s) {
  const auto inputs = s.batch * s.channels * s.height * s.width;
  const auto outputs = s.batch * s.channels * s.out_height() * s.out_width();
  Values x(inputs), dy(outputs);
  Output y(outputs), dx(inputs);
  std::vector<std::uint8_t> winners(static_cast<std::size_t>(outputs) + 32, 99), expected_winners(winners);
  const std::span<std::uint8_t> won(winners.data(), static_cast<std::size_t>(outputs));
  const std::span<std::uint8_t> expected_won(expected_winners.data(), static_cast<std::size_t>(outputs));
  const auto plan = backend.plan_pooling(s);
  const auto expected = reference.plan_pooling(s);
  const auto what = text(backend, "pooling",
                         {s.kind == PoolingKind::average, s.batch, s.channels, s.height, s.width, s.kernel.h,
                          s.kernel.w, s.stride.h, s.stride.w, s.layout == Layout::nhwc});
  plan->forward(x.f(), y.view(), won, Scratch(*plan));
  expected->forward(x.d(), y.d(), expected_won, {});
  y.expect_close(static_cast<double>(s.kernel.area()), what);
  if (s.kind == PoolingKind::maximum) {
    EXPECT_EQ(winners, expected_winners) << what;
  }
  plan->backward(dy.f(), won, dx.view(), Scratch(*plan));
  expected->backward(dy.d(), expected_won, dx.d(), {});
  dx.expect_close(static_cast<double>(s.kernel.area()), what + " backward");
}

}  // namespace partita::tests
