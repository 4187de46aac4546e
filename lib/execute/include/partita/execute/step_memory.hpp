/// What of a step is neither a tensor nor a parameter: the values that change from step to step, the indices
/// of its samples, the sums of its losses and what it reports. In the device's memory, with images on the
/// host.
#pragma once

#include <optional>
#include <span>

#include "partita/kernels/backend.hpp"
#include "partita/memory/buffer.hpp"
#include "partita/step/schedule.hpp"

namespace partita::execute {

class StepMemory {
 public:
  StepMemory(kernels::Device&, int microbatches, std::int64_t largest_batch);

  /// Issues what a step begins with: its values, sums of 0, and the indices of its samples.
  void begin(const kernels::StepValues&, std::span<const std::int64_t> indices);
  /// Issues that the loss of this step is NaN, whatever was summed.
  void invalidate_sums();
  /// Issues what a step ends with; `sums` and `reported_non_finite_step` are those of the step once that is
  /// done. The latter is the first step, from 0, in which this rank met a value that is not finite.
  void end();
  [[nodiscard]] kernels::LossSums sums() const;
  [[nodiscard]] double gradient_norm() const;
  [[nodiscard]] std::optional<std::int64_t> reported_non_finite_step() const;

  /// In the device's memory.
  [[nodiscard]] const kernels::StepValues* values() const;
  [[nodiscard]] kernels::ConstView indices(std::int64_t first, std::int64_t count) const;
  [[nodiscard]] kernels::View metric() const;  ///< float64 [2]
  [[nodiscard]] kernels::View scale() const;   ///< float64 [2], of gradients that are clipped
  [[nodiscard]] kernels::View sums_of(step::MicrobatchId) const;  ///< float64 [2]; of a single one `metric`
  [[nodiscard]] kernels::View sums_of_all() const;                ///< float64 [microbatches, 2]
  [[nodiscard]] std::int64_t* non_finite_step() const;
  /// All of the device's memory.
  [[nodiscard]] std::span<std::byte> memory() const { return storage_.bytes(); }

 private:
  kernels::Device& device_;
  int microbatches_;
  kernels::Bytes sums_at_;
  memory::DeviceBuffer storage_;
  memory::PinnedBuffer to_device_, from_device_;
};

}  // namespace partita::execute
