/// Orders copies between a device and the host among its kernels by events: a fetch begins when the kernels
/// before it are done, and the kernels after a store wait for it on the device, not on the host.
#include "partita/device/device_mirror.hpp"

namespace partita::device {

namespace {

kernels::View part_of(kernels::View view, topology::Range range) {
  return view.slice(kernels::Elements(range.begin), kernels::Elements(range.size()));
}

}  // namespace

DeviceMirror::DeviceMirror(kernels::Device& device, kernels::View on_device, kernels::View image)
    : device_(device),
      on_device_(on_device),
      image_(image),
      begun_(device.make_event()),
      stored_(device.make_event()),
      awaited_(device.make_event()) {}

void DeviceMirror::plan_fetches(std::span<const topology::Range> ranges) {
  fetches_.assign(ranges.begin(), ranges.end());
  while (fetched_.size() < fetches_.size())
    fetched_.push_back(device_.make_event());
}

/// Behind the kernels issued so far: they make what is fetched, and may still read what is stored over.
void DeviceMirror::begin() {
  device_.record(*begun_, Queue::compute);
  device_.after(*begun_, Queue::fetch);
  device_.after(*begun_, Queue::store);
  for (std::size_t i = 0; i < fetches_.size(); ++i) {
    device_.copy(Queue::fetch, part_of(image_, fetches_[i]), part_of(on_device_, fetches_[i]));
    device_.record(*fetched_[i], Queue::fetch);
  }
}

bool DeviceMirror::idle() { return !has_stored_ || device_.reached(*stored_); }

bool DeviceMirror::fetched(std::size_t count) { return count == 0 || device_.reached(*fetched_[count - 1]); }

void DeviceMirror::store(topology::Range range) {
  device_.copy(Queue::store, part_of(on_device_, range), part_of(image_, range));
  stores_ = true;
}

void DeviceMirror::await() { device_.record(*awaited_, Queue::compute); }

bool DeviceMirror::caught_up() { return device_.reached(*awaited_); }

void DeviceMirror::release() {
  if (!stores_) return;
  device_.record(*stored_, Queue::store);
  device_.after(*stored_, Queue::compute);
  stores_ = false, has_stored_ = true;
}

}  // namespace partita::device
