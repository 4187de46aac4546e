/// How fast a core reaches its main memory and its caches, and how fast it can compute at all.
#pragma once

#include <vector>

#include "partita/calibrate/group.hpp"

namespace partita::calibrate {

/// a = b + s·c (McCalpin 1995), then b = a + s·c and so on, on three vectors of `bytes` together.
class Triad {
 public:
  explicit Triad(std::int64_t bytes);
  void run();
  [[nodiscard]] std::int64_t bytes() const { return static_cast<std::int64_t>(12 * a_.size()); }

 private:
  std::vector<float> a_, b_, c_;
};

/// Bytes a second of one rank by the triad on three vectors of `bytes`
/// together: the median over repetitions of the slowest rank. Collective over the group, whose ranks all do
/// the same.
double triad_bytes_per_second(comm::Communicator& group, std::int64_t bytes);

}  // namespace partita::calibrate
