/// Learning rates as functions of the step: constant, stepwise, cosine, each after a linear warm-up.
#pragma once

#include <cmath>
#include <cstdint>
#include <numbers>

namespace partita::nn {

enum class Decay { constant, step, cosine };

/// With s = step − warm-up: constant η; step η·γ^⌊s / step_length⌋; cosine ½η(1 + cos πs/S), S the steps
/// after the warm-up. During the warm-up η·(step + 1)/warmup_steps.
struct LearningRate {
  double base = 0.01;
  Decay decay = Decay::constant;
  std::int64_t warmup_steps = 0;
  std::int64_t step_length = 0;  ///< steps between two factors of `gamma`
  double gamma = 0.1;
  std::int64_t total_steps = 0;

  [[nodiscard]] double at(std::int64_t step) const {
    if (step < warmup_steps) return base * static_cast<double>(step + 1) / static_cast<double>(warmup_steps);
    const auto after = static_cast<double>(step - warmup_steps);
    if (decay == Decay::step && step_length > 0)
      return base * std::pow(gamma, std::floor(after / static_cast<double>(step_length)));
    const auto span = static_cast<double>(total_steps - warmup_steps);
    if (decay == Decay::cosine && span > 0)
      return 0.5 * base * (1 + std::cos(std::numbers::pi * after / span));
    return base;
  }
};

}  // namespace partita::nn
