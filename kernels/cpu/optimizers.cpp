/// The rules of `OptimizerRule` in float32, one pass over the parameters that the compiler vectorises. What a
/// step makes of its scalars is computed in double before.
#include <cmath>
#include <iterator>
#include <numeric>

#include "elementwise.hpp"
#include "partita/kernels/host_loops.hpp"

namespace partita::kernels::cpu {
namespace {

/// By sgd, nesterov and lars. What is not clipped is not multiplied, which would round otherwise.
template <bool nesterov, bool clipped, bool trusted>
void by_velocity(const OptimizerSpec& optimizer, const Update& on) {
  const float rate = static_cast<float>(on.step->learning_rate),
              momentum = static_cast<float>(optimizer.momentum),
              decay = static_cast<float>(optimizer.weight_decay),
              factor = static_cast<float>(host::factor_of(on)),
              trust = static_cast<float>(host::trust_of(optimizer, on));
  const auto n = static_cast<std::size_t>(on.w.size().value());
  float* __restrict W = on.w.as<float>().data();
  float* __restrict V = on.states[0].as<float>().data();
  const float* __restrict G = on.g.as<float>().data();
  for (std::size_t i = 0; i < n; ++i) {
    const float of_loss = clipped ? factor * G[i] : G[i], with_decay = of_loss + decay * W[i];
    const float gradient = trusted ? trust * with_decay : with_decay;
    const float velocity = momentum * V[i] + gradient;
    V[i] = velocity;
    W[i] -= rate * (nesterov ? gradient + momentum * velocity : velocity);
  }
}

template <bool nesterov, bool trusted>
void by_velocity(const OptimizerSpec& optimizer, const Update& on) {
  return host::factor_of(on) == 1 ? by_velocity<nesterov, false, trusted>(optimizer, on)
                                  : by_velocity<nesterov, true, trusted>(optimizer, on);
}

/// By adam, adamw and, into `u`, lamb.
template <bool clipped, bool directs>
void by_moments(const OptimizerSpec& optimizer, const Update& on, std::span<float> u) {
  const auto& step = *on.step;
  const bool decays_apart = optimizer.rule == OptimizerRule::adamw;
  const bool adds_decay = optimizer.rule == OptimizerRule::adam;
  const float beta1 = static_cast<float>(optimizer.beta1), others1 = static_cast<float>(1 - optimizer.beta1),
              beta2 = static_cast<float>(optimizer.beta2), others2 = static_cast<float>(1 - optimizer.beta2),
              factor = static_cast<float>(host::factor_of(on)),
              length = static_cast<float>((directs ? 1 : step.learning_rate) / step.first_correction),
              correction = static_cast<float>(1 / step.second_correction),
              epsilon = static_cast<float>(optimizer.epsilon),
              decay = static_cast<float>(optimizer.weight_decay),
              of_gradient = static_cast<float>(adds_decay ? optimizer.weight_decay : 0),
              of_weight = static_cast<float>(decays_apart ? step.learning_rate * optimizer.weight_decay : 0);
  const auto n = static_cast<std::size_t>(on.w.size().value());
  float* __restrict W = on.w.as<float>().data();
  float* __restrict M = on.states[0].as<float>().data();
  float* __restrict S = on.states[1].as<float>().data();
  const float* G = on.g.as<float>().data();
  float* U = u.data();
#pragma GCC ivdep  // u may take the place of g, element by element
  for (std::size_t i = 0; i < n; ++i) {
    const float weight = W[i] - of_weight * W[i], of_loss = clipped ? factor * G[i] : G[i];
    const float gradient = of_loss + of_gradient * weight;
    const float first = beta1 * M[i] + others1 * gradient,
                second = beta2 * S[i] + others2 * (gradient * gradient);
    M[i] = first, S[i] = second;
    const float change = length * (first / (std::sqrt(second) * correction + epsilon));
    if (directs)
      U[i] = change + decay * weight;
    else
      W[i] = weight - change;
  }
}

template <bool directs>
void by_moments(const OptimizerSpec& optimizer, const Update& on, std::span<float> u) {
  return host::factor_of(on) == 1 ? by_moments<false, directs>(optimizer, on, u)
                                  : by_moments<true, directs>(optimizer, on, u);
}

void by_direction(const OptimizerSpec& optimizer, const Update& on) {
  const float length = static_cast<float>(on.step->learning_rate * host::trust_of(optimizer, on));
  const auto n = static_cast<std::size_t>(on.w.size().value());
  float* __restrict W = on.w.as<float>().data();
  const float* __restrict U = on.g.as<float>().data();
  for (std::size_t i = 0; i < n; ++i)
    W[i] -= length * U[i];
}

}  // namespace

void direct(const OptimizerSpec& optimizer, const Update& on, std::span<float> u) {
  by_moments<true>(optimizer, on, u);
}

void update(const OptimizerSpec& optimizer, const Update& on) {
  switch (optimizer.rule) {
    case OptimizerRule::sgd:
      return by_velocity<false, false>(optimizer, on);
    case OptimizerRule::nesterov:
      return by_velocity<true, false>(optimizer, on);
    case OptimizerRule::adam:
    case OptimizerRule::adamw:
      return by_moments<false>(optimizer, on, {});
    case OptimizerRule::lars:
      return by_velocity<false, true>(optimizer, on);
    case OptimizerRule::lamb:
      return by_direction(optimizer, on);
  }
}

/// Every sixteenth element together, then the sixteen sums.
double squares(std::span<const float> x) {
  constexpr std::size_t lanes = 16;
  double sums[lanes] = {};
  std::size_t i = 0;
  for (; i + lanes <= x.size(); i += lanes)
    for (std::size_t lane = 0; lane < lanes; ++lane)
      sums[lane] += static_cast<double>(x[i + lane]) * static_cast<double>(x[i + lane]);
  for (std::size_t lane = 0; i + lane < x.size(); ++lane)
    sums[lane] += static_cast<double>(x[i + lane]) * static_cast<double>(x[i + lane]);
  return std::accumulate(std::begin(sums), std::end(sums), 0.0);
}

}  // namespace partita::kernels::cpu
