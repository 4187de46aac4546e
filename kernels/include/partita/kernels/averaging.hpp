/// What ranks with parameters of their own do when they take the mean of them. On the host; float32 or
/// float64.
#pragma once

#include "partita/kernels/view.hpp"

namespace partita::kernels {

/// w ← factor · w.
void scale(View w, double factor);

/// With d = anchor − w, by which a mean w left what was averaged last: u ← µu + d; anchor ← anchor − η(d +
/// µu); w ← anchor. All [n]. Source: Wang et al. 2020, SlowMo, arXiv:1910.00643, with Nesterov's momentum as
/// in DiLoCo (Douillard et al. 2023, arXiv:2311.08105).
void outer_step(View w, View anchor, View velocity, double rate, double momentum);

}  // namespace partita::kernels
