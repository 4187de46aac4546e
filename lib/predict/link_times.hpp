/// What links have to carry: about what a step takes at least where they are shared. It is no bound: ranks of
/// which some end a step early already send what is the next one's, so that a single step can be shorter.
#pragma once

#include <map>
#include <utility>
#include <vector>

#include "course.hpp"

namespace partita::predict {

class LinkTimes {
 public:
  /// In a job of so many ranks. Both outlive it.
  LinkTimes(const Supposed&, const cost::JobTimes&, std::int64_t ranks);

  /// Of the links on the way of what ranks near the last one of each stage send, in seconds; 0 where no links
  /// are shared.
  double seconds(const Subject&, std::int64_t batch);
  /// How many ranks that are at most, whose programs are looked at.
  [[nodiscard]] std::int64_t ranks_of(const topology::GridExtent&) const;

 private:
  using Picoseconds = machine::Picoseconds;
  /// Bytes of one transfer of one rank on a link.
  struct Load {
    Picoseconds start = 0;  ///< not before
    Picoseconds rest = 0;   ///< and when all have left so much is to be done at least
    kernels::Bytes bytes{};
  };
  struct Carrying {
    double bytes_per_second = 0;
    std::vector<Load> loads;
  };
  [[nodiscard]] std::vector<int> ranks_near_last(const topology::GridExtent&) const;
  void add(int rank, const Course&);
  const std::vector<std::size_t>& way(int from, int to);
  static Picoseconds time_of(Carrying&);

  const Supposed& supposed_;
  const cost::JobTimes& kernels_;
  std::int64_t block_ = 0;  ///< ranks that follow each other and are looked at together; 0: no links
  std::map<machine::Link, std::size_t> numbers_;
  std::vector<Carrying> links_;  ///< without those that are wide
  std::map<std::pair<int, int>, std::vector<std::size_t>> ways_;
  std::vector<std::size_t> used_;  ///< links that have loads
};

}  // namespace partita::predict
