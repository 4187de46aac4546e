/// Lets ranks go on when they have got a core, where they share cores.
#pragma once

#include "agenda.hpp"
#include "history.hpp"
#include "processors.hpp"

namespace partita::sim {

/// Without shared cores every rank has one at all times, and nothing is to be asked for or left.
class CoreScheduler {
 public:
  /// All outlive it.
  CoreScheduler(const Costs& costs, std::size_t ranks, Ranks&, History&, Agenda&);

  [[nodiscard]] bool are_shared() const { return processors_.are_shared(); }
  [[nodiscard]] bool has_core(const Rank& rank) const { return processors_.has_core(rank.number); }

  /// A rank that rests stands in line, but only for what has come: to get a core takes time.
  void wake(Rank&);
  void stand_in_line(Rank&);
  void leave_core(const Rank&);

  /// Whether the rank had to leave its core to others; then it stands in line.
  bool gives_way(Rank&);
  /// As much of a kernel's work as the rank has its core for.
  [[nodiscard]] Picoseconds granted(const Rank&, Picoseconds work);

 private:
  void go_on_at(Rank&, Picoseconds begins);

  Processors processors_;
  Ranks& ranks_;
  History& history_;
  Agenda& agenda_;
};

}  // namespace partita::sim
