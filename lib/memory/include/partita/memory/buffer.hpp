/// Memory on a device, and host memory that copies to it reach without a detour; both owned and zeroed.
#pragma once

#include <utility>

#include "partita/kernels/device.hpp"

namespace partita::memory {

/// Where a buffer lies: in the device's memory, or on the host beside it.
enum class Place { device, host };

/// Zeroed memory of a device. The device outlives it. A buffer of no bytes holds nothing.
template <Place place>
class Buffer {
 public:
  Buffer() = default;
  Buffer(kernels::Device& device, kernels::Bytes bytes) : device_(&device), size_(bytes) {
    if (bytes.value() == 0) return;
    data_ = place == Place::device ? device.allocate(bytes) : device.allocate_host(bytes);
  }
  ~Buffer() {
    if (!data_) return;
    if constexpr (place == Place::device)
      device_->release(data_);
    else
      device_->release_host(data_);
  }
  Buffer(Buffer&& other) noexcept { swap(other); }
  Buffer& operator=(Buffer&& other) noexcept {
    Buffer taken(std::move(other));
    swap(taken);
    return *this;
  }

  [[nodiscard]] kernels::Bytes size() const { return size_; }
  [[nodiscard]] std::span<std::byte> bytes() const {
    return {data_, static_cast<std::size_t>(size_.value())};
  }
  /// `n` elements of `type`, `from` bytes behind the beginning. Throws std::out_of_range where they leave the
  /// buffer.
  [[nodiscard]] kernels::View view(kernels::DataType type, kernels::Elements n,
                                   kernels::Bytes from = kernels::Bytes(0)) const {
    if ((from + bytes_of(type, n)) > size_) throw std::out_of_range("a view leaves its buffer");
    return {data_ + from.value(), type, n};
  }

 private:
  void swap(Buffer& other) noexcept {
    std::swap(device_, other.device_);
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
  }
  kernels::Device* device_ = nullptr;
  std::byte* data_ = nullptr;
  kernels::Bytes size_{};
};

using DeviceBuffer = Buffer<Place::device>;
using PinnedBuffer = Buffer<Place::host>;

/// A buffer of at least `bytes` that other processes may open. On a device it takes whole blocks of 2 MiB, as
/// the CUDA documentation asks of memory that is shared: what is opened is the block, with whatever else of
/// this process lies in it.
inline DeviceBuffer shareable(kernels::Device& device, kernels::Bytes bytes) {
  constexpr std::int64_t block = std::int64_t{2} << 20;
  if (device.is_host()) return {device, bytes};
  return {device, kernels::Bytes((bytes.value() + block - 1) / block * block)};
}

}  // namespace partita::memory
