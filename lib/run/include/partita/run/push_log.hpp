/// What one parameter server took of its workers, as a log of all servers has it, stretch by stretch.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "partita/results/record.hpp"

namespace partita::run {

class PushLog {
 public:
  PushLog() = default;
  /// Of the server with this data coordinate.
  PushLog(std::span<const results::PushRow> pushes, std::int64_t server) {
    for (const auto& push : pushes)
      if (push.server == server) pushes_.push_back(push);
  }

  /// The pushes of the steps [first, end), in their order. Stretches follow each other: what is before this
  /// one is not asked for again.
  std::span<const results::PushRow> take(std::int64_t first, std::int64_t end) {
    while (next_ < pushes_.size() && pushes_[next_].step < first)
      ++next_;
    const auto begin = next_;
    while (next_ < pushes_.size() && pushes_[next_].step < end)
      ++next_;
    return std::span(pushes_).subspan(begin, next_ - begin);
  }

 private:
  std::vector<results::PushRow> pushes_;
  std::size_t next_ = 0;
};

}  // namespace partita::run
