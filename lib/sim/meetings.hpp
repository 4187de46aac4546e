/// Where the transfers of ranks meet: of all ranks, or of representatives of classes.
#pragma once

#include <map>
#include <optional>
#include <tuple>

#include "flight.hpp"
#include "partita/step/counterparts.hpp"
#include "quotient.hpp"

namespace partita::sim {

class Meetings {
 public:
  /// No quotient: all ranks run. Both outlive the meetings.
  Meetings(const step::ProgramsByRank&, const Quotient*);

  /// Of a rank that runs, in a step. It stays where it is.
  Meeting& of(int step, int rank, step::TransferId);

 private:
  const Quotient* quotient_;
  std::optional<step::Counterparts> counterparts_;
  /// By step, group, and circle where a group's exchange has several.
  std::map<std::tuple<int, step::Counterparts::GroupId, int>, Meeting> meetings_;
};

}  // namespace partita::sim
