/// Tensors in a device's memory, made of and fetched to the host's.
#pragma once

#include <random>
#include <utility>
#include <vector>

#include "partita/kernels/device.hpp"

namespace partita::bench_kernels {

using Floats = std::vector<float>;

inline Floats normal_numbers(std::int64_t n) {
  static std::mt19937 generator(1);
  std::normal_distribution<float> normal;
  Floats values(static_cast<std::size_t>(n));
  for (auto& value : values)
    value = normal(generator);
  return values;
}

/// Owned memory of a device.
class DeviceBytes {
 public:
  DeviceBytes(kernels::Device& device, kernels::Bytes bytes)
      : device_(&device), data_(device.allocate(bytes)), bytes_(bytes) {}
  DeviceBytes(DeviceBytes&& other) noexcept
      : device_(other.device_), data_(std::exchange(other.data_, nullptr)), bytes_(other.bytes_) {}
  DeviceBytes& operator=(DeviceBytes&&) = delete;
  ~DeviceBytes() {
    if (data_ != nullptr) device_->release(data_);
  }
  [[nodiscard]] std::span<std::byte> span() const {
    return {data_, static_cast<std::size_t>(bytes_.value())};
  }

 protected:
  [[nodiscard]] kernels::Device& device() const { return *device_; }

 private:
  kernels::Device* device_;
  std::byte* data_;
  kernels::Bytes bytes_;
};

/// A float32 tensor.
class DeviceTensor : public DeviceBytes {
 public:
  DeviceTensor(kernels::Device& device, const Floats& values)
      : DeviceBytes(device, bytes_of(kernels::DataType::float32,
                                     kernels::Elements(static_cast<std::int64_t>(values.size())))),
        size_(static_cast<std::int64_t>(values.size())) {
    set(values);
  }
  [[nodiscard]] kernels::View view() const {
    return {span().data(), kernels::DataType::float32, kernels::Elements(size_)};
  }
  void set(const Floats& values) const {
    device().copy(kernels::Device::Queue::compute, view(), std::span(values));
    device().synchronize();
  }
  [[nodiscard]] Floats values() const {
    Floats values(static_cast<std::size_t>(size_));
    device().copy(kernels::Device::Queue::compute, std::span(values), view());
    device().synchronize();
    return values;
  }

 private:
  std::int64_t size_;
};

}  // namespace partita::bench_kernels
