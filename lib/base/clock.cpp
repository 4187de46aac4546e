/// The steady clock, which no change of the date moves.
#include "partita/base/clock.hpp"

#include <chrono>

namespace partita::base {

double now_seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

}  // namespace partita::base
