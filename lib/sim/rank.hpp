/// Where the ranks that run stand in their programs.
#pragma once

#include <optional>
#include <vector>

#include "classes.hpp"
#include "flight.hpp"
#include "service.hpp"

namespace partita::sim {

struct Rank {
  int number = 0;  ///< in the grid
  const step::Program* program = nullptr;
  int step = 0;
  std::size_t instruction = 0;
  Picoseconds now = 0;
  /// Goes through instructions; looks after transfers between two of them; waits for one; waits and has
  /// nothing to do.
  enum class Does { walks, looks, waits, rests } does = Does::walks;
  std::size_t looks_at = 0;     ///< among the active ones
  std::vector<Flight*> active;  ///< that this core moves on, in the order of their starts
  base::IdVector<step::TransferId, Flight*> flights;  ///< the latest
  std::optional<Service> service;                     ///< of an asynchronous server
  Picoseconds rested_at = 0;                          ///< between two of its turns
  std::vector<int> served;                            ///< workers, in the order of its turns
};

/// Those that run, ascending: one of each class, or, without classes, all.
class Ranks {
 public:
  /// Programs and classes outlive the ranks.
  Ranks(const step::ProgramsByRank& programs, const Classes* classes) : classes_(classes) {
    for (int r = 0; r < static_cast<int>(programs.size()); ++r) {
      if (classes_ && classes_->representative(r) != r) continue;
      const auto* program = programs[static_cast<std::size_t>(r)];
      ranks_.push_back({.number = r, .program = program});
      ranks_.back().flights.resize(program->transfers.size());
    }
  }

  /// By its number in the grid, or that of one that it stands for.
  Rank& of(int rank) { return ranks_[classes_ ? classes_->number_of(rank) : static_cast<std::size_t>(rank)]; }
  [[nodiscard]] const std::vector<Rank>& all() const { return ranks_; }
  /// Its place among all.
  [[nodiscard]] std::size_t place_of(const Rank& rank) const {
    return static_cast<std::size_t>(&rank - ranks_.data());
  }

 private:
  const Classes* classes_;
  std::vector<Rank> ranks_;
};

}  // namespace partita::sim
