/// Codecs as loops over elements that the compiler vectorises. Compiled without contraction to fused
/// multiply-adds: what is decoded is the same on all CPUs.
#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <stdexcept>
#include <vector>

#include "partita/kernels/codec.hpp"

namespace partita::kernels {
namespace {

constexpr std::uint32_t sign_bit = 0x80000000u, infinite = 0x7f800000u;

constexpr std::uint32_t magnitude(float value) { return std::bit_cast<std::uint32_t>(value) & ~sign_bit; }

/// bfloat16: the upper half of a float32.
struct Bf16 {
  static std::uint16_t of(float value) {
    const auto bits = std::bit_cast<std::uint32_t>(value);
    const std::uint32_t rounded = (bits + 0x7fff + ((bits >> 16) & 1)) >> 16, nan = (bits >> 16) | 0x40;
    return static_cast<std::uint16_t>((bits & ~sign_bit) > infinite ? nan : rounded);
  }
  static float value_of(std::uint16_t bits) { return std::bit_cast<float>(std::uint32_t{bits} << 16); }
};

/// IEEE binary16: 5 bits of exponent, 10 of mantissa.
struct Fp16 {
  static std::uint16_t of(float value) {
    constexpr std::uint32_t too_large = 0x477ff000u, least_normal = 0x38800000u, rebias = 0x38000000u;
    const auto bits = std::bit_cast<std::uint32_t>(value), size = bits & ~sign_bit;
    const std::uint32_t sign = (bits & sign_bit) >> 16;
    const std::uint32_t normal = (size - rebias + 0xfff + ((size >> 13) & 1)) >> 13;
    // Adding 2⁻¹ leaves the rounded multiple of 2⁻²⁴ in the lowest bits.
    const std::uint32_t small =
        std::bit_cast<std::uint32_t>(std::bit_cast<float>(size) + 0.5f) - std::bit_cast<std::uint32_t>(0.5f);
    const std::uint32_t finite = size < least_normal ? small : normal;
    const std::uint32_t special = size > infinite ? 0x7e00u : 0x7c00u;
    return static_cast<std::uint16_t>(sign | (size >= too_large ? special : finite));
  }
  static float value_of(std::uint16_t bits) {
    const std::uint32_t size = bits & 0x7fffu, sign = (std::uint32_t{bits} & 0x8000u) << 16;
    const float scaled = std::bit_cast<float>(size << 13) * 0x1p112f;
    const std::uint32_t finite = std::bit_cast<std::uint32_t>(scaled), special = infinite | (size << 13);
    return std::bit_cast<float>(sign | (size >= 0x7c00u ? special : finite));
  }
};

template <class V>
V read(const std::uint8_t* from) {
  V value;
  std::memcpy(&value, from, sizeof value);
  return value;
}
template <class V>
void write(std::uint8_t* to, V value) {
  std::memcpy(to, &value, sizeof value);
}

template <class T>
class HostCodecs : public Codecs {
 public:
  void encode(Codec codec, ConstView x, ConstView scale, View residual, View message) override {
    const auto values = x.as<T>();
    const Source source{values.data(), residual.empty() ? nullptr : residual.as<T>().data(),
                        scale.empty() ? T(1) : static_cast<T>(scale.as<double>()[0]),
                        static_cast<std::int64_t>(values.size())};
    auto* const to = message.as<std::uint8_t>().data();
    if (source.n == 0) return;
    switch (codec) {
      case Codec::bf16:
        return encode_halves<Bf16>(source, to);
      case Codec::fp16:
        return encode_halves<Fp16>(source, to);
      case Codec::int8:
        return encode_int8(source, to);
      case Codec::sign:
        return encode_signs(source, to);
      case Codec::topk:
        return encode_largest(source, message.size().value() / 8, to);
      case Codec::none:
      case Codec::powersgd:
      case Codec::secure:
        break;
    }
    throw std::logic_error("this codec has no message");
  }

