/// Which transfers of which ranks belong together: the halves of a message, the members of a collective. A
/// pure function of all ranks' programs.
///
/// Messages are matched by their axis group, tag and coordinates; collectives by number: the k-th that a rank
/// starts on an axis group goes with the k-th of the others, as communicators match them.
#pragma once

#include <span>
#include <vector>

#include "partita/step/roles.hpp"

namespace partita::step {

class Counterparts {
 public:
  struct Member {
    int rank = 0, transfer = 0;
    friend bool operator==(const Member&, const Member&) = default;
  };
  explicit Counterparts(const ProgramsByRank&);

  /// Groups of transfers that belong together are numbered from 0.
  [[nodiscard]] int groups() const { return static_cast<int>(begin_.size()) - 1; }
  /// The group of a transfer; −1 when its program never starts it.
  [[nodiscard]] int group(int rank, int transfer) const {
    return group_[static_cast<std::size_t>(rank)][static_cast<std::size_t>(transfer)];
  }
  /// The send before the receive; collectives by ascending rank.
  [[nodiscard]] std::span<const Member> members(int group) const {
    const auto g = static_cast<std::size_t>(group);
    return std::span(members_).subspan(begin_[g], begin_[g + 1] - begin_[g]);
  }
  /// Whether all that a transfer needs is there: one send and its receive, or all ranks of the axis group.
  [[nodiscard]] bool complete(int group) const { return complete_[static_cast<std::size_t>(group)]; }

 private:
  std::vector<Member> members_;  ///< by group
  std::vector<std::size_t> begin_;
  std::vector<char> complete_;
  std::vector<std::vector<int>> group_;  ///< by rank and transfer
};

constexpr bool is_message(const Transfer& t) {
  return t.operation == collective::Operation::send || t.operation == collective::Operation::receive;
}

}  // namespace partita::step
