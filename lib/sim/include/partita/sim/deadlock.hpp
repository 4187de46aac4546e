/// Whether programs can end: one untimed execution in which a send completes only when its receive has been
/// posted, a collective when all its members have started it. Ranks name whom they receive from, so this one
/// execution decides for all interleavings and all message sizes.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "partita/step/counterparts.hpp"

namespace partita::sim {

/// A rank that waits for ever.
struct Blocked {
  int rank = 0, instruction = 0, transfer = 0;  ///< the wait, and what it waits for
  /// Who has not started its part; transfer −1: it never does.
  std::vector<step::Counterparts::Member> missing;
};

/// Two collectives that meet on an axis group and differ in operation, purpose or micro-batch; transfer −1:
/// the rank starts none.
struct Mismatch {
  topology::Axis axis = topology::Axis::none;
  step::Counterparts::Member one, other;
};

struct Deadlock {
  std::vector<Blocked> blocked;
  std::vector<Mismatch> mismatches;
};

struct DeadlockOptions {
  /// Demands besides that all members of an axis group start the same collectives in the same order, as
  /// communicators do that match them by their number.
  bool same_order = false;
};

/// Nothing when every rank comes to the end of its program.
std::optional<Deadlock> find_deadlock(const step::ProgramsByRank&, const DeadlockOptions& = {});

/// One line a blocked rank or mismatch, for people.
std::string to_string(const Deadlock&, const step::ProgramsByRank&);

}  // namespace partita::sim
