/// The rules of `OptimizerRule`, word for word.
#pragma once

#include <cmath>

#include "partita/kernels/backend.hpp"

namespace partita::kernels::reference {

template <class T>
void sgd(const OptimizerSpec& optimizer, const StepValues& step, std::span<T> w, std::span<const T> g,
         std::span<T> v) {
  const T rate = static_cast<T>(step.learning_rate), momentum = static_cast<T>(optimizer.momentum),
          decay = static_cast<T>(optimizer.weight_decay);
  for (std::size_t i = 0; i < w.size(); ++i) {
    v[i] = momentum * v[i] + (g[i] + decay * w[i]);
    w[i] -= rate * v[i];
  }
}

template <class T>
void nesterov(const OptimizerSpec& optimizer, const StepValues& step, std::span<T> w, std::span<const T> g,
              std::span<T> v) {
  const T rate = static_cast<T>(step.learning_rate), momentum = static_cast<T>(optimizer.momentum),
          decay = static_cast<T>(optimizer.weight_decay);
  for (std::size_t i = 0; i < w.size(); ++i) {
    const T gradient = g[i] + decay * w[i];
    v[i] = momentum * v[i] + gradient;
    w[i] -= rate * (gradient + momentum * v[i]);
  }
}

/// adam and adamw: m the first moment, s the second.
template <class T>
void adam(const OptimizerSpec& optimizer, const StepValues& step, std::span<T> w, std::span<const T> g,
          std::span<T> m, std::span<T> s) {
  const bool decays_apart = optimizer.rule == OptimizerRule::adamw;
  const T rate = static_cast<T>(step.learning_rate), decay = static_cast<T>(optimizer.weight_decay),
          beta1 = static_cast<T>(optimizer.beta1), others1 = static_cast<T>(1 - optimizer.beta1),
          beta2 = static_cast<T>(optimizer.beta2), others2 = static_cast<T>(1 - optimizer.beta2),
          correction1 = static_cast<T>(step.first_correction),
          correction2 = static_cast<T>(step.second_correction), epsilon = static_cast<T>(optimizer.epsilon);
  for (std::size_t i = 0; i < w.size(); ++i) {
    if (decays_apart) w[i] -= rate * decay * w[i];
    const T gradient = decays_apart ? g[i] : g[i] + decay * w[i];
    m[i] = beta1 * m[i] + others1 * gradient;
    s[i] = beta2 * s[i] + others2 * gradient * gradient;
    w[i] -= rate / correction1 * m[i] / (std::sqrt(s[i]) / correction2 + epsilon);
  }
}

template <class T>
void update(const OptimizerSpec& optimizer, const StepValues& step, View w, ConstView g,
            std::span<const View> states) {
  const auto state = [&](std::size_t i) { return states[i].as<T>(); };
  switch (optimizer.rule) {
    case OptimizerRule::sgd:
      return sgd<T>(optimizer, step, w.as<T>(), g.as<T>(), state(0));
    case OptimizerRule::nesterov:
      return nesterov<T>(optimizer, step, w.as<T>(), g.as<T>(), state(0));
    case OptimizerRule::adam:
    case OptimizerRule::adamw:
      return adam<T>(optimizer, step, w.as<T>(), g.as<T>(), state(0), state(1));
  }
}

}  // namespace partita::kernels::reference
