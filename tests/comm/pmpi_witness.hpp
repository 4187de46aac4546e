/// An independent witness between Partita and MPI: every point-to-point call, as MPI was asked for it.
#pragma once

#include <cstdint>
#include <vector>

namespace partita::tests {

struct Witnessed {
  bool send;
  int peer, tag;
  std::int64_t bytes;
  friend bool operator==(const Witnessed&, const Witnessed&) = default;
};

/// Calls since the last `forget`.
const std::vector<Witnessed>& witnessed();
void forget();

}  // namespace partita::tests
