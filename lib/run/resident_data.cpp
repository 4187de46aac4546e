#include "resident_data.hpp"

namespace partita::run {

namespace {

/// A copy of `values` in the device's memory, which `to` owns.
template <class T>
kernels::ConstView upload(kernels::Device& device, const std::vector<T>& values, memory::DeviceBuffer& to) {
  const kernels::ConstView host{std::span(values)};
  to = memory::DeviceBuffer(device, host.bytes());
  const auto view = to.view(host.type(), host.size());
  device.copy(kernels::Device::Queue::compute, view, host);
  return view;
}

}  // namespace

ResidentData::ResidentData(kernels::Device& device, const data::Dataset& set) : set_(set) {
  samples_view_ =
      set.images.empty() ? upload(device, set.features, samples_) : upload(device, set.images, samples_);
  answers_view_ =
      set.labels.empty() ? upload(device, set.targets, answers_) : upload(device, set.labels, answers_);
  device.synchronize();
}

void ResidentData::gather_samples(kernels::Backend& backend, kernels::ConstView indices,
                                  kernels::View x) const {
  const double unit = set_.images.empty() ? 1.0 : 1.0 / 255.0;
  backend.gather(samples_view_, set_.sample_elements().value(), indices, unit / set_.stddev,
                 -set_.mean / set_.stddev, x);
}

void ResidentData::gather_answers(kernels::Backend& backend, kernels::ConstView indices,
                                  kernels::View y) const {
  const auto columns = set_.labels.empty() ? set_.target_shape.elements().value() : 1;
  backend.gather(answers_view_, columns, indices, 1, 0, y);
}

}  // namespace partita::run
