/// The mirror of a buffer on a device: copies beside the kernels, ordered by events.
#pragma once

#include <memory>
#include <vector>

#include "partita/comm/mirror.hpp"
#include "partita/kernels/device.hpp"

namespace partita::device {

class DeviceMirror final : public comm::Mirror {
 public:
  /// Both views outlive the mirror; `image` is host memory of the same size and type.
  DeviceMirror(kernels::Device&, kernels::View on_device, kernels::View image);

  [[nodiscard]] kernels::View host() const override { return image_; }
  [[nodiscard]] bool copies() const override { return true; }
  void plan_fetches(std::span<const topology::Range>) override;
  void begin() override;
  [[nodiscard]] bool idle() override;
  [[nodiscard]] bool fetched(std::size_t count) override;
  void store(topology::Range) override;
  void await() override;
  [[nodiscard]] bool caught_up() override;
  void release() override;

 private:
  using Queue = kernels::Device::Queue;
  using Event = std::unique_ptr<kernels::Device::Event>;
  kernels::Device& device_;
  kernels::View on_device_, image_;
  std::vector<topology::Range> fetches_;
  std::vector<Event> fetched_;  ///< by fetch
  Event begun_, stored_, awaited_;
  bool stores_ = false, has_stored_ = false;
};

/// Of a buffer that messages can leave and reach by themselves: nothing is copied, but the device's work is
/// waited for.
class DirectMirror final : public comm::Mirror {
 public:
  DirectMirror(kernels::Device& device, kernels::View on_device)
      : device_(device), on_device_(on_device), begun_(device.make_event()), awaited_(device.make_event()) {}

  [[nodiscard]] kernels::View host() const override { return on_device_; }
  [[nodiscard]] bool copies() const override { return false; }
  void plan_fetches(std::span<const topology::Range>) override {}
  void begin() override { device_.record(*begun_, kernels::Device::Queue::compute); }
  [[nodiscard]] bool idle() override { return device_.reached(*begun_); }
  [[nodiscard]] bool fetched(std::size_t) override { return device_.reached(*begun_); }
  void store(topology::Range) override {}
  void await() override { device_.record(*awaited_, kernels::Device::Queue::compute); }
  [[nodiscard]] bool caught_up() override { return device_.reached(*awaited_); }
  void release() override {}

 private:
  kernels::Device& device_;
  kernels::View on_device_;
  std::unique_ptr<kernels::Device::Event> begun_, awaited_;
};

}  // namespace partita::device
