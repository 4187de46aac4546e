/// Operands of benchmarked products: device memory, normal numbers, and some elements of the product in
/// double.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>
#include <utility>
#include <vector>

#include "device.hpp"
#include "gemm/family.hpp"

namespace partita::kernels::cuda::yardstick {

/// Device memory that is given back at the end.
class Memory {
 public:
  Memory(CudaDevice& device, Bytes bytes) : device_(&device), data_(device.allocate(bytes)), bytes_(bytes) {}
  Memory(Memory&& other) noexcept
      : device_(other.device_), data_(std::exchange(other.data_, nullptr)), bytes_(other.bytes_) {}
  ~Memory() {
    if (data_ != nullptr) device_->release(data_);
  }
  Memory& operator=(Memory&&) = delete;
  [[nodiscard]] std::byte* data() const { return data_; }
  [[nodiscard]] Bytes bytes() const { return bytes_; }

 private:
  CudaDevice* device_;
  std::byte* data_;
  Bytes bytes_;
};

/// Standard normal numbers, `stream_number` tells sequences apart; float32 or bfloat16.
void fill_normal(void* data, std::int64_t n, bool bf16, std::uint64_t stream_number, cudaStream_t);

/// Elements of C = op(A)·op(B) in double, of operands fetched from the device.
class ExpectedElements {
 public:
  ExpectedElements(const gemm::Arguments&, gemm::Arithmetic, cudaStream_t);
  /// The largest error of C, which lies on the device, relative to what rounding allows; infinite where one
  /// is not a number.
  [[nodiscard]] double error_of(const void* c, cudaStream_t) const;

 private:
  struct Element {
    std::int64_t index;
    double value;
  };
  std::vector<Element> elements_;
  std::int64_t size_ = 0;
  bool c_is_bf16_ = false;
  double allowed_ = 0;
};

}  // namespace partita::kernels::cuda::yardstick
