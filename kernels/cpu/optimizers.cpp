/// The rules of `OptimizerRule` in float32, one pass over the parameters that the compiler vectorises.
#include "elementwise.hpp"

namespace partita::kernels::cpu {
namespace {

void sgd(const OptimizerSpec& optimizer, const StepValues& step, std::span<float> w, std::span<const float> g,
         std::span<float> v) {
  const float rate = static_cast<float>(step.learning_rate),
              momentum = static_cast<float>(optimizer.momentum),
              decay = static_cast<float>(optimizer.weight_decay);
  float* __restrict W = w.data();
  float* __restrict V = v.data();
  const float* __restrict G = g.data();
  for (std::size_t i = 0; i < w.size(); ++i) {
    const float velocity = momentum * V[i] + (G[i] + decay * W[i]);
    V[i] = velocity;
    W[i] -= rate * velocity;
  }
}

}  // namespace

void update(const OptimizerSpec& optimizer, const StepValues& step, View w, ConstView g,
            std::span<const View> states) {
  switch (optimizer.rule) {
    case OptimizerRule::sgd:
      return sgd(optimizer, step, w.as<float>(), g.as<float>(), states[0].as<float>());
  }
}

}  // namespace partita::kernels::cpu