  void decode(Codec codec, ConstView message, ConstView scale, bool adds, View x) override {
    const auto values = x.as<T>();
    if (codec == Codec::topk && !adds) std::ranges::fill(values, T(0));
    const T factor = scale.empty() ? T(1) : static_cast<T>(1 / scale.as<double>()[0]);
    const Target target{values.data(), static_cast<std::int64_t>(values.size()), adds, factor};
    const auto* const from = message.as<std::uint8_t>().data();
    if (target.n == 0) return;
    switch (codec) {
      case Codec::bf16:
        return target.set(
            [from](std::int64_t i) { return Bf16::value_of(read<std::uint16_t>(from + 2 * i)); });
      case Codec::fp16:
        return target.set(
            [from](std::int64_t i) { return Fp16::value_of(read<std::uint16_t>(from + 2 * i)); });
      case Codec::int8: {
        const float step = read<float>(from);
        return target.set(
            [=](std::int64_t i) { return step * static_cast<float>(read<std::int8_t>(from + 4 + i)); });
      }
      case Codec::sign: {
        const auto size = read<std::uint32_t>(from);
        return target.set([=](std::int64_t i) {
          return std::bit_cast<float>(size | (std::uint32_t{from[4 + i / 8]} >> (i % 8)) << 31);
        });
      }
      case Codec::topk:
        for (std::int64_t k = 0; k < message.size().value() / 8; ++k)
          target.values[read<std::uint32_t>(from + 8 * k)] +=
              static_cast<T>(read<float>(from + 8 * k + 4)) * factor;
        return;
      case Codec::none:
      case Codec::powersgd:
      case Codec::secure:
        break;
    }
    throw std::logic_error("this codec has no message");
  }

  void project(const LowRank& m, ConstView x, ConstView q, View p) override {
    const T *const X = x.as<T>().data(), *const Q = q.as<T>().data();
    T* const P = p.as<T>().data();
    for (std::int64_t row = 0; row < m.rows; ++row)
      for (std::int64_t k = 0; k < m.rank; ++k)
        P[k * m.rows + row] = dot(X + row * m.columns, Q + k * m.columns, m.columns);
  }

  /// Twice, since what is left after the first time may be little more than what was rounded (Giraud et al.
  /// 2005, doi:10.1007/s00211-005-0615-4).
  void orthonormalise(const LowRank& m, View p) override {
    T* const P = p.as<T>().data();
    std::vector<double> row(static_cast<std::size_t>(m.rows));
    for (std::int64_t k = 0; k < m.rank; ++k) {
      std::copy(P + k * m.rows, P + (k + 1) * m.rows, row.begin());
      const double before = length(row);
      for (int pass = 0; pass < 2; ++pass)
        for (std::int64_t other = 0; other < k; ++other) {
          double along = 0;
          for (std::int64_t i = 0; i < m.rows; ++i)
            along += row[static_cast<std::size_t>(i)] * static_cast<double>(P[other * m.rows + i]);
          for (std::int64_t i = 0; i < m.rows; ++i)
            row[static_cast<std::size_t>(i)] -= along * static_cast<double>(P[other * m.rows + i]);
        }
      const double left = length(row);
      const bool depends = left <= 1e-6 * before;
      for (std::int64_t i = 0; i < m.rows; ++i)
        P[k * m.rows + i] = depends ? T(0) : static_cast<T>(row[static_cast<std::size_t>(i)] / left);
    }
  }

  void complete(const LowRank& m, ConstView p, ConstView x, View residual, View q) override {
    const T *const P = p.as<T>().data(), *const X = x.as<T>().data();
    T* const Q = q.as<T>().data();
    std::ranges::fill(q.as<T>(), T(0));
    for (std::int64_t row = 0; row < m.rows; ++row)
      for (std::int64_t k = 0; k < m.rank; ++k) {
        const T factor = P[k * m.rows + row];
        for (std::int64_t j = 0; j < m.columns; ++j)
          Q[k * m.columns + j] += factor * X[row * m.columns + j];
      }
    if (residual.empty() || !all_finite(p) || !all_finite(q)) return;
    T* const R = residual.as<T>().data();
    for (std::int64_t row = 0; row < m.rows; ++row) {
      std::copy(X + row * m.columns, X + (row + 1) * m.columns, R + row * m.columns);
      for (std::int64_t k = 0; k < m.rank; ++k)
        for (std::int64_t j = 0; j < m.columns; ++j)
          R[row * m.columns + j] -= P[k * m.rows + row] * Q[k * m.columns + j];
    }
  }

