/// One layout for the step's small values, on the device and on the host: what is reported, then what the
/// step is given, then indices and sums. So one copy brings all of it there and one brings the report back.
#include "partita/execute/step_memory.hpp"

#include <cmath>
#include <cstddef>
#include <cstring>

#include "partita/base/error.hpp"

namespace partita::execute {

using kernels::Bytes;
using kernels::DataType;
using kernels::Elements;
using kernels::View;
using Queue = kernels::Device::Queue;

namespace {

/// What a step reports.
struct Report {
  std::int64_t non_finite_step = -1;
  double metric[2] = {};
  double scale[2] = {};
};
/// The beginning of the storage; the indices of the samples follow it, then the sums of every micro-batch. So
/// a step begins with one copy, of all from `metric` to the last index, and ends with one.
struct Layout {
  Report report;
  kernels::StepValues values;
};

constexpr Bytes non_finite_step_at(offsetof(Report, non_finite_step)), metric_at(offsetof(Report, metric)),
    scale_at(offsetof(Report, scale)), values_at(offsetof(Layout, values)), all(sizeof(Layout));

/// Bytes [from, to) of a buffer.
template <class Buffer>
View part(const Buffer& buffer, Bytes from, Bytes to) {
  return buffer.view(DataType::uint8, Elements((to - from).value()), from);
}

}  // namespace

StepMemory::StepMemory(kernels::Device& device, int microbatches, std::int64_t largest_batch)
    : device_(device),
      microbatches_(microbatches),
      sums_at_(all + bytes_of(DataType::int64, Elements(device.is_host() ? 0 : largest_batch))),
      storage_(memory::shareable(device, sums_at_ + bytes_of(DataType::float64, Elements(2) * microbatches))),
      to_device_(device, sums_at_),
      from_device_(device, values_at) {
  *reinterpret_cast<Layout*>(to_device_.bytes().data()) = {};
  device.copy(Queue::compute, part(storage_, Bytes(0), all), part(to_device_, Bytes(0), all));
  device.synchronize();
  *reinterpret_cast<Report*>(from_device_.bytes().data()) = {};
}

void StepMemory::begin(const kernels::StepValues& values, std::span<const std::int64_t> indices) {
  *reinterpret_cast<Layout*>(to_device_.bytes().data()) = {.values = values};
  Bytes end = all;
  if (!device_.is_host() && !indices.empty()) {
    end = all + bytes_of(DataType::int64, Elements(std::ssize(indices)));
    base::expect(end <= sums_at_, "a step has as many samples as its memory was made for", indices.size());
    std::memcpy(to_device_.bytes().data() + all.value(), indices.data(), indices.size_bytes());
  }
  device_.copy(Queue::compute, part(storage_, metric_at, end), part(to_device_, metric_at, end));
}

void StepMemory::invalidate_sums() {
  reinterpret_cast<Layout*>(to_device_.bytes().data())->report.metric[0] = NAN;
  device_.copy(Queue::compute, part(storage_, metric_at, values_at), part(to_device_, metric_at, values_at));
}

void StepMemory::end() {
  device_.copy(Queue::compute, part(from_device_, non_finite_step_at, values_at),
               part(storage_, non_finite_step_at, values_at));
}

kernels::LossSums StepMemory::sums() const {
  const auto& report = *reinterpret_cast<const Report*>(from_device_.bytes().data());
  return {.loss = report.metric[0], .correct = static_cast<std::int64_t>(report.metric[1])};
}

double StepMemory::gradient_norm() const {
  return reinterpret_cast<const Report*>(from_device_.bytes().data())->scale[0];
}

std::optional<std::int64_t> StepMemory::reported_non_finite_step() const {
  const auto step = reinterpret_cast<const Report*>(from_device_.bytes().data())->non_finite_step;
  return step < 0 ? std::nullopt : std::optional(step);
}

const kernels::StepValues* StepMemory::values() const {
  return reinterpret_cast<const kernels::StepValues*>(storage_.bytes().data() + values_at.value());
}

kernels::ConstView StepMemory::indices(std::int64_t first, std::int64_t count) const {
  return storage_.view(DataType::int64, Elements(count), all + bytes_of(DataType::int64, Elements(first)));
}

View StepMemory::metric() const { return storage_.view(DataType::float64, Elements(2), metric_at); }

View StepMemory::scale() const { return storage_.view(DataType::float64, Elements(2), scale_at); }

View StepMemory::sums_of(step::MicrobatchId microbatch) const {
  return microbatches_ == 1 ? metric() : sums_of_all().slice(Elements(2) * microbatch.value(), Elements(2));
}

View StepMemory::sums_of_all() const {
  return storage_.view(DataType::float64, Elements(2) * microbatches_, sums_at_);
}

std::int64_t* StepMemory::non_finite_step() const {
  return reinterpret_cast<std::int64_t*>(storage_.bytes().data() + non_finite_step_at.value());
}

}  // namespace partita::execute
