/// An exchange as refinement sees it: who meets whom, and over which links.
#pragma once

#include <cstddef>
#include <unordered_map>
#include <vector>

#include "colour.hpp"
#include "exchanges.hpp"
#include "partita/machine/topology.hpp"

namespace partita::sim {

/// Links in the order in which messages were found to cross them.
class LinkNumbers {
 public:
  std::uint32_t number_of(const machine::Link&);
  [[nodiscard]] const std::vector<machine::Link>& links() const { return links_; }

 private:
  struct Hash {
    std::size_t operator()(const machine::Link&) const;
  };
  std::unordered_map<machine::Link, std::uint32_t, Hash> numbers_;
  std::vector<machine::Link> links_;
};

/// Colours of ranks are by rank, those of links by number. The exchange and the setting outlive it.
class Relation {
 public:
  Relation(const Exchange&, const Setting&);

  /// Mixes into each rank's colour what it does: rounds, and the levels on which they go.
  void add_rounds(Colours&) const;
  /// Mixes into each rank's colour whose message comes first of those that arrive at once.
  void add_turns(Colours&) const;
  /// Mixes in whom it meets, by their colours before. Returns a sum over all.
  Colour add_others(const Colours& before, Colours& next) const;

  /// A sum over all that send.
  [[nodiscard]] Colour senders() const;

  /// Pairs of a rank and one to which it sends.
  [[nodiscard]] std::int64_t pairs() const;
  /// Finds the links that messages cross and that can hold them back.
  void find_links(LinkNumbers&);
  /// Adds to each link's sum what crosses it: messages of ranks of which colour in this relation.
  void add_crossings(const Colours& ranks, Colour relation, Colours& sums) const;
  /// Mixes into each rank's colour those of the links that its messages cross.
  void add_links(const Colours& links, Colours& ranks) const;

  [[nodiscard]] std::size_t index(const Batch&, std::size_t lane, int party) const;  ///< a rank
  [[nodiscard]] std::size_t level(const Batch&, std::size_t lane, int a, int b) const;

 private:
  /// Calls visit(rank, number among its partners, rank to which it sends), always in the same order.
  template <class Visit>
  void for_each_pair(Visit&&) const;

  const Exchange& exchange_;
  const Setting& setting_;
  std::vector<int> ranks_;             ///< by seat
  std::vector<std::uint32_t> links_;   ///< of all pairs in their order
  std::vector<std::uint32_t> counts_;  ///< of links, by pair
};

}  // namespace partita::sim
