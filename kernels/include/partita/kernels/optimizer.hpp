/// Optimizers: the rules by which a gradient changes the parameters, element by element, and the states that
/// each keeps beside them.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <limits>
#include <optional>
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
///   lars      v ← µv + ρ(g + λw);  w ← w − ηv;  of each tensor ρ = τ‖w‖/(‖g‖ + λ‖w‖ + 1e-8), and 1 of one
///             with a single extent (biases, batch-norm) or ‖w‖ = 0
///   lamb      m, s as adam without λ;  u = m/(1 − β₁ᵗ)/(√s/√(1 − β₂ᵗ) + ε) + λw;
///             w ← w − η‖w‖/‖u‖ · u;  of each tensor, and w − ηu where a norm is 0
///
/// v is the velocity (Sutskever et al. 2013, section 2), m and s are the first and the second moment (Kingma
/// and Ba 2015, arXiv:1412.6980; Loshchilov and Hutter 2019, arXiv:1711.05101). lars: You, Gitman and
/// Ginsburg 2017, arXiv:1708.03888; lamb: You et al. 2020, arXiv:1904.00962.
///
/// Where the gradient is clipped, g is its product with min(1, C/(‖g of all parameters‖ + 1e-6)) from the
/// beginning (Pascanu, Mikolov and Bengio 2013, arXiv:1211.5063; as PyTorch's `clip_grad_norm_`).
enum class OptimizerRule { sgd, nesterov, adam, adamw, lars, lamb };

/// A rule and its hyper-parameters, which no step of a run changes; the learning rate is the step's own.
struct OptimizerSpec {
  OptimizerRule rule = OptimizerRule::sgd;
  double momentum = 0;                                ///< µ
  double weight_decay = 0;                            ///< λ
  double beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8;  ///< of moments
  double trust = 0.001;                               ///< τ
  std::optional<double> clip_norm = {};               ///< C
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
  bool takes_norms = false;                          ///< those of each tensor, and of what is to change it
  bool has_direction = false;                        ///< which is not the gradient (`Backend::direct`)
  double epsilon = 1e-8;                             ///< ε as it is usual
};

inline constexpr std::array<std::string_view, 1> velocity{"velocity"};
/// Of lars, which is not that of a gradient: ρ is in it.
inline constexpr std::array<std::string_view, 1> scaled_velocity{"scaled_velocity"};
inline constexpr std::array<std::string_view, 2> moments{"first_moment", "second_moment"};

inline constexpr std::array<OptimizerDescription, 6> optimizers{
    {{.rule = OptimizerRule::sgd, .name = "sgd", .states = velocity, .takes_momentum = true},
     {.rule = OptimizerRule::nesterov,
      .name = "nesterov",
      .states = velocity,
      .takes_momentum = true,
      .needs_momentum = true},
     {.rule = OptimizerRule::adam, .name = "adam", .states = moments, .takes_betas = true},
     {.rule = OptimizerRule::adamw, .name = "adamw", .states = moments, .takes_betas = true},
     {.rule = OptimizerRule::lars,
      .name = "lars",
      .states = scaled_velocity,
      .takes_momentum = true,
      .takes_norms = true},
     {.rule = OptimizerRule::lamb,
      .name = "lamb",
      .states = moments,
      .takes_betas = true,
      .takes_norms = true,
      .has_direction = true,
      .epsilon = 1e-6}}};

constexpr const OptimizerDescription& describe(OptimizerRule rule) {
  return *std::find_if(optimizers.begin(), optimizers.end(), [&](const auto& o) { return o.rule == rule; });
}
constexpr std::string_view to_string(OptimizerRule rule) { return describe(rule).name; }
constexpr std::span<const std::string_view> states_of(OptimizerRule rule) { return describe(rule).states; }

/// What a gradient of this norm is multiplied by; NaN where it is not finite.
constexpr double clip_factor(double norm, double limit) {
  if (!(norm <= std::numeric_limits<double>::max())) return std::numeric_limits<double>::quiet_NaN();
  return norm + 1e-6 > limit ? limit / (norm + 1e-6) : 1;
}

/// By how much a rule that takes norms multiplies the learning rate for a tensor: by that of its parameters,
/// and of what is to change them (the gradient of lars, u of lamb).
constexpr double trust_of(const OptimizerSpec& optimizer, double parameters, double change) {
  if (parameters == 0) return 1;
  if (optimizer.rule == OptimizerRule::lars)
    return optimizer.trust * parameters / (change + optimizer.weight_decay * parameters + 1e-8);
  return change == 0 ? 1 : parameters / change;
}

constexpr std::size_t most_states_of(std::span<const OptimizerDescription> rules) {
  std::size_t most = 0;
  for (const auto& rule : rules)
    most = std::max(most, rule.states.size());
  return most;
}
inline constexpr std::size_t most_states = most_states_of(optimizers);

}  // namespace partita::kernels
