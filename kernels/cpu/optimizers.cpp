/// The rules of `OptimizerRule` in float32, one pass over the parameters that the compiler vectorises. What a
/// step makes of its scalars is computed in double before.
#include <cmath>

#include "elementwise.hpp"

namespace partita::kernels::cpu {
namespace {

template <bool nesterov>
void by_velocity(const OptimizerSpec& optimizer, const StepValues& step, std::span<float> w,
                 std::span<const float> g, std::span<float> v) {
  const float rate = static_cast<float>(step.learning_rate),
              momentum = static_cast<float>(optimizer.momentum),
              decay = static_cast<float>(optimizer.weight_decay);
  float* __restrict W = w.data();
  float* __restrict V = v.data();
  const float* __restrict G = g.data();
  for (std::size_t i = 0; i < w.size(); ++i) {
    const float gradient = G[i] + decay * W[i];
    const float velocity = momentum * V[i] + gradient;
    V[i] = velocity;
    W[i] -= rate * (nesterov ? gradient + momentum * velocity : velocity);
  }
}

void by_moments(const OptimizerSpec& optimizer, const StepValues& step, std::span<float> w,
                std::span<const float> g, std::span<float> m, std::span<float> s) {
  const bool decays_apart = optimizer.rule == OptimizerRule::adamw;
  const float beta1 = static_cast<float>(optimizer.beta1), others1 = static_cast<float>(1 - optimizer.beta1),
              beta2 = static_cast<float>(optimizer.beta2), others2 = static_cast<float>(1 - optimizer.beta2),
              length = static_cast<float>(step.learning_rate / step.first_correction),
              correction = static_cast<float>(1 / step.second_correction),
              epsilon = static_cast<float>(optimizer.epsilon),
              of_gradient = static_cast<float>(decays_apart ? 0 : optimizer.weight_decay),
              of_weight = static_cast<float>(decays_apart ? step.learning_rate * optimizer.weight_decay : 0);
  float* __restrict W = w.data();
  float* __restrict M = m.data();
  float* __restrict S = s.data();
  const float* __restrict G = g.data();
  for (std::size_t i = 0; i < w.size(); ++i) {
    const float weight = W[i] - of_weight * W[i];
    const float gradient = G[i] + of_gradient * weight;
    const float first = beta1 * M[i] + others1 * gradient,
                second = beta2 * S[i] + others2 * (gradient * gradient);
    M[i] = first, S[i] = second;
    W[i] = weight - length * (first / (std::sqrt(second) * correction + epsilon));
  }
}

}  // namespace

void update(const OptimizerSpec& optimizer, const StepValues& step, View w, ConstView g,
            std::span<const View> states) {
  const auto W = w.as<float>();
  const auto G = g.as<float>();
  const auto state = [&](std::size_t i) { return states[i].as<float>(); };
  switch (optimizer.rule) {
    case OptimizerRule::sgd:
      return by_velocity<false>(optimizer, step, W, G, state(0));
    case OptimizerRule::nesterov:
      return by_velocity<true>(optimizer, step, W, G, state(0));
    case OptimizerRule::adam:
    case OptimizerRule::adamw:
      return by_moments(optimizer, step, W, G, state(0), state(1));
  }
}

}  // namespace partita::kernels::cpu
