#include "partita/run/step_memory.hpp"

#include <cmath>
#include <cstddef>
#include <cstring>

namespace partita::run {

using kernels::Bytes;
using kernels::DataType;
using kernels::Elements;
using kernels::View;
using Queue = kernels::Device::Queue;

namespace {

/// The beginning of the storage; the sums of every micro-batch follow it.
struct Layout {
  kernels::StepValues values;
  double metric[2] = {};
  std::int64_t lost = -1;
};

constexpr Bytes metric_at(offsetof(Layout, metric)), lost_at(offsetof(Layout, lost)), all(sizeof(Layout));

/// Bytes [from, to) of a buffer.
template <class Buffer>
View part(const Buffer& buffer, Bytes from, Bytes to) {
  return buffer.view(DataType::uint8, Elements((to - from).value()), from);
}

}  // namespace

StepMemory::StepMemory(kernels::Device& device, int microbatches, std::int64_t largest_batch)
    : device_(device),
      microbatches_(microbatches),
      storage_(device, all + bytes_of(DataType::float64, Elements(2 * microbatches))),
      to_device_(device, all),
      from_device_(device, all) {
  if (!device.is_host()) {
    indices_ = memory::DeviceBuffer(device, bytes_of(DataType::int64, Elements(largest_batch)));
    indices_image_ = memory::PinnedBuffer(device, indices_.size());
  }
  *reinterpret_cast<Layout*>(to_device_.bytes().data()) = {};
  device.copy(Queue::compute, part(storage_, Bytes(0), all), part(to_device_, Bytes(0), all));
  device.synchronize();
  *reinterpret_cast<Layout*>(from_device_.bytes().data()) = {};
}

void StepMemory::begin(const kernels::StepValues& values, std::span<const std::int64_t> indices) {
  *reinterpret_cast<Layout*>(to_device_.bytes().data()) = {.values = values};
  device_.copy(Queue::compute, part(storage_, Bytes(0), lost_at), part(to_device_, Bytes(0), lost_at));
  if (device_.is_host() || indices.empty()) return;
  std::memcpy(indices_image_.bytes().data(), indices.data(), indices.size_bytes());
  const Elements n(static_cast<std::int64_t>(indices.size()));
  device_.copy(Queue::compute, indices_.view(DataType::int64, n), indices_image_.view(DataType::int64, n));
}

void StepMemory::lose_sums() {
  reinterpret_cast<Layout*>(to_device_.bytes().data())->metric[0] = NAN;
  device_.copy(Queue::compute, part(storage_, metric_at, lost_at), part(to_device_, metric_at, lost_at));
}

void StepMemory::end() {
  device_.copy(Queue::compute, part(from_device_, metric_at, all), part(storage_, metric_at, all));
}

kernels::LossSums StepMemory::sums() const {
  const auto& report = *reinterpret_cast<const Layout*>(from_device_.bytes().data());
  return {.loss = report.metric[0], .correct = static_cast<std::int64_t>(report.metric[1])};
}

std::optional<std::int64_t> StepMemory::lost_step() const {
  const auto step = reinterpret_cast<const Layout*>(from_device_.bytes().data())->lost;
  return step < 0 ? std::nullopt : std::optional(step);
}

const kernels::StepValues* StepMemory::values() const {
  return &reinterpret_cast<const Layout*>(storage_.bytes().data())->values;
}

kernels::ConstView StepMemory::indices(std::int64_t first, std::int64_t count) const {
  return indices_.view(DataType::int64, Elements(count), bytes_of(DataType::int64, Elements(first)));
}

View StepMemory::metric() const { return storage_.view(DataType::float64, Elements(2), metric_at); }

View StepMemory::sums_of(int microbatch) const {
  return microbatches_ == 1 ? metric() : sums_of_all().slice(Elements(2 * microbatch), Elements(2));
}

View StepMemory::sums_of_all() const {
  return storage_.view(DataType::float64, Elements(2 * microbatches_), all);
}

std::int64_t* StepMemory::lost() const {
  return reinterpret_cast<std::int64_t*>(storage_.bytes().data() + lost_at.value());
}

}  // namespace partita::run
