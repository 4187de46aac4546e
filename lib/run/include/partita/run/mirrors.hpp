/// The buffers of transfers: host memory as it is, memory of a device with a mirror.
#pragma once

#include <memory>
#include <vector>

#include "partita/memory/buffer.hpp"
#include "partita/run/device_mirror.hpp"

namespace partita::run {

/// Owns the mirrors; outlives the transfers that are planned with them.
class Mirrors {
 public:
  /// `direct`: messages reach the device's memory.
  Mirrors(kernels::Device& device, bool direct) : device_(device), direct_(direct) {}

  /// For an operation that only moves data.
  comm::Buffer moved(kernels::View view) {
    if (device_.is_host()) return view;
    if (!direct_) return reduced(view);
    mirrors_.push_back(std::make_unique<DirectMirror>(device_, view));
    return comm::Buffer(*mirrors_.back());
  }

  /// For one that reduces, which the host does. `image`: memory for it that somebody else owns; empty: its
  /// own.
  comm::Buffer reduced(kernels::View view, kernels::View image = {}) {
    if (device_.is_host()) return view;
    if (image.empty() && !view.empty()) {
      images_.emplace_back(device_, view.bytes());
      image = images_.back().view(view.type(), view.size());
    }
    if (view.empty()) image = kernels::View(nullptr, view.type(), kernels::Elements(0));
    mirrors_.push_back(std::make_unique<DeviceMirror>(device_, view, image));
    return comm::Buffer(*mirrors_.back());
  }

 private:
  kernels::Device& device_;
  bool direct_;
  std::vector<memory::PinnedBuffer> images_;
  std::vector<std::unique_ptr<comm::Mirror>> mirrors_;
};

}  // namespace partita::run
