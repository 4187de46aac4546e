/// Threads, shared memory, barriers, warps: right kernels give right results in every order, wrong ones are
/// found.
#include <cuda_runtime.h>
#include <gtest/gtest.h>

#include <vector>

#include "cuda_on_host/control.hpp"
#include "device.hpp"
#include "ptx/async_copy.hpp"
#include "ptx/shared_memory.hpp"

namespace {

using namespace partita;
using namespace cuda_on_host::testing;

std::vector<float> ramp(int n) {
  std::vector<float> v(n);
  for (int i = 0; i < n; ++i)
    v[i] = static_cast<float>(i % 97) - 31;
  return v;
}

__global__ void add(int n, const float* a, const float* b, float* c) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < n) c[i] = a[i] + b[i];
}

TEST(Threads, AddVectors) {
  const int n = 100003;
  const auto values = ramp(n);
  const Floats a(values), b(values), c(std::vector<float>(n, 0));
  run(add, {391 + 1, 256, 0}, n, a.data, b.data, c.data);
  const auto result = c.get();
  for (int i = 0; i < n; ++i)
    ASSERT_EQ(2 * values[i], result[i]);
}

template <bool Wait>
__global__ void reverse(float* values) {
  float* const shared = ptx::shared_memory<float>();
  shared[threadIdx.x] = values[threadIdx.x];
  if (Wait) __syncthreads();
  values[threadIdx.x] = shared[blockDim.x - 1 - threadIdx.x];
}

TEST(Threads, SharedMemoryBehindABarrier) {
  const auto values = ramp(128);
  const Floats right(values), wrong(values);
  run(reverse<true>, {1, 128, 512}, right.data);
  EXPECT_EQ(std::vector<float>(values.rbegin(), values.rend()), right.get());
  run(reverse<false>, {1, 128, 512}, wrong.data);
  EXPECT_NE(std::vector<float>(values.rbegin(), values.rend()), wrong.get());
}

__global__ void sum(int n, const float* values, float* result) {
  __shared__ float of_warp[32];
  float s = 0;
  for (int i = threadIdx.x; i < n; i += blockDim.x)
    s += values[i];
  for (int lanes = 16; lanes > 0; lanes /= 2)
    s += __shfl_xor_sync(0xFFFFFFFF, s, lanes);
  if (threadIdx.x % 32 == 0) of_warp[threadIdx.x / 32] = s;
  __syncthreads();
  if (threadIdx.x < 32) {
    s = threadIdx.x < blockDim.x / 32 ? of_warp[threadIdx.x] : 0;
    for (int lanes = 16; lanes > 0; lanes /= 2)
      s += __shfl_down_sync(0xFFFFFFFF, s, lanes);
    if (threadIdx.x == 0) *result = s;
  }
}

TEST(Threads, SumOfABlock) {
  const auto values = ramp(5000);
  float expected = 0;
  for (const float v : values)
    expected += v;
  const Floats in(values), out({0});
  for (const unsigned threads : {32, 256, 1024}) {
    run(sum, {1, threads, 0}, 5000, in.data, out.data);
    EXPECT_EQ(expected, out.get()[0]);
  }
}

__global__ void half_waits() {
  if (threadIdx.x < 32) __syncthreads();
}

TEST(Threads, ABarrierThatSomeNeverReachIsFound) {
  const auto text = fault_of([] { run(half_waits, {2, 64, 0}); });
  EXPECT_NE(std::string::npos, text.find("deadlock: 32 threads wait, 32 have ended")) << text;
}

__global__ void waits_at_one_of_two(int* value) {
  if (threadIdx.x % 2 == 0)
    *value += __syncthreads_count(1);
  else
    *value += __syncthreads_count(0);
}

TEST(Threads, BarriersCountPredicates) {
  const Array<int> value({0});
  run(waits_at_one_of_two, {1, 64}, value.data);
  EXPECT_EQ(64 * 32, value.get()[0]);
}

__global__ void votes(unsigned* result) {
  const unsigned odd = __ballot_sync(0xFFFFFFFF, threadIdx.x % 2);
  const int any = __any_sync(0xFFFFFFFF, threadIdx.x == 3), all = __all_sync(0xFFFFFFFF, threadIdx.x < 31);
  const unsigned from = __shfl_sync(0xFFFFFFFF, threadIdx.x, 5, 8),
                 up = __shfl_up_sync(0xFFFFFFFF, threadIdx.x, 2, 8);
  result[threadIdx.x] = odd ^ static_cast<unsigned>(any << 1 | all) ^ from << 8 ^ up << 16;
}

