/// Optimizers: the rules by which a gradient changes the parameters, element by element, and the states that
/// each keeps beside them.
#pragma once

#include <algorithm>
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

/// What is known of a rule besides its formula.
struct OptimizerDescription {
  OptimizerRule rule;
  std::string_view name;
  /// Of its states, in the order in which an update takes them. Each is a vector as long as the trained
  /// parameters and begins as zeros.
  std::span<const std::string_view> states;
  bool takes_momentum = false, takes_betas = false;  ///< which hyper-parameters are its own: µ; β₁, β₂ and ε
  bool needs_momentum = false;                       ///< µ = 0 would be another rule
};

inline constexpr std::array<std::string_view, 1> velocity{"velocity"};
inline constexpr std::array<std::string_view, 2> moments{"first_moment", "second_moment"};

inline constexpr std::array<OptimizerDescription, 4> optimizers{
    {{.rule = OptimizerRule::sgd, .name = "sgd", .states = velocity, .takes_momentum = true},
     {.rule = OptimizerRule::nesterov,
      .name = "nesterov",
      .states = velocity,
      .takes_momentum = true,
      .needs_momentum = true},
     {.rule = OptimizerRule::adam, .name = "adam", .states = moments, .takes_betas = true},
     {.rule = OptimizerRule::adamw, .name = "adamw", .states = moments, .takes_betas = true}}};

constexpr const OptimizerDescription& describe(OptimizerRule rule) {
  return *std::find_if(optimizers.begin(), optimizers.end(), [&](const auto& o) { return o.rule == rule; });
}
constexpr std::string_view to_string(OptimizerRule rule) { return describe(rule).name; }
constexpr std::span<const std::string_view> states_of(OptimizerRule rule) { return describe(rule).states; }

constexpr std::size_t most_states_of(std::span<const OptimizerDescription> rules) {
  std::size_t most = 0;
  for (const auto& rule : rules)
    most = std::max(most, rule.states.size());
  return most;
}
inline constexpr std::size_t most_states = most_states_of(optimizers);

}  // namespace partita::kernels
