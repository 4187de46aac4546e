/// Optimizers: the rules by which a gradient changes the parameters, and the state that each keeps beside
/// them.
#pragma once

#include <array>
#include <span>
#include <string_view>

namespace partita::kernels {

/// With η the learning rate, λ the weight decay and g the gradient, as PyTorch has them:
///   sgd  g ← g + λw;  v ← µv + g;  w ← w − ηv    v: the velocity
enum class OptimizerRule { sgd };

/// A rule and its hyper-parameters, which no step of a run changes; the learning rate is the step's own.
struct OptimizerSpec {
  OptimizerRule rule = OptimizerRule::sgd;
  double momentum = 0, weight_decay = 0;
};

namespace states {
inline constexpr std::array<std::string_view, 1> sgd{"velocity"};
}

/// The names of a rule's states, in the order in which an update takes them. Each is a vector as long as the
/// trained parameters and begins as zeros.
constexpr std::span<const std::string_view> states_of(OptimizerRule) { return states::sgd; }
/// Of any rule.
inline constexpr std::size_t most_states = 1;

}  // namespace partita::kernels
