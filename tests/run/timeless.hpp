/// A machine on which nothing takes time but what a study lets pass on its virtual clock.
#pragma once

#include <limits>

#include "partita/machine/machine.hpp"

namespace partita::tests {

inline machine::Machine timeless() {
  return {.flops_per_second = std::numeric_limits<double>::infinity(),
          .main_bytes_per_second = std::numeric_limits<double>::infinity(),
          .link_bytes_per_second = std::numeric_limits<double>::infinity()};
}

}  // namespace partita::tests
