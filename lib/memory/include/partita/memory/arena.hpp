/// Memory that is taken once and handed out in pieces, so that a training step allocates nothing.
#pragma once

#include <cstddef>
#include <memory>
#include <span>

#include "partita/kernels/view.hpp"

namespace partita::memory {

/// Every piece starts on such a boundary: one cache line, one AVX-512 register.
inline constexpr std::int64_t alignment = 64;

/// `bytes` rounded up to the alignment.
constexpr kernels::Bytes padded(kernels::Bytes bytes) {
  return kernels::Bytes((bytes.value() + alignment - 1) / alignment * alignment);
}

/// Aligned host memory, zeroed, owned. A host buffer of no bytes holds nothing.
class HostBuffer {
 public:
  HostBuffer() = default;
  explicit HostBuffer(kernels::Bytes);
  [[nodiscard]] std::span<std::byte> bytes() const { return {data_.get(), size_}; }
  /// The first `n` elements of the buffer as `type`.
  [[nodiscard]] kernels::View view(kernels::DataType type, kernels::Elements n) const;

 private:
  struct Free {
    void operator()(std::byte*) const noexcept;
  };
  std::unique_ptr<std::byte, Free> data_;
  std::size_t size_ = 0;
};

/// Hands out aligned pieces of memory that somebody else owns (a host buffer, a shared window), front to
/// back. Asking for more than is left is a broken contract.
class Arena {
 public:
  explicit Arena(std::span<std::byte> storage) : storage_(storage) {}
  kernels::View allocate(kernels::DataType, kernels::Elements);
  [[nodiscard]] kernels::Bytes used() const { return used_; }

 private:
  std::span<std::byte> storage_;
  kernels::Bytes used_{};
};

}  // namespace partita::memory
