/// Codecs against formulas in double: what a message says, what is left of it, and what is not finite.
#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>

#include "partita/kernels/codec.hpp"

namespace partita::tests {
namespace {

using kernels::Codec;
using kernels::ConstView;
using kernels::DataType;
using kernels::Elements;
using kernels::LowRank;
using kernels::View;

constexpr Codec of_values[] = {Codec::bf16, Codec::fp16, Codec::int8, Codec::sign, Codec::topk};
constexpr std::int64_t sizes[] = {0, 1, 2, 7, 8, 9, 16, 17, 100, 1001};

template <class T>
std::vector<T> values_of(std::int64_t n, unsigned seed, double scale = 1) {
  std::mt19937_64 random(seed);
  std::normal_distribution<double> normal(0, scale);
  std::vector<T> values(static_cast<std::size_t>(n));
  for (auto& value : values)
    value = static_cast<T>(normal(random));
  return values;
}

std::int64_t kept_of(std::int64_t n) { return std::min<std::int64_t>(n, std::max<std::int64_t>(1, n / 5)); }

template <class T>
struct Sent {
  std::vector<std::uint8_t> message;
  std::vector<T> residual, decoded;
};

template <class T>
Sent<T> send(Codec codec, std::vector<T> x, std::vector<T> residual, double scale = 1) {
  const auto codecs = kernels::make_host_codecs(kernels::data_type_of<T>());
  const auto n = static_cast<std::int64_t>(x.size());
  Sent<T> sent{.message = std::vector<std::uint8_t>(
                   static_cast<std::size_t>(kernels::encoded_bytes(codec, n, kept_of(n)))),
               .residual = std::move(residual),
               .decoded = std::vector<T>(x.size(), T(7))};
  std::array<double, 2> of_loss{scale, 0};
  const ConstView scales = scale == 1 ? ConstView() : ConstView(std::span(of_loss));
  codecs->encode(codec, std::span<const T>(x), scales, std::span(sent.residual), std::span(sent.message));
  codecs->decode(codec, std::span<const std::uint8_t>(sent.message), scales, false, std::span(sent.decoded));
  return sent;
}

/// A value of a format with so many bits of mantissa and this least exponent of normal numbers.
double rounded(double value, int mantissa, int least, double largest) {
  if (value == 0 || !std::isfinite(value)) return value;
  const int exponent = std::max(std::ilogb(value), least) - mantissa;
  const double unit = std::ldexp(1.0, exponent), rest = std::nearbyint(value / unit) * unit;
  return std::abs(rest) > largest ? std::copysign(INFINITY, value) : rest;
}

/// What the formula makes of x.
std::vector<double> expected(Codec codec, const std::vector<double>& x) {
  std::vector<double> y(x.size());
  const auto n = static_cast<double>(x.size());
  double most = 0, squares = 0;
  for (const double value : x)
    most = std::max(most, std::abs(value)), squares += value * value;
  std::vector<std::size_t> order(x.size());
  for (std::size_t i = 0; i < x.size(); ++i)
    order[i] = i;
  std::ranges::stable_sort(order, [&](auto a, auto b) { return std::abs(x[a]) > std::abs(x[b]); });
  const auto kept = static_cast<std::size_t>(kept_of(std::ssize(x)));
  for (std::size_t i = 0; i < x.size(); ++i) {
    const auto rank = static_cast<std::size_t>(std::ranges::find(order, i) - order.begin());
    switch (codec) {
      case Codec::bf16:
        y[i] = rounded(x[i], 7, -126, 3.3895313892515355e38);
        break;
      case Codec::fp16:
        y[i] = rounded(x[i], 10, -14, 65504);
        break;
      case Codec::int8:
        y[i] = most == 0 ? 0
                         : std::nearbyint(x[i] / static_cast<double>(static_cast<float>(most) / 127)) *
                               static_cast<double>(static_cast<float>(most) / 127);
        break;
      case Codec::sign:
        y[i] = (x[i] < 0 ? -1 : 1) * std::sqrt(squares / n);
        break;
      default:
        y[i] = rank < kept ? x[i] : 0;
    }
  }
  return y;
}

template <class T>
void check_values() {
  for (const auto codec : of_values)
    for (const auto n : sizes)
      for (const double size : {1e-6, 1.0, 300.0}) {
        // Of floats, so that rounding to float32 before changes nothing.
        const auto x = values_of<float>(n, 1, size);
        const std::vector<T> given(x.begin(), x.end());
        const auto sent = send<T>(codec, given, std::vector<T>(given.size()));
        const auto y = expected(codec, std::vector<double>(x.begin(), x.end()));
        for (std::size_t i = 0; i < y.size(); ++i) {
          EXPECT_NEAR(static_cast<double>(sent.decoded[i]), y[i], 1e-6 * std::abs(y[i]))
              << to_string(codec) << " of " << n << " at " << i;
          // Nothing is lost: what was sent and what is left make up the value.
          EXPECT_EQ(sent.residual[i], given[i] - sent.decoded[i]) << to_string(codec);
        }
      }
}

TEST(Codecs, SayWhatTheirFormulasSay) {
  check_values<float>();
  check_values<double>();
}

TEST(Codecs, AddWhatWasLeft) {
  for (const auto codec : of_values) {
    const auto x = values_of<double>(101, 2), before = values_of<double>(101, 3, 0.1);
    const auto sent = send<double>(codec, x, before);
    for (std::size_t i = 0; i < x.size(); ++i)
      EXPECT_NEAR(sent.decoded[i] + sent.residual[i], x[i] + before[i], 1e-15 * std::abs(x[i]) + 1e-15);
  }
}

TEST(Codecs, KeepTheSumOverManySteps) {
  for (const auto codec : of_values) {
    std::vector<double> residual(101), given(101), applied(101);
    for (unsigned step = 0; step < 200; ++step) {
      const auto x = values_of<double>(101, 10 + step);
      const auto sent = send<double>(codec, x, residual);
      residual = sent.residual;
      for (std::size_t i = 0; i < x.size(); ++i)
        given[i] += x[i], applied[i] += sent.decoded[i];
    }
    for (std::size_t i = 0; i < given.size(); ++i)
      EXPECT_NEAR(applied[i] + residual[i], given[i], 1e-11) << to_string(codec);
  }
}

TEST(Codecs, ReadEveryHalf) {
  for (const auto codec : {Codec::bf16, Codec::fp16}) {
    const auto codecs = kernels::make_host_codecs(DataType::float32);
    for (std::uint32_t bits = 0; bits < 65536; ++bits) {
      const auto half = static_cast<std::uint16_t>(bits);
      std::uint8_t message[2];
      std::memcpy(message, &half, 2);
      float value = 0;
      codecs->decode(codec, std::span<const std::uint8_t>(message), {}, false, std::span(&value, 1));
      const int mantissa = codec == Codec::bf16 ? 7 : 10, bias = codec == Codec::bf16 ? 127 : 15;
      const int exponent = half >> mantissa & (2 * bias + 1), fraction = half & ((1 << mantissa) - 1);
      const double sign = half >> 15 ? -1 : 1;
      if (exponent == 2 * bias + 1 && fraction != 0) {
        EXPECT_TRUE(std::isnan(value)) << bits;
        continue;
      }
      const double size = exponent == 2 * bias + 1 ? INFINITY
                          : exponent == 0
                              ? std::ldexp(fraction, 1 - bias - mantissa)
                              : std::ldexp((1 << mantissa) + fraction, exponent - bias - mantissa);
      EXPECT_EQ(static_cast<double>(value), sign * size) << bits;
      std::uint8_t again[2];
      codecs->encode(codec, std::span<const float>(&value, 1), {}, {}, std::span(again));
      EXPECT_EQ(std::memcmp(again, message, 2), 0) << bits;
    }
  }
}

TEST(Codecs, RoundToTheNearestHalfAndTiesToEven) {
  for (const auto& [value, wanted] :
       {std::pair(2049.0f, 2048.0f), std::pair(2051.0f, 2052.0f), std::pair(65519.0f, 65504.0f),
        std::pair(65520.0f, INFINITY), std::pair(0x1p-25f, 0.0f), std::pair(0x1.8p-25f, 0x1p-24f),
        std::pair(-0x1.8p-24f, -0x1p-23f)})
    EXPECT_EQ(send<float>(Codec::fp16, {value}, {0}).decoded.front(), wanted) << value;
  for (const auto& [value, wanted] : {std::pair(257.0f, 256.0f), std::pair(259.0f, 260.0f)})
    EXPECT_EQ(send<float>(Codec::bf16, {value}, {0}).decoded.front(), wanted) << value;
}

TEST(Codecs, ScaleWhatWouldBeTooSmall) {
  const auto sent = send<float>(Codec::fp16, {1e-9f, 3.0f}, {0, 0}, 65536);
  EXPECT_NEAR(sent.decoded[0], 1e-9, 1e-12);
  EXPECT_EQ(sent.decoded[1], INFINITY);  // too large then
  EXPECT_EQ(sent.residual[1], 0);        // and the step is lost
}

TEST(Codecs, TellWhatIsNotFinite) {
  for (const auto codec : of_values)
    for (const float bad : {INFINITY, -INFINITY, std::numeric_limits<float>::quiet_NaN()}) {
      auto x = values_of<float>(40, 4);
      x[17] = bad;
      const auto sent = send<float>(codec, x, std::vector<float>(40, 0.25f));
      const auto is_finite = [](float value) { return std::isfinite(value); };
      EXPECT_FALSE(std::ranges::all_of(sent.decoded, is_finite)) << to_string(codec) << ' ' << bad;
      EXPECT_TRUE(std::ranges::all_of(sent.residual, is_finite)) << to_string(codec) << ' ' << bad;
    }
}

TEST(Codecs, LeaveNoResidualThatIsNotFinite) {
  auto x = values_of<float>(10, 4);
  x[3] = x[7] = x[8] = INFINITY;  // more than topk sends
  const auto sent = send<float>(Codec::topk, x, std::vector<float>(10, 0.25f));
  EXPECT_TRUE(std::ranges::all_of(sent.residual, [](float value) { return std::isfinite(value); }));
}

TEST(Codecs, SendTheFirstOfEqualValues) {
  const auto sent = send<float>(Codec::topk, {1, -2, 2, 2, 0, 1, 1, 1, 1, 1}, std::vector<float>(10));
  EXPECT_EQ(sent.decoded, (std::vector<float>{0, -2, 2, 0, 0, 0, 0, 0, 0, 0}));
}

TEST(Codecs, SendNothingOfZeros) {
  for (const auto codec : of_values) {
    const auto sent = send<float>(codec, std::vector<float>(9), std::vector<float>(9));
    EXPECT_EQ(sent.decoded, std::vector<float>(9)) << to_string(codec);
    EXPECT_EQ(sent.residual, std::vector<float>(9)) << to_string(codec);
  }
}

TEST(Codecs, AddMessagesInPlace) {
  const auto codecs = kernels::make_host_codecs(DataType::float32);
  for (const auto codec : of_values) {
    const auto sent = send<float>(codec, values_of<float>(33, 5), std::vector<float>(33));
    std::vector<float> sum(33, 1);
    codecs->decode(codec, std::span<const std::uint8_t>(sent.message), {}, true, std::span(sum));
    for (std::size_t i = 0; i < sum.size(); ++i)
      EXPECT_EQ(sum[i], 1 + sent.decoded[i]) << to_string(codec);
  }
}

/// The factors of a matrix, as one rank has them.
struct Factors {
  std::vector<double> p, q, residual;
};
Factors factors_of(const LowRank& m, const std::vector<double>& x, std::vector<double> basis) {
  const auto codecs = kernels::make_host_codecs(DataType::float64);
  Factors f{.p = std::vector<double>(static_cast<std::size_t>(m.rank * m.rows)),
            .q = std::move(basis),
            .residual = std::vector<double>(x.size())};
  codecs->project(m, std::span<const double>(x), std::span<const double>(f.q), std::span(f.p));
  codecs->orthonormalise(m, std::span(f.p));
  codecs->complete(m, std::span<const double>(f.p), std::span<const double>(x), std::span(f.residual),
                   std::span(f.q));
  return f;
}

TEST(Factors, GiveBackAMatrixOfTheirRank) {
  const LowRank m{.rows = 13, .columns = 9, .rank = 2};
  const auto a = values_of<double>(26, 6), b = values_of<double>(18, 7);
  std::vector<double> x(13 * 9);
  for (std::size_t i = 0; i < 13; ++i)
    for (std::size_t j = 0; j < 9; ++j)
      x[i * 9 + j] = a[i] * b[j] + a[13 + i] * b[9 + j];
  const auto f = factors_of(m, x, values_of<double>(18, 8));
  std::vector<double> y(x.size());
  kernels::make_host_codecs(DataType::float64)
      ->multiply(m, std::span<const double>(f.p), std::span<const double>(f.q), std::span(y));
  for (std::size_t i = 0; i < x.size(); ++i) {
    EXPECT_NEAR(y[i], x[i], 1e-12);
    EXPECT_NEAR(f.residual[i], 0, 1e-12);
  }
}

TEST(Factors, AreOrthonormalAndLeaveTheRest) {
  const LowRank m{.rows = 21, .columns = 17, .rank = 3};
  const auto x = values_of<double>(21 * 17, 9);
  const auto f = factors_of(m, x, values_of<double>(3 * 17, 10));
  for (std::size_t a = 0; a < 3; ++a)
    for (std::size_t b = 0; b < 3; ++b) {
      double product = 0;
      for (std::size_t i = 0; i < 21; ++i)
        product += f.p[a * 21 + i] * f.p[b * 21 + i];
      EXPECT_NEAR(product, a == b ? 1 : 0, 1e-14);
    }
  std::vector<double> y(x.size());
  kernels::make_host_codecs(DataType::float64)
      ->multiply(m, std::span<const double>(f.p), std::span<const double>(f.q), std::span(y));
  for (std::size_t i = 0; i < x.size(); ++i)
    EXPECT_NEAR(y[i] + f.residual[i], x[i], 1e-14);
}

TEST(Factors, OfDependentColumnsAreZeros) {
  const LowRank m{.rows = 5, .columns = 4, .rank = 2};
  std::vector<double> x(20), basis{1, 0, 0, 0, 1, 0, 0, 0};  // both rows alike
  for (std::size_t i = 0; i < x.size(); ++i)
    x[i] = static_cast<double>(i % 7) - 3;
  const auto f = factors_of(m, x, basis);
  EXPECT_TRUE(std::all_of(f.p.begin() + 5, f.p.end(), [](double value) { return value == 0; }));
  // A basis that would be 0 stays.
  std::vector<double> kept = basis;
  kernels::make_host_codecs(DataType::float64)->keep(m, std::span<const double>(f.q), std::span(kept));
  EXPECT_NE(std::vector(kept.begin(), kept.begin() + 4), std::vector(basis.begin(), basis.begin() + 4));
  EXPECT_EQ(std::vector(kept.begin() + 4, kept.end()), std::vector(basis.begin() + 4, basis.end()));
}

TEST(Factors, OfWhatIsNotFiniteLeaveTheResidual) {
  const LowRank m{.rows = 4, .columns = 3, .rank = 1};
  auto x = values_of<double>(12, 11);
  x[5] = INFINITY;
  EXPECT_EQ(factors_of(m, x, {1, 1, 1}).residual, std::vector<double>(12));
}

}  // namespace
}  // namespace partita::tests
