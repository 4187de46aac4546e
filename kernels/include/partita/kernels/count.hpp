/// Counts that cannot be mixed: an `Elements` is not a `Bytes` is not a `Samples`.
#pragma once

#include <compare>
#include <concepts>
#include <cstdint>
#include <iosfwd>

namespace partita::kernels {

/// A signed 64-bit count of one kind of thing. Construction is explicit, arithmetic stays within one kind.
template <class Tag>
class Count {
 public:
  constexpr Count() = default;
  constexpr explicit Count(std::int64_t value) : value_(value) {}

  [[nodiscard]] constexpr std::int64_t value() const { return value_; }

  constexpr Count& operator+=(Count other) { return value_ += other.value_, *this; }
  constexpr Count& operator-=(Count other) { return value_ -= other.value_, *this; }
  friend constexpr Count operator+(Count a, Count b) { return Count(a.value_ + b.value_); }
  friend constexpr Count operator-(Count a, Count b) { return Count(a.value_ - b.value_); }
  friend constexpr Count operator*(Count a, std::int64_t factor) { return Count(a.value_ * factor); }
  friend constexpr Count operator*(std::int64_t factor, Count a) { return Count(a.value_ * factor); }
  friend constexpr auto operator<=>(Count, Count) = default;
  template <class Traits>  // so that only who prints needs <ostream>
  friend std::basic_ostream<char, Traits>& operator<<(std::basic_ostream<char, Traits>& out, Count c) {
    return out << c.value_;
  }

 private:
  std::int64_t value_ = 0;
};

using Elements = Count<struct ElementsTag>;
using Bytes = Count<struct BytesTag>;
using Samples = Count<struct SamplesTag>;

static_assert(!std::equality_comparable_with<Elements, Bytes>);

}  // namespace partita::kernels
