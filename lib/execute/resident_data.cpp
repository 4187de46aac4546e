/// Uploads samples once, as bytes where the set has bytes, with a scale and a shift for each channel; they
/// are normalised when a batch is gathered.
#include "resident_data.hpp"

#include <vector>

namespace partita::execute {

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
  const auto& normalisation = set.normalisation;
  const double unit = set.images.empty() ? 1.0 : 1.0 / 255.0;
  std::vector<double> scales, shifts;
  for (std::int64_t c = 0; c < set.channels(); ++c) {
    scales.push_back(unit / normalisation.stddev_of(c));
    shifts.push_back(-normalisation.mean_of(c) / normalisation.stddev_of(c));
  }
  scales_view_ = upload(device, scales, scales_);
  shifts_view_ = upload(device, shifts, shifts_);
  device.synchronize();
}

void ResidentData::gather_samples(kernels::Backend& backend, kernels::ConstView indices,
                                  kernels::View x) const {
  backend.gather(samples_view_, set_.sample_elements().value(), indices, scales_view_, shifts_view_, x);
}

void ResidentData::gather_answers(kernels::Backend& backend, kernels::ConstView indices,
                                  kernels::View y) const {
  const auto columns = set_.labels.empty() ? set_.target_shape.elements().value() : 1;
  backend.gather(answers_view_, columns, indices, {}, {}, y);
}

}  // namespace partita::execute
