/// Finds every representative's place in each exchange, then looks at its messages from both ends.
#include "quotient.hpp"

#include <algorithm>
#include <set>

#include "partita/base/error.hpp"
#include "relation.hpp"

namespace partita::sim {
namespace {

class Writer {
 public:
  Writer(const Exchange& exchange, const Setting& setting, const Classes& classes)
      : exchange_(exchange), relation_(exchange, setting), classes_(classes) {}

  Correspondence written() && {
    for (const auto& batch : exchange_.batches)
      for (std::size_t lane = 0; lane < batch.lanes; ++lane)
        add_group(batch, lane);
    for (const auto& [rank, place] : places_)
      add_messages(rank, place);
    return std::move(written_);
  }

 private:
  struct Place {
    const Batch* batch = nullptr;
    std::size_t lane = 0;
    int party = 0;
    [[nodiscard]] const std::vector<Partner>& partners() const {
      return batch->script->parties[static_cast<std::size_t>(party)].partners;
    }
  };

  [[nodiscard]] int rank_of(const Batch& batch, std::size_t lane, int party) const {
    return static_cast<int>(relation_.index(batch, lane, party));
  }

  void add_group(const Batch& batch, std::size_t lane) {
    std::set<int> numbers;
    std::vector<int> representatives;
    for (int party = 0; party < static_cast<int>(batch.script->parties.size()); ++party) {
      const int rank = rank_of(batch, lane, party);
      if (classes_.representative(rank) != rank) continue;
      places_[rank] = {&batch, lane, party};
      representatives.push_back(rank);
    }
    if (representatives.empty()) return;
    for (int party = 0; party < static_cast<int>(batch.script->parties.size()); ++party)
      numbers.insert(static_cast<int>(classes_.number_of(rank_of(batch, lane, party))));
    for (const int rank : representatives)
      written_.circles[rank] = {*numbers.begin(), numbers.size()};
  }

  void add_messages(int rank, const Place& place) {
    for (const auto& partner : place.partners()) {
      const int to = rank_of(*place.batch, place.lane, partner.party);
      const int receiver = classes_.representative(to);
      const auto& its = places_.at(receiver);
      const int from = rank_of(*its.batch, its.lane, its.partners()[partner.back].party);
      base::expect(classes_.representative(from) == rank, "partners of ranks that are alike are alike", from,
                   rank);
      written_.received[{rank, to}] = {from, receiver};
    }
  }

  const Exchange& exchange_;
  const Relation relation_;
  const Classes& classes_;
  std::map<int, Place> places_;  ///< by representative
  Correspondence written_{.classes = &classes_};
};

}  // namespace

Quotient::Quotient(const Skeletons& skeletons, const ExchangeByGroup& exchanges, const Setting& setting,
                   const Classes& classes)
    : skeletons_(skeletons), classes_(classes), grid_(setting.programs->front()->grid) {
  for (const auto& exchange : exchanges) {
    auto& by_group = by_group_[by_group_.push_back(nullptr)];
    if (!exchange) continue;
    const auto known = correspondences_.find(exchange.get());
    by_group = known != correspondences_.end()
                   ? &known->second
                   : &correspondences_.emplace(exchange.get(), Writer(*exchange, setting, classes).written())
                          .first->second;
  }
}

Quotient::Part Quotient::part(int rank, step::TransferId transfer) const {
  const auto group = skeletons_.counterparts->group(topology::coordinate_of(grid_, rank).pipeline, transfer);
  base::expect(group && by_group_[*group], "a transfer has all its parties");
  return {*group, by_group_[*group]};
}

}  // namespace partita::sim
