/// bfloat16 with CUDA's names: the upper half of a float, rounded to nearest even.
#pragma once

#include <bit>
#include <cstdint>

#include "cuda_runtime.h"

struct __nv_bfloat16_raw {
  unsigned short x;
};

struct alignas(2) __nv_bfloat16 {
  std::uint16_t bits;

  __nv_bfloat16() = default;
  constexpr __nv_bfloat16(float value) : bits(round(value)) {}
  constexpr __nv_bfloat16(__nv_bfloat16_raw raw) : bits(raw.x) {}
  constexpr operator float() const { return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16); }

  static constexpr std::uint16_t round(float value) {
    const auto b = std::bit_cast<std::uint32_t>(value);
    if ((b & 0x7FFFFFFF) > 0x7F800000) return 0x7FFF;  // as the hardware's conversion makes NaN
    return static_cast<std::uint16_t>((b + 0x7FFF + (b >> 16 & 1)) >> 16);
  }
};

struct alignas(4) __nv_bfloat162 {
  __nv_bfloat16 x, y;
};

using nv_bfloat16 = __nv_bfloat16;
using nv_bfloat162 = __nv_bfloat162;

constexpr __nv_bfloat16 __float2bfloat16(float a) { return {a}; }
constexpr __nv_bfloat16 __float2bfloat16_rn(float a) { return {a}; }
constexpr float __bfloat162float(__nv_bfloat16 a) { return static_cast<float>(a); }
constexpr __nv_bfloat162 __floats2bfloat162_rn(float a, float b) { return {a, b}; }
constexpr __nv_bfloat162 __float22bfloat162_rn(float2 a) { return {a.x, a.y}; }
constexpr float2 __bfloat1622float2(__nv_bfloat162 a) { return {a.x, a.y}; }
constexpr float __low2float(__nv_bfloat162 a) { return a.x; }
constexpr float __high2float(__nv_bfloat162 a) { return a.y; }
constexpr __nv_bfloat162 __halves2bfloat162(__nv_bfloat16 a, __nv_bfloat16 b) { return {a, b}; }
constexpr __nv_bfloat16 __ushort_as_bfloat16(unsigned short x) { return {__nv_bfloat16_raw{x}}; }
constexpr unsigned short __bfloat16_as_ushort(__nv_bfloat16 x) { return x.bits; }
