/// Terms are added in the order in which they are given, a block that stays in the first-level cache at a
/// time, by loops that the compiler vectorises.
#include "combine.hpp"

#include <algorithm>
#include <cstring>
#include <type_traits>

namespace partita::comm {
namespace {

using collective::Combine;
using kernels::DataType;

struct Sum {
  /// Of whole numbers mod 2ⁿ.
  template <class T>
  static T apply(T a, T b) {
    if constexpr (std::is_integral_v<T>) {
      using Word = std::make_unsigned_t<T>;
      return static_cast<T>(static_cast<Word>(static_cast<Word>(a) + static_cast<Word>(b)));
    } else {
      return a + b;
    }
  }
};
struct Max {
  template <class T>
  static T apply(T a, T b) {
    return a < b ? b : a;
  }
};

/// Elements that stay in the first-level cache while several sources are combined.
constexpr std::int64_t block = 1024;

template <class T, class Op>
void two(T* target, const T* a, const T* b, std::int64_t n) {
#pragma GCC ivdep
  for (std::int64_t i = 0; i < n; ++i)
    target[i] = Op::apply(a[i], b[i]);
}

template <class T, class Op>
void many(void* target, std::span<const void* const> sources, std::int64_t n) {
  const auto source = [&](std::size_t s) { return static_cast<const T*>(sources[s]); };
  auto* out = static_cast<T*>(target);
  if (sources.size() == 2) return two<T, Op>(out, source(0), source(1), n);
  T sums[block];
  for (std::int64_t begin = 0; begin < n; begin += block) {
    const std::int64_t count = std::min(block, n - begin);
    std::copy_n(source(0) + begin, count, sums);
    for (std::size_t s = 1; s < sources.size(); ++s)
      two<T, Op>(sums, sums, source(s) + begin, count);
    std::copy_n(sums, count, out + begin);
  }
}

template <class Op>
void dispatch(void* target, std::span<const void* const> sources, std::int64_t n, DataType type) {
  switch (type) {
    case DataType::uint8:
      return many<std::uint8_t, Op>(target, sources, n);
    case DataType::int32:
      return many<std::int32_t, Op>(target, sources, n);
    case DataType::int64:
      return many<std::int64_t, Op>(target, sources, n);
    case DataType::float32:
      return many<float, Op>(target, sources, n);
    case DataType::float64:
      return many<double, Op>(target, sources, n);
  }
}

}  // namespace

void combine_sources(void* target, std::span<const void* const> sources, std::int64_t n, DataType type,
                     Combine combine) {
  if (n == 0) return;
  if (combine == Combine::copy) {
    if (target != sources.back())
      std::memcpy(target, sources.back(), static_cast<std::size_t>(n * kernels::size_of(type)));
  } else if (combine == Combine::sum) {
    dispatch<Sum>(target, sources, n, type);
  } else {
    dispatch<Max>(target, sources, n, type);
  }
}

void combine_into(void* target, const void* source, std::int64_t n, DataType type, Combine combine) {
  const void* sources[] = {target, source};
  combine_sources(target, sources, n, type, combine);
}

}  // namespace partita::comm
