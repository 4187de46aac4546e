/// The buffers of transfers: host memory as it is, memory of a device with a mirror.
#pragma once

#include <memory>
#include <vector>

#include "partita/device/device_links.hpp"
#include "partita/device/device_mirror.hpp"
#include "partita/device/reached_mirror.hpp"
#include "partita/memory/buffer.hpp"

namespace partita::device {

/// Owns the mirrors; outlives the transfers that are planned with them.
class Mirrors {
 public:
  Mirrors(kernels::Device& device, DeviceLinks& links) : device_(device), links_(links) {}

  /// For an operation along `axis` that only moves data.
  comm::Buffer moved(topology::Axis axis, kernels::View view) {
    if (device_.is_host()) return view;
    const auto way = links_.along(axis);
    if (way == DeviceLinks::Way::ipc) return reached(view);
    if (way == DeviceLinks::Way::staged) return staged(view, {});
    mirrors_.push_back(std::make_unique<DirectMirror>(device_, view));
    return comm::Buffer(*mirrors_.back());
  }

  /// For one that reduces, or works on an image: the host does it where ranks do not reach each other's
  /// memory, or it does not work there. `image`: memory for it that somebody else owns; empty: its own.
  comm::Buffer reduced(topology::Axis axis, kernels::View view, bool works_on_shared,
                       kernels::View image = {}) {
    if (device_.is_host()) return view;
    const bool reaches = links_.along(axis) == DeviceLinks::Way::ipc && works_on_shared;
    return reaches ? reached(view) : staged(view, image);
  }

 private:
  comm::Buffer reached(kernels::View view) {
    auto mirror = std::make_unique<ReachedMirror>(device_, links_.memory(), view);
    auto& reached = *mirror;
    mirrors_.push_back(std::move(mirror));
    return comm::Buffer(static_cast<comm::SharedMirror&>(reached));
  }
  comm::Buffer staged(kernels::View view, kernels::View image) {
    if (image.empty() && !view.empty()) {
      images_.emplace_back(device_, view.bytes());
      image = images_.back().view(view.type(), view.size());
    }
    if (view.empty()) image = kernels::View(nullptr, view.type(), kernels::Elements(0));
    mirrors_.push_back(std::make_unique<DeviceMirror>(device_, view, image));
    return comm::Buffer(*mirrors_.back());
  }

  kernels::Device& device_;
  DeviceLinks& links_;
  std::vector<memory::PinnedBuffer> images_;
  std::vector<std::unique_ptr<comm::Mirror>> mirrors_;
};

}  // namespace partita::device
