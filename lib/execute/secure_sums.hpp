/// Sums of gradients and losses in which no rank learns what another one adds: whole numbers under masks
/// (partita/execute/masks.hpp). What cannot be added up as such a number is told with the losses, and loses
/// the step on all ranks: gradients become infinite, or not a number where they were not finite.
#pragma once

#include <map>
#include <string_view>

#include "partita/comm/axes.hpp"
#include "partita/execute/masks.hpp"
#include "partita/kernels/fixed_point.hpp"
#include "partita/step/program.hpp"

namespace partita::execute {

using kernels::View;

class SecureSums {
 public:
  /// Collective over the axes of the program's secure sums: the ranks of each give each other a public key,
  /// which is new in each launch. `config_hash`: the same on all ranks.
  SecureSums(const step::Program&, comm::Axes&, std::string_view config_hash);

  /// A pass over the program begins, which all ranks begin: no later one takes the same masks.
  void begin_pass() { ++pass_; }

  /// This rank's gradients of a bucket, or its losses, into the message that is added up.
  void encode(const step::Instruction&, kernels::ConstView plain, View message);
  /// The sum, or a share of it, back. Gradients stay as they are whose message a former launch sent.
  void decode(const step::Instruction&, kernels::ConstView message, View plain);

 private:
  /// Of the gradients in a message, of all ranks once their losses are added up.
  struct State {
    bool is_sent = false, is_of_all = false;
    kernels::Fit fit = kernels::Fit::all;
  };
  void encode_losses(kernels::ConstView losses, View message);
  void decode_losses(kernels::ConstView message, View losses);
  void add_masks(topology::Axis, View message, std::uint32_t number);

  const step::Program& program_;
  std::uint64_t pass_ = 0;
  std::map<topology::Axis, Masks> masks_;
  base::IdVector<step::SlotId, State> states_;  ///< by message
};

}  // namespace partita::execute