  void multiply(const LowRank& m, ConstView p, ConstView q, View x) override {
    const T *const P = p.as<T>().data(), *const Q = q.as<T>().data();
    T* const X = x.as<T>().data();
    std::ranges::fill(x.as<T>(), T(0));
    for (std::int64_t row = 0; row < m.rows; ++row)
      for (std::int64_t k = 0; k < m.rank; ++k)
        for (std::int64_t j = 0; j < m.columns; ++j)
          X[row * m.columns + j] += P[k * m.rows + row] * Q[k * m.columns + j];
  }

  void keep(const LowRank& m, ConstView q, View basis) override {
    for (std::int64_t k = 0; k < m.rank; ++k) {
      const auto row = q.slice(Elements(k * m.columns), Elements(m.columns));
      const auto values = row.as<T>();
      if (all_finite(row) && std::ranges::any_of(values, [](T value) { return value != 0; }))
        std::ranges::copy(values, basis.as<T>().begin() + k * m.columns);
    }
  }

 private:
  /// What is encoded, and what it leaves.
  struct Source {
    const T* x;
    T* residual;  ///< null: none
    T scale;
    std::int64_t n;
    [[nodiscard]] T at(std::int64_t i) const { return scale * (residual ? x[i] + residual[i] : x[i]); }
  };
  /// Where decoded values go.
  struct Target {
    T* values;
    std::int64_t n;
    bool adds;
    T factor;
    template <class Value>
    void set(Value value) const {
      if (adds)
        for (std::int64_t i = 0; i < n; ++i)
          values[i] += static_cast<T>(value(i)) * factor;
      else
        for (std::int64_t i = 0; i < n; ++i)
          values[i] = static_cast<T>(value(i)) * factor;
    }
  };

  static T dot(const T* a, const T* b, std::int64_t n) {
    constexpr std::int64_t lanes = 16;
    T sums[lanes] = {};
    std::int64_t i = 0;
    for (; i + lanes <= n; i += lanes)
      for (std::int64_t lane = 0; lane < lanes; ++lane)
        sums[lane] += a[i + lane] * b[i + lane];
    for (std::int64_t lane = 0; i + lane < n; ++lane)
      sums[lane] += a[i + lane] * b[i + lane];
    T sum = 0;
    for (const T part : sums)
      sum += part;
    return sum;
  }
  static double square(T value) { return static_cast<double>(value) * static_cast<double>(value); }
  static double length(const std::vector<double>& values) {
    double sum = 0;
    for (const double value : values)
      sum += value * value;
    return std::sqrt(sum);
  }
  static bool all_finite(ConstView view) {
    bool finite = true;
    for (const T value : view.as<T>())
      finite = finite && std::isfinite(value);
    return finite;
  }

  /// Calls `each(i, value)` for what is encoded.
  template <class Each>
  static void for_each(const Source& s, Each each) {
    const T* const __restrict x = s.x;
    const T* const __restrict residual = s.residual;
    const T scale = s.scale;
    if (residual)
      for (std::int64_t i = 0; i < s.n; ++i)
        each(i, scale * (x[i] + residual[i]));
    else
      for (std::int64_t i = 0; i < s.n; ++i)
        each(i, scale * x[i]);
  }

  /// r ← x + r − sent ÷ scale, but where a value was sent that is not finite. `sent`: what a value is sent
  /// as.
  template <class Sent>
  static void leave_rest(const Source& s, Sent sent) {
    const T* const __restrict x = s.x;
    T* const __restrict residual = s.residual;
    const T scale = s.scale, back = 1 / scale, largest = std::numeric_limits<float>::max();
    if (!residual) return;
    for (std::int64_t i = 0; i < s.n; ++i) {
      const T value = scale * (x[i] + residual[i]), as = static_cast<T>(sent(static_cast<float>(value)));
      residual[i] = std::abs(as) <= largest ? (value - as) * back : residual[i];
    }
  }

  template <class Half>
  static void encode_halves(const Source& s, std::uint8_t* to) {
    for_each(s, [to](std::int64_t i, T value) { write(to + 2 * i, Half::of(static_cast<float>(value))); });
    leave_rest(s, [](float value) { return Half::value_of(Half::of(value)); });
  }

