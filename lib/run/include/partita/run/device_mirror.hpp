/// The mirror of a buffer on a device: copies beside the kernels, ordered by events.
#pragma once

#include <memory>
#include <vector>

#include "partita/comm/mirror.hpp"
#include "partita/kernels/device.hpp"

namespace partita::run {

class DeviceMirror final : public comm::Mirror {
 public:
  /// Both views outlive the mirror; `image` is host memory of the same size and type.
  DeviceMirror(kernels::Device&, kernels::View on_device, kernels::View image);

  [[nodiscard]] kernels::View host() const override { return image_; }
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

}  // namespace partita::run
