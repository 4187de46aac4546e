/// Copies and sums between memories of different ranks' devices: the other ranks' addresses are opened when
/// an operation is planned, and each range becomes one call on the store queue with an event behind it.
#include "partita/device/reached_mirror.hpp"

#include "partita/base/error.hpp"

namespace partita::device {

using Queue = kernels::Device::Queue;

namespace {

kernels::View part_of(kernels::View view, topology::Range range) {
  return view.slice(kernels::Elements(range.begin), kernels::Elements(range.size()));
}

}  // namespace

ReachedMirror::ReachedMirror(kernels::Device& device, SharedMemory& memory, kernels::View on_device)
    : device_(device),
      memory_(memory),
      on_device_(on_device),
      begun_(device.make_event()),
      moved_(device.make_event()),
      awaited_(device.make_event()) {}

void ReachedMirror::begin() { device_.record(*begun_, Queue::compute); }

void ReachedMirror::await() { device_.record(*awaited_, Queue::compute); }

void ReachedMirror::open(int rank, const std::string& address) {
  const auto i = static_cast<std::size_t>(rank);
  if (reached_.size() <= i) reached_.resize(i + 1, nullptr);
  reached_[i] = memory_.open(address);
  terms_.reserve(reached_.size());
}

kernels::View ReachedMirror::at(int rank, std::int64_t first, std::int64_t count) const {
  std::byte* const memory = reached_.at(static_cast<std::size_t>(rank));
  base::expect(memory != nullptr, "a buffer that is reached has elements; rank", rank);
  const auto type = on_device_.type();
  return {memory + bytes_of(type, kernels::Elements(first)).value(), type, kernels::Elements(count)};
}

/// Copies are not ordered after kernels by the device: the host has seen this device reach the start of the
/// run, and the other ranks have told of theirs. Nor are kernels ordered after copies: those that follow are
/// issued once the host has seen `moved`.
void ReachedMirror::load(topology::Range range, std::span<const Source> sources,
                         collective::Combine combine) {
  base::expect(combine != collective::Combine::max, "a device loads copies and sums");
  terms_.clear();
  for (const auto& source : sources)
    terms_.push_back(at(source.rank, source.first, range.size()));
  const auto target = part_of(on_device_, range);
  if (terms_.size() == 1)
    device_.copy(Queue::store, target, terms_.front());
  else
    device_.add(Queue::store, target, terms_);
  device_.record(*moved_, Queue::store);
}

void ReachedMirror::store_to(int rank, topology::Range range) {
  device_.copy(Queue::store, at(rank, range.begin, range.size()), part_of(on_device_, range));
  device_.record(*moved_, Queue::store);
}

}  // namespace partita::device
