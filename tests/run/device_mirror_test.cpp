/// What orders the copies of a mirror against the kernels and the image, one queue asked to go on at a time.
#include "partita/device/device_mirror.hpp"

#include <gtest/gtest.h>

#include <numeric>

#include "partita/kernels/cuda/backend.hpp"
#include "partita/memory/buffer.hpp"

namespace partita::tests {
namespace {

using kernels::DataType;
using kernels::Elements;
using Queue = kernels::Device::Queue;

constexpr std::int64_t n = 1000;

struct DeviceMirror : ::testing::Test {
  std::unique_ptr<kernels::Backend> cuda = kernels::cuda::make_cuda_backend({});
  kernels::Device& device = cuda->device();
  memory::DeviceBuffer x_memory{device, kernels::Bytes(4 * n)}, y_memory{device, kernels::Bytes(4 * n)};
  memory::PinnedBuffer image_memory{device, kernels::Bytes(4 * n)},
      seen_memory{device, kernels::Bytes(4 * n)};
  kernels::View x = x_memory.view(DataType::float32, Elements(n)),
                y = y_memory.view(DataType::float32, Elements(n));
  kernels::View image = image_memory.view(DataType::float32, Elements(n)),
                seen = seen_memory.view(DataType::float32, Elements(n));
  device::DeviceMirror mirror{device, x, image};

  void fill(float first) {
    const auto values = image.as<float>();
    std::iota(values.begin(), values.end(), first);
  }
  void expect_on_device(kernels::View where, float first) {
    device.copy(Queue::compute, seen, where);
    device.synchronize();
    for (std::size_t i = 0; i < n; ++i)
      ASSERT_EQ(seen.as<float>()[i], first + static_cast<float>(i));
  }
  void SetUp() override {
    fill(1);
    device.copy(Queue::compute, x, image);
    device.synchronize();
  }
};

TEST_F(DeviceMirror, StoresBehindTheKernelsThatReadWhatItStoresOver) {
  cuda->relu_forward(x, y);
  mirror.begin();
  fill(5000);
  mirror.store({0, n});
  mirror.release();
  while (!mirror.idle()) {  // asks the store queue alone
  }
  expect_on_device(y, 1);
  expect_on_device(x, 5000);
}

TEST_F(DeviceMirror, IsIdleOnceItsStoresHaveLeftTheImage) {
  fill(7000);
  mirror.begin();
  mirror.store({0, n});
  mirror.release();
  while (!mirror.idle()) {
  }
  fill(9000);
  expect_on_device(x, 7000);
}

TEST_F(DeviceMirror, KernelsBehindItsReleaseSeeWhatItStored) {
  fill(3000);
  mirror.begin();
  mirror.store({0, n});
  mirror.release();
  cuda->relu_forward(x, y);
  expect_on_device(y, 3000);
}

TEST_F(DeviceMirror, FetchesInTheOrderOfThePlanBehindTheKernelsThatMakeIt) {
  const std::vector<topology::Range> ranges{{n / 2, n}, {0, n / 2}};
  cuda->relu_forward(x, y);
  device::DeviceMirror of_y(device, y, image);
  of_y.plan_fetches(ranges);
  fill(-1);
  of_y.begin();
  while (!of_y.fetched(1)) {
  }
  EXPECT_EQ(image.as<float>()[n - 1], static_cast<float>(n));
  while (!of_y.fetched(2)) {
  }
  EXPECT_EQ(image.as<float>()[0], 1.0F);
}

}  // namespace
}  // namespace partita::tests
