/// A data set in a device's memory, from which batches are gathered by the indices of their samples.
#pragma once

#include "partita/data/dataset.hpp"
#include "partita/kernels/backend.hpp"
#include "partita/memory/buffer.hpp"

namespace partita::execute {

class ResidentData {
 public:
  /// Copies the whole set; throws std::bad_alloc where the device cannot hold it. The set outlives it.
  ResidentData(kernels::Device&, const data::Dataset&);

  /// As `data::fill_samples` and `data::fill_answers`, issued; indices in the device's memory.
  void gather_samples(kernels::Backend&, kernels::ConstView indices, kernels::View x) const;
  void gather_answers(kernels::Backend&, kernels::ConstView indices, kernels::View y) const;

 private:
  const data::Dataset& set_;
  memory::DeviceBuffer samples_, answers_, scales_, shifts_;
  kernels::ConstView samples_view_, answers_view_;
  kernels::ConstView scales_view_, shifts_view_;  ///< [channels]: a batch holds sample·scale + shift
};

}  // namespace partita::execute
