/// The parameters of a role on one rank, with the gradients and the optimizer's states of the trained ones:
/// flat vectors in the order of the program, so that a bucket is a slice and an update is one call.
#pragma once

#include <array>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "partita/comm/communicator.hpp"
#include "partita/kernels/optimizer.hpp"
#include "partita/memory/arena.hpp"
#include "partita/memory/buffer.hpp"
#include "partita/step/program.hpp"
#include "partita/step/shards.hpp"

namespace partita::state {

using kernels::Elements;
using kernels::View;

class Parameters {
 public:
  /// Collective over `data_axis`: on a host, gradients lie in its shared window where its ranks share a node,
  /// so that a reduction copies nothing, and so do parameters that ranks give each other after their updates;
  /// those of a device have their images there. Gradients of secure sums are in nobody else's reach.
  Parameters(const step::Program&, kernels::Device&, comm::Communicator& data_axis,
             const kernels::OptimizerSpec& = {});

  ~Parameters();
  Parameters(const Parameters&) = delete;
  Parameters& operator=(const Parameters&) = delete;

  /// In the device's memory, as everything that kernels work on.
  [[nodiscard]] View weights() const { return weights_; }
  /// Of a slot that lives for the run.
  [[nodiscard]] View memory_of(const step::Slot& slot) const {
    return vector_of(slot).slice(slot.first, slot.fixed);
  }
  /// Host memory that what a slot in the window holds is sent from and received in; empty for another slot.
  [[nodiscard]] View image_of(const step::Slot& slot) const {
    if (!slot.in_window) return View();
    const View& all = slot.role == step::SlotRole::parameter_gradients ? gradient_images_ : weight_images_;
    return all.slice(slot.first, slot.fixed);
  }
  [[nodiscard]] const kernels::OptimizerSpec& optimizer() const { return optimizer_; }
  /// Of the trained parameters, or of this rank's shares of them, in the order of `kernels::states_of`.
  [[nodiscard]] std::span<const View> states() const { return states_; }
  /// What codes did not say of gradients, the basis of powersgd, and the loss scale with the steps that it
  /// stands: what a codec carries from step to step, as far as it does.
  [[nodiscard]] View residuals() const { return residuals_; }
  [[nodiscard]] View basis() const { return basis_; }
  [[nodiscard]] View loss_scale() const { return loss_scale_; }
  /// Parameters are what outer steps count from: as they are now.
  void set_anchors(const step::Program&);
  /// What checkpoints hold of trained parameters besides these: the optimizer's states, velocities of outer
  /// steps, and gradients that wait for the next update. Each is as long as the states.
  [[nodiscard]] std::vector<std::string> stored_names() const;
  /// Of delayed updates: keeps what this rank will update by of the gradients that the last step left, which
  /// was of this kind; none: forgets them. Their sums must be there.
  void keep_waiting(const step::Program&, std::optional<step::StepKind>);
  /// Whether such gradients are among what a checkpoint stores; then they are read with the states.
  bool expect_waiting(const step::Program&, std::span<const std::string> stored);
  [[nodiscard]] bool is_waiting() const { return is_waiting_; }
  /// Gives what was read to the first of the two buffers.
  void restore_waiting(const step::Program&);
  /// This rank's coordinate on the data axis, which says what are its shares.
  [[nodiscard]] int data_rank() const { return data_rank_; }
  /// The step whose update is the first that the states hold; before it they were zeros.
  [[nodiscard]] std::int64_t first_update() const { return first_update_; }
  void set_first_update(std::int64_t step) { first_update_ = step; }
  /// The allocations of a device of which ranks reach parts in each other's memory; none on a host.
  [[nodiscard]] std::vector<std::span<std::byte>> shared_memory() const;

  /// Weights, and what goes by `stored_names`, as they are now, on the host. Wait for the device; until the
  /// next call.
  [[nodiscard]] kernels::ConstView weights_on_host() const { return on_host(weights_); }
  [[nodiscard]] std::vector<View> states_on_host() const;
  /// Lets `change` write them there.
  void edit(const std::function<void(View weights, std::span<const View> states)>& change);

  /// Draws every parameter from (seed, layer, logical index): the same on any grid.
  void initialize(const step::Program&, const model::ModelSpec&, model::Initializer, std::uint64_t seed);

 private:
  [[nodiscard]] View on_host(View) const;
  [[nodiscard]] const View& vector_of(const step::Slot&) const;
  /// Calls copy(gradients in that buffer, those that wait) for this rank's part of each bucket.
  void for_each_waiting(const step::Program&, std::size_t buffer,
                        const std::function<void(View, View)>& copy);
  /// Draws the basis from (seed, layer, index), where there is one.
  void initialize_basis(const step::Program&, std::uint64_t seed);

  kernels::Device& device_;
  memory::DeviceBuffer storage_, gradient_storage_;
  memory::PinnedBuffer image_;  ///< of weights and states, of a device
  comm::SharedBuffer window_;   ///< of the data axis
  kernels::OptimizerSpec optimizer_;
  int data_rank_ = 0;
  std::int64_t first_update_ = 0;
  View weights_;
  View gradients_;
  View gradient_images_,
      weight_images_;  ///< the same as far as ranks share it, or their images, in the window
  View pinned_;        ///< the window, beside a device
  std::vector<View> states_;
  View anchors_, outer_velocity_;  ///< of outer steps
  bool has_outer_steps_ = false;   ///< on any rank
  memory::HostBuffer waiting_storage_;
  View waiting_;             ///< gradients
  bool is_waiting_ = false;  ///< they are part of what is stored
  View residuals_, basis_, loss_scale_;
  View pushed_metrics_;  ///< of a server
};

/// The parts of a flat vector that belong to one unit, a tensor each; empty where it has none.
template <bool IsConst>
std::array<kernels::BasicView<IsConst>, model::most_parameters> parts_of(kernels::BasicView<IsConst> flat,
                                                                         const step::ParameterRange& range) {
  std::array<kernels::BasicView<IsConst>, model::most_parameters> parts;
  for (std::size_t t = 0; t < range.tensors.size(); ++t)
    parts[t] = flat.slice(range.tensors[t].first, range.tensors[t].count);
  return parts;
}

/// A whole tensor of one layer's parameters, in PyTorch's logical layout.
struct LogicalTensor {
  int layer = 0;
  int tensor = 0;  ///< of `Layer::parameters()`
  std::vector<double> values;
};

/// Who gets what is gathered.
enum class Receivers { rank_0, all };

/// The whole tensors of a model, in order of the layers and of their parameters, from what every rank has of
/// a flat vector (its weights, for example): each sends what is its own of it. Collective over `world`;
/// nothing on ranks that receive nothing.
std::vector<LogicalTensor> gather_logical(comm::Communicator& world, const model::ModelSpec&,
                                          kernels::ConstView mine,
                                          const std::vector<std::vector<step::Piece>>& owned, Receivers);

/// What a rank holds of a whole tensor into its flat vector.
void scatter_logical(const LogicalTensor&, const model::ModelSpec&, std::span<const step::Piece> held,
                     View flat);

}  // namespace partita::state