  static void encode_int8(const Source& s, std::uint8_t* to) {
    std::uint32_t most = 0;  // magnitudes are ordered as their bits, and NaN lies above infinity
    for_each(s,
             [&most](std::int64_t, T value) { most = std::max(most, magnitude(static_cast<float>(value))); });
    const float scale = std::bit_cast<float>(most) / 127;
    write(to, scale);
    const bool nothing = scale == 0 || !std::isfinite(scale);
    const float divisor = nothing ? 1 : scale, largest = nothing ? 0.0f : 127.0f;
    const auto steps = [=](float value) {
      return std::min(largest, std::max(-largest, std::nearbyint(value / divisor)));
    };
    for_each(s, [=](std::int64_t i, T value) {
      write(to + 4 + i, static_cast<std::int8_t>(steps(static_cast<float>(value))));
    });
    if (std::isfinite(scale)) leave_rest(s, [=](float value) { return scale * steps(value); });
  }

  static void encode_signs(const Source& s, std::uint8_t* to) {
    constexpr std::int64_t lanes = 16;
    double sums[lanes] = {};
    std::int64_t whole = 0;
    for (; whole + lanes <= s.n; whole += lanes)
      for (std::int64_t lane = 0; lane < lanes; ++lane)
        sums[lane] += square(s.at(whole + lane));
    for (std::int64_t lane = 0; whole + lane < s.n; ++lane)
      sums[lane] += square(s.at(whole + lane));
    double sum = 0;
    for (const double part : sums)
      sum += part;
    const auto scale = static_cast<float>(std::sqrt(sum / static_cast<double>(s.n)));
    write(to, scale);
    for (std::int64_t i = 0; i < s.n; i += 8) {
      unsigned bits = 0;
      if (i + 8 <= s.n)
        for (std::int64_t bit = 0; bit < 8; ++bit)
          bits |= static_cast<unsigned>(s.at(i + bit) < 0) << bit;
      else
        for (std::int64_t bit = 0; i + bit < s.n; ++bit)
          bits |= static_cast<unsigned>(s.at(i + bit) < 0) << bit;
      to[4 + i / 8] = static_cast<std::uint8_t>(bits);
    }
    if (std::isfinite(scale)) leave_rest(s, [=](float value) { return value < 0 ? -scale : scale; });
  }

  /// The magnitude of the k-th largest, and how many of that magnitude are among the k: digit by digit, from
  /// the most significant, those with the same digits above are counted by their next one.
  struct Threshold {
    std::uint32_t magnitude;
    std::int64_t equal;
  };
  static Threshold threshold(const Source& s, std::int64_t k) {
    constexpr int digits[] = {20, 10, 0};  // 11, 10 and 10 bits
    std::uint32_t prefix = 0;
    int above = 31;
    for (const int shift : digits) {
      std::array<std::int64_t, 2048> counts{};
      const auto mask = (1u << (above - shift)) - 1;
      for (std::int64_t i = 0; i < s.n; ++i) {
        const auto bits = magnitude(static_cast<float>(s.at(i)));
        if (std::uint64_t{bits} >> above == prefix) ++counts[(bits >> shift) & mask];
      }
      auto digit = static_cast<std::size_t>(mask);
      for (; counts[digit] < k; --digit)
        k -= counts[digit];
      prefix = prefix << (above - shift) | static_cast<std::uint32_t>(digit);
      above = shift;
    }
    return {prefix, k};
  }

  static void encode_largest(const Source& s, std::int64_t kept, std::uint8_t* to) {
    auto [least, equal] = threshold(s, kept);
    for (std::int64_t i = 0; i < s.n; ++i) {
      const T value = s.at(i);
      const auto sent = static_cast<float>(value);
      const auto bits = magnitude(sent);
      const bool goes = bits > least || (bits == least && equal > 0);
      if (bits == least && goes) --equal;
      if (s.residual && std::isfinite(sent))
        s.residual[i] = (goes ? value - static_cast<T>(sent) : value) / s.scale;
      if (!goes) continue;
      write(to, static_cast<std::uint32_t>(i));
      write(to + 4, sent);
      to += 8;
    }
  }
};

}  // namespace

std::unique_ptr<Codecs> make_host_codecs(DataType type) {
  if (type == DataType::float64) return std::make_unique<HostCodecs<double>>();
  return std::make_unique<HostCodecs<float>>();
}

}  // namespace partita::kernels
