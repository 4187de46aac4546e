/// The rules of `OptimizerRule`, word for word.
#pragma once

#include <cmath>

#include "partita/kernels/host_loops.hpp"

namespace partita::kernels::reference {

/// sgd and lars.
template <class T>
void sgd(const OptimizerSpec& optimizer, const Update& on, std::span<T> w, std::span<const T> g,
         std::span<T> v) {
  const T rate = static_cast<T>(on.step->learning_rate), momentum = static_cast<T>(optimizer.momentum),
          decay = static_cast<T>(optimizer.weight_decay), factor = static_cast<T>(host::factor_of(on)),
          trust = static_cast<T>(host::trust_of(optimizer, on));
  for (std::size_t i = 0; i < w.size(); ++i) {
    v[i] = momentum * v[i] + trust * (factor * g[i] + decay * w[i]);
    w[i] -= rate * v[i];
  }
}

template <class T>
void nesterov(const OptimizerSpec& optimizer, const Update& on, std::span<T> w, std::span<const T> g,
              std::span<T> v) {
  const T rate = static_cast<T>(on.step->learning_rate), momentum = static_cast<T>(optimizer.momentum),
          decay = static_cast<T>(optimizer.weight_decay), factor = static_cast<T>(host::factor_of(on));
  for (std::size_t i = 0; i < w.size(); ++i) {
    const T gradient = factor * g[i] + decay * w[i];
    v[i] = momentum * v[i] + gradient;
    w[i] -= rate * (gradient + momentum * v[i]);
  }
}

/// adam and adamw: m the first moment, s the second.
template <class T>
void adam(const OptimizerSpec& optimizer, const Update& on, std::span<T> w, std::span<const T> g,
          std::span<T> m, std::span<T> s) {
  const auto& step = *on.step;
  const T factor = static_cast<T>(host::factor_of(on));
  const bool decays_apart = optimizer.rule == OptimizerRule::adamw;
  const T rate = static_cast<T>(step.learning_rate), decay = static_cast<T>(optimizer.weight_decay),
          beta1 = static_cast<T>(optimizer.beta1), others1 = static_cast<T>(1 - optimizer.beta1),
          beta2 = static_cast<T>(optimizer.beta2), others2 = static_cast<T>(1 - optimizer.beta2),
          correction1 = static_cast<T>(step.first_correction),
          correction2 = static_cast<T>(step.second_correction), epsilon = static_cast<T>(optimizer.epsilon);
  for (std::size_t i = 0; i < w.size(); ++i) {
    if (decays_apart) w[i] -= rate * decay * w[i];
    const T gradient = decays_apart ? factor * g[i] : factor * g[i] + decay * w[i];
    m[i] = beta1 * m[i] + others1 * gradient;
    s[i] = beta2 * s[i] + others2 * gradient * gradient;
    w[i] -= rate / correction1 * m[i] / (std::sqrt(s[i]) / correction2 + epsilon);
  }
}

/// Of lamb, before its update.
template <class T>
void direct(const OptimizerSpec& optimizer, const Update& on, std::span<T> u) {
  const auto& step = *on.step;
  const auto w = on.w.as<T>(), m = on.states[0].as<T>(), s = on.states[1].as<T>();
  const auto g = on.g.as<T>();
  const T decay = static_cast<T>(optimizer.weight_decay), factor = static_cast<T>(host::factor_of(on)),
          beta1 = static_cast<T>(optimizer.beta1), others1 = static_cast<T>(1 - optimizer.beta1),
          beta2 = static_cast<T>(optimizer.beta2), others2 = static_cast<T>(1 - optimizer.beta2),
          correction1 = static_cast<T>(step.first_correction),
          correction2 = static_cast<T>(step.second_correction), epsilon = static_cast<T>(optimizer.epsilon);
  for (std::size_t i = 0; i < w.size(); ++i) {
    const T gradient = factor * g[i];
    m[i] = beta1 * m[i] + others1 * gradient;
    s[i] = beta2 * s[i] + others2 * gradient * gradient;
    u[i] = m[i] / correction1 / (std::sqrt(s[i]) / correction2 + epsilon) + decay * w[i];
  }
}

template <class T>
void lamb(const OptimizerSpec& optimizer, const Update& on, std::span<T> w, std::span<const T> u) {
  const T rate = static_cast<T>(on.step->learning_rate),
          trust = static_cast<T>(host::trust_of(optimizer, on));
  for (std::size_t i = 0; i < w.size(); ++i)
    w[i] -= rate * trust * u[i];
}

template <class T>
double squares(std::span<const T> x) {
  double sum = 0;
  for (const T value : x)
    sum += static_cast<double>(value) * static_cast<double>(value);
  return sum;
}

template <class T>
void update(const OptimizerSpec& optimizer, const Update& on) {
  const auto state = [&](std::size_t i) { return on.states[i].as<T>(); };
  switch (optimizer.rule) {
    case OptimizerRule::sgd:
    case OptimizerRule::lars:
      return sgd<T>(optimizer, on, on.w.as<T>(), on.g.as<T>(), state(0));
    case OptimizerRule::nesterov:
      return nesterov<T>(optimizer, on, on.w.as<T>(), on.g.as<T>(), state(0));
    case OptimizerRule::adam:
    case OptimizerRule::adamw:
      return adam<T>(optimizer, on, on.w.as<T>(), on.g.as<T>(), state(0), state(1));
    case OptimizerRule::lamb:
      return lamb<T>(optimizer, on, on.w.as<T>(), on.g.as<T>());
  }
}

}  // namespace partita::kernels::reference
