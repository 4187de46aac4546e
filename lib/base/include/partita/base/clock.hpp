/// The one clock of all measurements: monotonic, seconds since an arbitrary start of this host.
#pragma once

#include <chrono>

namespace partita::base {

inline double now_seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

}  // namespace partita::base
