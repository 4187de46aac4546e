/// Which ranks are alike: colours by what a rank does itself, refined by the colours of those with whom it
/// exchanges what, until no more come. Ranks of one colour then have the same times in every step, and one of
/// them stands for all.
///
/// Where messages meet links have colours, too: by what they carry at most, refined by the colours of whose
/// messages cross them in which transfers; and ranks are refined by the links that their messages cross. So
/// all links of a colour are equally full at any time, and flows of a class are equally fast. Where messages
/// of a unit keep gaps it matters who is first: then ranks of a colour have the same place in units whose
/// ranks have, in this order, the same colours.
///
/// That two classes of 100,000 ranks get the same colour by chance has a probability below 1e-9.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "exchanges.hpp"
#include "lanes.hpp"
#include "partita/machine/topology.hpp"

namespace partita::sim {

/// Of the links that messages cross and that can hold them back.
class LinkClasses {
 public:
  LinkClasses() = default;
  /// By the links' colours.
  LinkClasses(const std::vector<machine::Link>&, const std::vector<std::uint64_t>& colours);

  /// The first of a link's class.
  [[nodiscard]] const machine::Link& representative(const machine::Link&) const;
  /// The links of its class.
  [[nodiscard]] std::int64_t size_of(const machine::Link&) const;
  [[nodiscard]] const std::vector<machine::Link>& all() const { return all_; }  ///< ascending

 private:
  [[nodiscard]] std::size_t number_of(const machine::Link&) const;

  std::vector<machine::Link> all_, firsts_;
  std::vector<std::size_t> class_of_;  ///< of all
  std::vector<std::int64_t> sizes_;
};

struct Classes {
  std::vector<int> class_of;                      ///< by rank
  std::vector<int> first_rank;                    ///< by class
  std::vector<std::int64_t> sizes;                ///< by class
  std::vector<std::vector<int>> representatives;  ///< by stage, ascending ranks
  LinkClasses links;                              ///< where messages meet

  [[nodiscard]] std::size_t number_of(int rank) const {
    return static_cast<std::size_t>(class_of[static_cast<std::size_t>(rank)]);
  }
  [[nodiscard]] int representative(int rank) const { return first_rank[number_of(rank)]; }
  [[nodiscard]] std::int64_t size_of(int rank) const { return sizes[number_of(rank)]; }
};

/// None where there are more than `most` classes of ranks, or after `most_rounds` rounds still more come.
/// `meet`: messages do, as the machine says; else links and gaps are left out.
std::optional<Classes> classes_of(const Setting&, const ExchangeByGroup&, std::size_t most, bool meet);

/// The exchange between representatives: whom a rank exchanges something with becomes that one's class.
std::shared_ptr<const Exchange> between_classes(const Exchange&, const Setting&, const Classes&);

}  // namespace partita::sim
