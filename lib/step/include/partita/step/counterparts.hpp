/// Which transfers of which ranks belong together: the halves of a message, the members of a collective. A
/// pure function of all ranks' programs.
///
/// Messages are matched by their axis group, tag and coordinates; collectives by number: the k-th that a rank
/// starts on an axis group goes with the k-th of the others, as communicators match them.
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "partita/step/roles.hpp"

namespace partita::step {

class Counterparts {
 public:
  struct Member {
    int rank = 0;
    TransferId transfer;
    friend bool operator==(const Member&, const Member&) = default;
  };
  explicit Counterparts(const ProgramsByRank&);

  /// Transfers that belong together.
  struct Group {
    std::size_t begin = 0, end = 0;  ///< among the members of all groups
    /// Whether all that a transfer needs is there: one send and its receive, or all ranks of the axis group.
    bool complete = false;
  };
  using GroupId = base::Id<Group>;

  [[nodiscard]] const base::IdVector<GroupId, Group>& groups() const { return groups_; }
  /// The group of a transfer; none when its program never starts it.
  [[nodiscard]] std::optional<GroupId> group(int rank, TransferId transfer) const {
    return group_[static_cast<std::size_t>(rank)][transfer];
  }
  /// The send before the receive; collectives by ascending rank.
  [[nodiscard]] std::span<const Member> members(GroupId group) const {
    const auto& g = groups_[group];
    return std::span(members_).subspan(g.begin, g.end - g.begin);
  }

 private:
  std::vector<Member> members_;  ///< by group
  base::IdVector<GroupId, Group> groups_;
  std::vector<base::IdVector<TransferId, std::optional<GroupId>>> group_;  ///< by rank
};

constexpr bool is_message(const Transfer& t) {
  return t.operation == collective::Operation::send || t.operation == collective::Operation::receive;
}

}  // namespace partita::step
