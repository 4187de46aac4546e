/// The CUDA device as the contract's: queues that are behind, events, recordings that are issued again.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <vector>

#include "on_device.hpp"
#include "partita/kernels/cuda/backend.hpp"

namespace partita::tests {
namespace {

using namespace kernels;
using Queue = Device::Queue;

class CudaDevice : public testing::Test {
 protected:
  /// Zeroed memory of the device, and pinned memory of the host, of n elements.
  template <class T>
  View there(std::int64_t n) {
    auto* data = device.allocate(bytes_of(data_type_of<T>(), Elements(n)));
    allocated_.push_back(data);
    return {data, data_type_of<T>(), Elements(n)};
  }
  template <class T>
  std::span<T> here(std::int64_t n) {
    auto* data = device.allocate_host(Bytes(n * static_cast<std::int64_t>(sizeof(T))));
    pinned_.push_back(data);
    return {reinterpret_cast<T*>(data), static_cast<std::size_t>(n)};
  }
  void wait(const Device::Event& event) {
    while (!device.reached(event)) {
    }
  }
  void TearDown() override {
    device.synchronize();
    for (auto* data : allocated_)
      device.release(data);
    for (auto* data : pinned_)
      device.release_host(data);
  }

  std::unique_ptr<Backend> backend = cuda::make_cuda_backend({});
  Device& device = backend->device();

