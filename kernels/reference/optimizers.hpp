/// The rules of `OptimizerRule`, word for word.
#pragma once

#include "partita/kernels/backend.hpp"

namespace partita::kernels::reference {

template <class T>
void sgd(const OptimizerSpec& optimizer, T rate, std::span<T> w, std::span<const T> g, std::span<T> v) {
  const T momentum = static_cast<T>(optimizer.momentum), decay = static_cast<T>(optimizer.weight_decay);
  for (std::size_t i = 0; i < w.size(); ++i) {
    v[i] = momentum * v[i] + (g[i] + decay * w[i]);
    w[i] -= rate * v[i];
  }
}

template <class T>
void update(const OptimizerSpec& optimizer, const StepValues& step, View w, ConstView g,
            std::span<const View> states) {
  const T rate = static_cast<T>(step.learning_rate);
  switch (optimizer.rule) {
    case OptimizerRule::sgd:
      return sgd<T>(optimizer, rate, w.as<T>(), g.as<T>(), states[0].as<T>());
  }
}

}  // namespace partita::kernels::reference
