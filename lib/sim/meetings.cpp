/// One meeting for each group of ranks, or for groups that are alike.
#include "meetings.hpp"

#include "partita/base/error.hpp"

namespace partita::sim {

Meetings::Meetings(const step::ProgramsByRank& programs, const Quotient* quotient) : quotient_(quotient) {
  if (!quotient) counterparts_.emplace(programs);
}

Meeting& Meetings::of(int step, int rank, step::TransferId transfer) {
  Quotient::Part part;
  Correspondence::Circle circle;
  if (quotient_) {
    part = quotient_->part(rank, transfer);
    circle = part.exchange->circles.at(rank);
  } else {
    const auto group = counterparts_->group(rank, transfer);
    base::expect(group && counterparts_->groups()[*group].complete, "a transfer has all its parties");
    part.group = *group;
    circle.parties = counterparts_->members(*group).size();
  }
  while (std::ssize(meetings_) <= step)
    meetings_.emplace_back(quotient_ ? quotient_->groups() : counterparts_->groups().size());
  auto& meeting = meetings_[static_cast<std::size_t>(step)][part.group.index()][circle.number];
  meeting.step = step;
  meeting.group = part.group.index();
  meeting.parties = circle.parties;
  meeting.correspondence = part.exchange;
  return meeting;
}

}  // namespace partita::sim
