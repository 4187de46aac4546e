/// What recording a step costs: spans, ledger entries, positions for the watchdog, and walking a program with
/// all of them.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "partita/base/clock.hpp"
#include "partita/comm/environment.hpp"

namespace partita::bench_kernels {

/// Seconds of one call, the mean of `calls`.
inline double time_calls(const std::function<void()>& call, std::int64_t calls) {
  const double begin = base::now_seconds();
  for (std::int64_t i = 0; i < calls; ++i)
    call();
  return (base::now_seconds() - begin) / static_cast<double>(calls);
}

struct Cost {
  std::string name;
  std::function<double()> seconds;  ///< one sample
};

/// The environment outlives them.
std::vector<Cost> recording_costs(comm::MpiEnvironment&);

}  // namespace partita::bench_kernels