TEST(Threads, VotesAndShufflesInParts) {
  const Array<unsigned> result(std::vector<unsigned>(32, 0));
  run(votes, {1, 32}, result.data);
  for (unsigned l = 0; l < 32; ++l)
    EXPECT_EQ(0xAAAAAAAA ^ 2 ^ (l / 8 * 8 + 5) << 8 ^ (l % 8 < 2 ? l : l - 2) << 16, result.get()[l]) << l;
}

__global__ void reads_unwritten(float* to) { *to = ptx::shared_memory<float>()[3]; }

TEST(Threads, WhatWasNotWrittenIsNaN) {
  const Floats out({0});
  run(reads_unwritten, {2, 1, 64}, out.data);
  EXPECT_TRUE(std::isnan(out.get()[0]));
  float* fresh = nullptr;
  cudaMalloc(&fresh, 4);
  float value = 0;
  cudaMemcpy(&value, fresh, 4, cudaMemcpyDeviceToHost);
  cudaFree(fresh);
  EXPECT_TRUE(std::isnan(value));
}

__global__ void write_shared_at(int i) { ptx::shared_memory<char>()[i] = 1; }
__global__ void write_at(float* p) { *p = 1; }
__global__ void read_at(const float* p, float* to) { *to = *p; }

TEST(Threads, WritesBesideSharedMemoryAreFound) {
  EXPECT_EQ("", fault_of([] { run(write_shared_at, {1, 1, 100}, 99); }));
  for (const int i : {100, 128, -1})
    EXPECT_NE("", fault_of([=] { run(write_shared_at, {1, 1, 100}, i); })) << i;
}

__global__ void write_within(char* p) { p[0] = 0; }

TEST(Threads, WritesIntoTheSlackBehindAnAllocationAreFoundLater) {
  char* p = nullptr;
  cudaMalloc(&p, 100);
  EXPECT_NE("", fault_of([&] { run(write_within, {1, 1}, p + 100); }));
  EXPECT_EQ("", fault_of([&] {
              cudaMemset(p, 0xFF, 100);
              run(write_within, {1, 1}, p + 99);
            }));
  cudaFree(p);
}

TEST(Threads, AccessesBesideAllocationsAreFound) {
  const Floats a(ramp(100)), b(ramp(100));
  EXPECT_NE("", fault_of([&] { run(read_at, {1, 1, 0}, a.data + 128, b.data); }));
  EXPECT_NE("", fault_of([&] { run(write_at, {1, 1, 0}, a.data + 128); }));
  run(write_at, {1, 1, 0}, a.data + 99);
  EXPECT_EQ(1, a.get()[99]);
}

__global__ void copy_four(const float* from, float* to) {
  *reinterpret_cast<float4*>(to) = *reinterpret_cast<const float4*>(from);
}

TEST(Threads, VectorsOnWrongBoundariesAreFound) {
  const Floats a(ramp(100)), b(ramp(100));
  EXPECT_EQ("", fault_of([&] { run(copy_four, {}, a.data + 4, b.data); }));
  EXPECT_NE("", fault_of([&] { run(copy_four, {}, a.data + 2, b.data); }));
}

TEST(ThreadsDeathTest, TheHostCannotTouchDeviceMemory) {
  const Floats a(ramp(100));
  EXPECT_DEATH(*a.data = 1, "host access to byte 0 of an allocation of 400 bytes on the device");
}

template <bool Wait>
__global__ void through_async_copy(const float* from, float* to) {
  float* const shared = ptx::shared_memory<float>();
  ptx::copy_async_4(shared + threadIdx.x, from + threadIdx.x, threadIdx.x != 5);
  ptx::copy_async_commit();
  if (Wait) ptx::copy_async_wait<0>();
  __syncthreads();
  to[threadIdx.x] = shared[threadIdx.x ^ 1];
}

TEST(Threads, AsynchronousCopiesAreSeenAfterAWait) {
  auto expected = ramp(64);
  const Floats from(expected), to(expected);
  expected[5] = 0;
  for (std::size_t i = 0; i < 64; i += 2)
    std::swap(expected[i], expected[i + 1]);
  run(through_async_copy<true>, {1, 64, 256}, from.data, to.data);
  EXPECT_EQ(expected, to.get());
  cuda_on_host::set_order(cuda_on_host::Order::forward);
  run(through_async_copy<false>, {1, 64, 256}, from.data, to.data);
  EXPECT_NE(expected, to.get());
}

}  // namespace
