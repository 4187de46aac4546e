/// What links have to carry: no step is shorter than what one link takes for all that some ranks send over
/// it.
#pragma once

#include <map>
#include <set>
#include <utility>
#include <vector>

#include "course.hpp"

namespace partita::predict {

class LinkBound {
 public:
  /// In a job of so many ranks. Both outlive it.
  LinkBound(const Supposed&, const cost::JobTimes&, std::int64_t ranks);

  /// Of the links on the way of what ranks near the last one of each stage send, in seconds; 0 where no links
  /// are shared.
  double seconds(const Subject&, std::int64_t batch);
  /// How many ranks that are at most, whose programs are looked at.
  [[nodiscard]] std::int64_t ranks_of(const topology::GridExtent&) const;

 private:
  using Picoseconds = machine::Picoseconds;
  /// Bytes of one transfer of a rank on a link, for which it waits.
  struct Load {
    Picoseconds start = 0;  ///< not before
    Picoseconds rest = 0;   ///< and when all have left so much is to be done at least
    kernels::Bytes bytes{};
  };
  struct Carrying {
    double bytes_per_second = 0;
    kernels::Bytes bytes{};     ///< of all ranks
    std::vector<Load> awaited;  ///< of one rank
  };
  [[nodiscard]] std::vector<int> ranks_near_last(const topology::GridExtent&) const;
  /// What the rank sends; how long that takes it alone.
  Picoseconds add(int rank, const Course&);
  const std::vector<std::size_t>& way(int from, int to);
  static Picoseconds time_of(kernels::Bytes, const Carrying&);
  static Picoseconds time_of_awaited(Carrying&);

  const Supposed& supposed_;
  const cost::JobTimes& kernels_;
  std::int64_t block_ = 0;  ///< ranks that follow each other and are looked at together; 0: no links
  std::map<machine::Link, std::size_t> numbers_;
  std::vector<Carrying> links_;  ///< without those that are wide
  std::map<std::pair<int, int>, std::vector<std::size_t>> ways_;
  std::set<std::size_t> used_;  ///< links over which something is sent
};

}  // namespace partita::predict
