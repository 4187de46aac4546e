/// Who stands for whom where representatives of classes run alone: which transfers of theirs meet, and which
/// of their messages are one.
#pragma once

#include <map>
#include <memory>
#include <vector>

#include "classes.hpp"
#include "network.hpp"

namespace partita::sim {

/// Messages of one exchange between representatives.
struct Correspondence {
  const Classes* classes = nullptr;
  /// From a representative's message to any rank to the one that the receiver's representative gets in its
  /// place. A receiver has a message from another rank of the sender's class, perhaps the sender itself.
  std::map<Ends, Ends> received;
  /// The representatives in one group with each of them, by the least number of their classes.
  struct Circle {
    int number = 0;
    std::size_t parties = 0;
  };
  std::map<int, Circle> circles;  ///< by representative
};

class Quotient {
 public:
  using Group = step::Counterparts::GroupId;

  /// All outlive it.
  Quotient(const Skeletons&, const ExchangeByGroup&, const Setting&, const Classes&);

  [[nodiscard]] const Classes& classes() const { return classes_; }

  [[nodiscard]] std::size_t groups() const { return by_group_.size(); }

  struct Part {
    Group group;
    const Correspondence* exchange = nullptr;
  };
  /// Of a representative in a transfer of its program.
  [[nodiscard]] Part part(int rank, step::TransferId) const;

 private:
  const Skeletons& skeletons_;
  const Classes& classes_;
  topology::GridExtent grid_;
  std::map<const Exchange*, Correspondence> correspondences_;
  base::IdVector<Group, const Correspondence*> by_group_;
};

}  // namespace partita::sim
