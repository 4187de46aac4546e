/// Optimizers: the rules by which a gradient changes the parameters, and the states that each keeps beside
/// them.
#pragma once

#include <array>
#include <cstddef>
#include <span>
#include <string_view>

namespace partita::kernels {

/// With η the learning rate, λ the weight decay, g the gradient and t the number of the update, from 1; as
/// PyTorch has them:
///
///   sgd       g ← g + λw;  v ← µv + g;  w ← w − ηv
///   nesterov  g ← g + λw;  v ← µv + g;  w ← w − η(g + µv)
///   adam      g ← g + λw;  m ← β₁m + (1 − β₁)g;  s ← β₂s + (1 − β₂)g²;
///             w ← w − η/(1 − β₁ᵗ) · m/(√s/√(1 − β₂ᵗ) + ε)
///   adamw     w ← w − ηλw;  then as adam, without adding λw to g
///
/// v is the velocity (Sutskever et al. 2013, section 2), m and s are the first and the second moment (Kingma
/// and Ba 2015, arXiv:1412.6980; Loshchilov and Hutter 2019, arXiv:1711.05101).
enum class OptimizerRule { sgd, nesterov, adam, adamw };

/// A rule and its hyper-parameters, which no step of a run changes; the learning rate is the step's own.
struct OptimizerSpec {
  OptimizerRule rule = OptimizerRule::sgd;
  double momentum = 0;                                ///< µ
  double weight_decay = 0;                            ///< λ
  double beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8;  ///< of moments
};

constexpr std::string_view to_string(OptimizerRule rule) {
  constexpr std::array<std::string_view, 4> names{"sgd", "nesterov", "adam", "adamw"};
  return names[static_cast<std::size_t>(rule)];
}

/// Whether the rule keeps moments, and no velocity.
constexpr bool has_moments(OptimizerRule rule) {
  return rule == OptimizerRule::adam || rule == OptimizerRule::adamw;
}

inline constexpr std::array<std::string_view, 1> velocity_only{"velocity"};
inline constexpr std::array<std::string_view, 2> both_moments{"first_moment", "second_moment"};

/// The names of a rule's states, in the order in which an update takes them. Each is a vector as long as the
/// trained parameters and begins as zeros.
constexpr std::span<const std::string_view> states_of(OptimizerRule rule) {
  if (has_moments(rule)) return both_moments;
  return velocity_only;
}
/// Of any rule.
inline constexpr std::size_t most_states = both_moments.size();

}  // namespace partita::kernels
