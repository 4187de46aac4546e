/// One step of all ranks as tasks that need each other: what simulators that know nothing of step programs
/// can read. Every format of export.hpp is written from it.
///
/// A rank has lanes. Lane 0 is its core, which computes. Each transfer that is under way has one of the
/// others for itself, from its start to its wait, and is on it what it is in the event model: rounds that
/// follow each other, beside what the core does. Tasks of a lane follow each other.
#pragma once

#include <string>
#include <vector>

#include "partita/predict/prediction.hpp"

namespace partita::predict {

/// A message's half.
struct Message {
  int peer = 0;  ///< rank of the grid
  kernels::Bytes bytes{};
  machine::Picoseconds core = 0;  ///< that the core needs for it, before it leaves or once it is there
  friend bool operator==(const Message&, const Message&) = default;
};

/// Computes, or exchanges messages: receives are posted first, and all are complete in the end.
struct Task {
  std::string name;  ///< "forward fc1", "all-reduce gradient"
  int lane = 0;
  machine::Picoseconds compute = 0;
  std::vector<Message> sends, receives;
  int tag = 0;  ///< of the messages: the number of the transfer that they are of, the same on all ranks
  std::vector<int> after;  ///< earlier tasks of the rank that it needs
  friend bool operator==(const Task&, const Task&) = default;
};

/// By rank.
using Schedule = std::vector<std::vector<Task>>;

/// A step, its overhead at the end included. Transfers move on by themselves, whatever the machine says. A
/// round in a window is an exchange of empty messages among its members, the flags, between the copy into the
/// own segment and the accesses; so is an all-reduce by the vendor, before the time that it takes.
Schedule schedule_of(const Subject&, const step::Roles&, const sim::Costs&);

}  // namespace partita::predict