 private:
  std::vector<std::byte*> allocated_, pinned_;
};

TEST_F(CudaDevice, SaysWhatItIs) {
  EXPECT_FALSE(device.is_host());
  EXPECT_TRUE(device.records());
  EXPECT_NE(device.name().find('('), std::string::npos) << device.name();
  EXPECT_EQ(backend->name(), "cuda");
  EXPECT_EQ(backend->image_layout(), Layout::nchw);
  EXPECT_THROW(static_cast<void>(cuda::make_cuda_backend({.device = 1000})), std::runtime_error);
}

TEST_F(CudaDevice, GivesZeroedMemoryOnItsBoundary) {
  for (const std::int64_t n : {1, 3, 1000}) {
    const View x = there<float>(n);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(x.data()) % 256, 0U);
    const auto out = here<float>(n);
    std::fill(out.begin(), out.end(), 1.0F);
    device.copy(Queue::fetch, out, x);
    device.synchronize();
    EXPECT_EQ(out.front(), 0);
    EXPECT_EQ(out.back(), 0);
  }
  EXPECT_EQ(device.allocate(Bytes(0)), nullptr);
  EXPECT_THROW(static_cast<void>(device.allocate(Bytes(std::int64_t{1} << 60))), std::bad_alloc);
  EXPECT_THROW(device.copy(Queue::store, there<float>(2), there<float>(3)), std::logic_error);
}

TEST_F(CudaDevice, OrdersItsQueuesByEvents) {
  constexpr std::int64_t n = 10'000;
  const auto in = here<float>(n), out = here<float>(n);
  for (std::size_t i = 0; i < in.size(); ++i)
    in[i] = static_cast<float>(i) - 5000;
  const View x = there<float>(n), y = there<float>(n);
  const auto stored = device.make_event(), computed = device.make_event(), fetched = device.make_event();
  EXPECT_TRUE(device.reached(*fetched)) << "never recorded";
  device.begin_range("test");
  device.copy(Queue::store, x, in);
  device.record(*stored, Queue::store);
  device.after(*stored, Queue::compute);
  backend->relu_forward(x, y);
  device.record(*computed, Queue::compute);
  device.after(*computed, Queue::fetch);
  device.copy(Queue::fetch, out, y);
  device.record(*fetched, Queue::fetch);
  device.end_range();
  wait(*fetched);
  EXPECT_TRUE(device.reached(*stored) && device.reached(*computed));
  EXPECT_GE(device.seconds_between(*stored, *computed), 0);
  for (std::size_t i = 0; i < in.size(); ++i)
    ASSERT_EQ(out[i], std::max(0.0F, in[i])) << i;
}

/// Kernels read what changes from step to step from memory: the recording stays.
TEST_F(CudaDevice, IssuesARecordingAgainWithOtherValues) {
  const View w = there<float>(2), g = there<float>(2), v = there<float>(2), sums = there<double>(2);
  const View values = there<std::uint8_t>(sizeof(StepValues)), non_finite_step = there<std::int64_t>(1);
  const auto step = here<StepValues>(1);
  const auto start = here<float>(2), out = here<float>(2);
  const auto none = here<std::int64_t>(1), seen = here<std::int64_t>(1);
  start[0] = 1, start[1] = 2, none[0] = -1;
  device.copy(Queue::compute, g, start);
  device.copy(Queue::compute, non_finite_step, none);
  const auto update = [&] {
    const View states[] = {v};
    backend->update({}, {.step = static_cast<const StepValues*>(values.data()),
                         .sums = sums,
                         .w = w,
                         .g = g,
                         .states = states,
                         .non_finite_step = static_cast<std::int64_t*>(non_finite_step.data())});
  };
  const auto end = device.make_event();
  device.begin_recording();
  update();
  device.record(*end, Queue::compute);
  const auto graph = device.end_recording();
  float expected = 0;
  for (const double rate : {0.5, 0.25, 2.0}) {
    step[0] = {.learning_rate = rate, .step = 3};
    device.copy(
        Queue::compute, values,
        ConstView(step.data(), DataType::uint8, Elements(static_cast<std::int64_t>(sizeof(StepValues)))));
    device.issue(*graph);
    wait(*end);  // of this issue, no earlier one
    expected -= static_cast<float>(rate);
    device.copy(Queue::fetch, out, w);
    device.copy(Queue::fetch, seen, non_finite_step);
    device.synchronize();
    EXPECT_EQ(out[0], expected);
    EXPECT_EQ(out[1], 2 * expected);
    EXPECT_EQ(seen[0], -1);
  }
}

/// A copy beside a kernel inside a recording: the queue joins, and the end waits for it.
TEST_F(CudaDevice, RecordsCopiesBesideKernels) {
  constexpr std::int64_t n = 1000;
  const auto in = here<float>(n), out = here<float>(n);
  const View x = there<float>(n), y = there<float>(n), z = there<float>(n);
  const auto before = device.make_event(), forked = device.make_event(), fetched = device.make_event(),
             end = device.make_event();
  device.begin_recording();
  device.after(*before, Queue::compute);  // at each issue the latest
  backend->relu_forward(x, y);
  device.record(*forked, Queue::compute);
  device.after(*forked, Queue::fetch);
  device.copy(Queue::fetch, out, y);
  backend->relu_forward(y, z);
  device.record(*fetched, Queue::fetch);
  device.after(*fetched, Queue::compute);
  device.record(*end, Queue::compute);
  const auto graph = device.end_recording();
  for (float value : {3.0F, 4.0F, -1.0F}) {
    std::fill(in.begin(), in.end(), value);
    device.copy(Queue::store, x, in);
    device.record(*before, Queue::store);
    device.issue(*graph);
    wait(*end);
    EXPECT_TRUE(device.reached(*fetched));
    EXPECT_GE(device.seconds_between(*forked, *fetched), 0) << "events of a recording tell the time too";
    EXPECT_EQ(out.front(), std::max(0.0F, value));
    EXPECT_EQ(out.back(), std::max(0.0F, value));
  }
}

TEST_F(CudaDevice, SharesMemoryByAHandleOnly) {
  const View x = there<float>(4);
  const auto shared = device.share(static_cast<std::byte*>(x.data()));
  EXPECT_TRUE(shared.available);
  EXPECT_THROW(static_cast<void>(device.open({})), std::logic_error);
}

/// An element of a matrix of small integers.
float integer(std::int64_t i, std::int64_t j) { return static_cast<float>((i * 7 + j * 3) % 11 - 5); }

/// op(X) [rows, columns] of such integers as it is stored, rows `beyond` elements longer than they need be.
std::vector<float> stored(std::int64_t rows, std::int64_t columns, bool transposed, std::int64_t beyond) {
  const std::int64_t leading = (transposed ? rows : columns) + beyond;
  std::vector<float> x(static_cast<std::size_t>((transposed ? columns : rows) * leading), 99);
  for (std::int64_t i = 0; i < rows; ++i)
    for (std::int64_t j = 0; j < columns; ++j)
      x[static_cast<std::size_t>(transposed ? j * leading + i : i * leading + j)] = integer(i, j);
  return x;
}

void check_product_of_integers(Backend& backend, bool transpose_a, bool transpose_b) {
  constexpr std::int64_t m = 33, n = 20, k = 45, beyond = 3;
  const auto a = stored(m, k, transpose_a, beyond), b = stored(k, n, transpose_b, 0);
  std::vector<float> c(m * n), sums(m);
  const auto plan = backend.plan_gemm({.m = m,
                                       .n = n,
                                       .k = k,
                                       .transpose_a = transpose_a,
                                       .transpose_b = transpose_b,
                                       .row_a = (transpose_a ? m : k) + beyond,
                                       .row_sums = true});
  plan->run({.a = std::span(a), .b = std::span(b), .c = std::span(c), .row_sums = std::span(sums)}, {});
  for (std::int64_t i = 0; i < m; ++i) {
    float row = 0;
    for (std::int64_t p = 0; p < k; ++p)
      row += integer(i, p);
    EXPECT_EQ(sums[static_cast<std::size_t>(i)], row) << i;
    for (std::int64_t j = 0; j < n; ++j) {
      float sum = 0;
      for (std::int64_t p = 0; p < k; ++p)
        sum += integer(i, p) * integer(p, j);
      ASSERT_EQ(c[static_cast<std::size_t>(i * n + j)], sum)
          << i << ' ' << j << ' ' << transpose_a << transpose_b;
    }
  }
}

/// Small integers are exact in bfloat16 and TF32, so that every precision gives the same product.
TEST(CudaProducts, OfEveryPrecisionAgreeOnIntegers) {
  for (const auto precision : {cuda::Precision::fp32, cuda::Precision::tf32, cuda::Precision::bf16}) {
    const auto cuda = cuda::make_cuda_backend({.precision = precision});
    OnDevice::Memory memory(cuda->device());
    OnDevice backend(*cuda, memory);
    for (int flags = 0; flags < 4; ++flags)
      check_product_of_integers(backend, (flags & 1) != 0, (flags & 2) != 0);
  }
}

}  // namespace
}  // namespace partita::tests
