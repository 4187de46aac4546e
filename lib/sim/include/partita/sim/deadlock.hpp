/// Whether programs can end: one untimed execution in which a send completes only when its receive has been
/// posted, a collective when all its members have started it. Ranks name whom they receive from, so this one
/// execution decides for all interleavings and all message sizes.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "partita/step/counterparts.hpp"

namespace partita::sim {

/// A rank, with its part of something that several do together; none where it never starts it.
struct Party {
  int rank = 0;
  std::optional<step::TransferId> transfer;
  friend bool operator==(const Party&, const Party&) = default;
};

/// A rank that waits for ever.
struct Blocked {
  int rank = 0, instruction = 0;  ///< the wait
  step::TransferId transfer;      ///< for which it waits
  std::vector<Party> missing;     ///< who has not started its part
};

/// Two collectives that meet on an axis group and differ in operation, purpose or micro-batch.
struct Mismatch {
  topology::Axis axis = topology::Axis::none;
  Party one, other;
};

struct Deadlock {
  std::vector<Blocked> blocked;
  std::vector<Mismatch> mismatches;
};

struct DeadlockOptions {
  /// Demands besides that all members of an axis group start the same collectives in the same order, as
  /// communicators do that match them by their number.
  bool same_order = false;
  /// Of the steps that are executed one after the other; empty: all that follow each other.
  std::vector<step::StepKind> kinds = {};
};

/// Nothing when every rank comes to the end of its program in every step.
std::optional<Deadlock> find_deadlock(const step::ProgramsByRank&, const DeadlockOptions& = {});

/// One line a blocked rank or mismatch, for people.
std::string to_string(const Deadlock&, const step::ProgramsByRank&);

}  // namespace partita::sim
