/// CUDA's built-in device functions, as far as the kernels use them.
#pragma once

#include <math.h>  // beside <cmath>: CUDA has its overloads in the global namespace too

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "cuda_on_host/execution.hpp"

inline void __syncthreads() { cuda_on_host::block_barrier(0, 0); }
inline int __syncthreads_count(int predicate) {
  return static_cast<int>(cuda_on_host::block_barrier(0, 0, predicate != 0));
}
inline int __syncthreads_or(int predicate) { return __syncthreads_count(predicate) != 0; }
inline int __syncthreads_and(int predicate) { return __syncthreads_count(predicate == 0) == 0; }
inline void __syncwarp(unsigned mask = 0xFFFFFFFF) {
  cuda_on_host::warp_collective(mask, "__syncwarp", nullptr, nullptr);
}

namespace cuda_on_host {
template <class T>
T shuffle_value(unsigned mask, T value, Shuffle kind, int lane, int width) {
  static_assert(std::is_trivially_copyable_v<T> && sizeof(T) <= 8);
  std::uint64_t bits = 0;
  std::memcpy(&bits, &value, sizeof(T));
  bits = shuffle(mask, bits, kind, lane, width);
  std::memcpy(&value, &bits, sizeof(T));
  return value;
}
}  // namespace cuda_on_host

template <class T>
T __shfl_sync(unsigned mask, T value, int lane, int width = 32) {
  return cuda_on_host::shuffle_value(mask, value, cuda_on_host::Shuffle::index, lane, width);
}
template <class T>
T __shfl_up_sync(unsigned mask, T value, unsigned delta, int width = 32) {
  return cuda_on_host::shuffle_value(mask, value, cuda_on_host::Shuffle::up, static_cast<int>(delta), width);
}
template <class T>
T __shfl_down_sync(unsigned mask, T value, unsigned delta, int width = 32) {
  return cuda_on_host::shuffle_value(mask, value, cuda_on_host::Shuffle::down, static_cast<int>(delta),
                                     width);
}
template <class T>
T __shfl_xor_sync(unsigned mask, T value, int lanes, int width = 32) {
  return cuda_on_host::shuffle_value(mask, value, cuda_on_host::Shuffle::exclusive_or, lanes, width);
}
inline unsigned __ballot_sync(unsigned mask, int predicate) {
  return cuda_on_host::ballot(mask, predicate != 0);
}
inline int __any_sync(unsigned mask, int predicate) {
  return cuda_on_host::ballot(mask, predicate != 0) != 0;
}
inline int __all_sync(unsigned mask, int predicate) {
  return cuda_on_host::ballot(mask, predicate == 0) == 0;
}

inline void __threadfence() {}
inline void __threadfence_block() {}
inline void __threadfence_system() {}
inline void __nanosleep(unsigned) { cuda_on_host::yield(); }

template <class T>
T __ldg(const T* p) {
  return *p;
}
template <class T>
T __ldcs(const T* p) {
  return *p;
}
template <class T>
T __ldcg(const T* p) {
  return *p;
}
template <class T>
T __ldca(const T* p) {
  return *p;
}
template <class T>
void __stcs(T* p, T value) {
  *p = value;
}
template <class T>
void __stcg(T* p, T value) {
  *p = value;
}

inline std::size_t __cvta_generic_to_shared(const void* p) { return cuda_on_host::shared_address(p); }

// Threads never run at the same time, so an atomic operation is a plain one.
template <class T>
T atomicAdd(T* p, std::type_identity_t<T> value) {
  const T old = *p;
  *p = static_cast<T>(old + value);
  return old;
}
template <class T>
T atomicSub(T* p, std::type_identity_t<T> value) {
  const T old = *p;
  *p = static_cast<T>(old - value);
  return old;
}
template <class T>
T atomicMax(T* p, std::type_identity_t<T> value) {
  const T old = *p;
  *p = old < value ? value : old;
  return old;
}
template <class T>
T atomicMin(T* p, std::type_identity_t<T> value) {
  const T old = *p;
  *p = value < old ? value : old;
  return old;
}
template <class T>
T atomicOr(T* p, std::type_identity_t<T> value) {
  const T old = *p;
  *p = old | value;
  return old;
}
template <class T>
T atomicAnd(T* p, std::type_identity_t<T> value) {
  const T old = *p;
  *p = old & value;
  return old;
}
template <class T>
T atomicExch(T* p, std::type_identity_t<T> value) {
  const T old = *p;
  *p = value;
  return old;
}
template <class T>
T atomicCAS(T* p, std::type_identity_t<T> expected, std::type_identity_t<T> value) {
  const T old = *p;
  if (old == expected) *p = value;
  return old;
}

inline int __float_as_int(float x) { return std::bit_cast<int>(x); }
inline unsigned __float_as_uint(float x) { return std::bit_cast<unsigned>(x); }
inline float __int_as_float(int x) { return std::bit_cast<float>(x); }
inline float __uint_as_float(unsigned x) { return std::bit_cast<float>(x); }
inline int __popc(unsigned x) { return std::popcount(x); }
inline int __clz(int x) { return std::countl_zero(static_cast<unsigned>(x)); }
inline int __ffs(int x) { return x == 0 ? 0 : std::countr_zero(static_cast<unsigned>(x)) + 1; }
inline unsigned __umulhi(unsigned a, unsigned b) {
  return static_cast<unsigned>(static_cast<std::uint64_t>(a) * b >> 32);
}
inline unsigned long long __umul64hi(unsigned long long a, unsigned long long b) {
  return static_cast<unsigned long long>(static_cast<unsigned __int128>(a) * b >> 64);
}
inline float __fmaf_rn(float a, float b, float c) { return std::fmaf(a, b, c); }
inline float __fadd_rn(float a, float b) { return a + b; }
inline float __fmul_rn(float a, float b) { return a * b; }
inline float __fdividef(float a, float b) { return a / b; }
inline float __frcp_rn(float a) { return 1.0F / a; }
inline float __fsqrt_rn(float a) { return std::sqrt(a); }
inline float __expf(float a) { return std::exp(a); }
inline float __logf(float a) { return std::log(a); }
inline float __saturatef(float a) { return a > 0 ? (a < 1 ? a : 1.0F) : 0.0F; }
inline float rsqrtf(float a) { return 1.0F / std::sqrt(a); }

template <class T>
requires std::is_arithmetic_v<T>
constexpr T min(T a, T b) { return b < a ? b : a; }
template <class T>
requires std::is_arithmetic_v<T>
constexpr T max(T a, T b) { return a < b ? b : a; }
