/// Where the transfers of ranks meet: of all ranks, or of representatives of classes.
#pragma once

#include <map>
#include <optional>
#include <vector>

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
  /// By step and group; of one group all, or by circles of representatives.
  std::vector<std::vector<std::map<int, Meeting>>> meetings_;
};

}  // namespace partita::sim
