/// Who exchanges what with whom when the ranks of one stage, or of several, run one transfer of their
/// programs: groups of ranks that do the same share a script.
#pragma once

#include <map>
#include <memory>
#include <vector>

#include "partita/sim/costs.hpp"
#include "script.hpp"

namespace partita::sim {

/// Groups with one script.
struct Batch {
  std::shared_ptr<const Script> script;
  std::size_t lanes = 0;   ///< groups
  std::vector<int> seats;  ///< of each party and lane, parties outermost
};

struct Exchange {
  std::vector<int> stages, first_seats;  ///< a stage's lanes have seats that follow each other
  int seats = 0;
  std::vector<Batch> batches;

  /// Of the stage's first lane.
  [[nodiscard]] int first_seat(int stage) const;
};

/// A stage's part in a transfer: which of its instructions starts it.
struct Side {
  int stage = 0, instruction = 0;
};

/// Of all ranks of a grid. Lanes of a stage are its ranks in ascending order.
class Exchanges {
 public:
  explicit Exchanges(const Setting&);

  /// Of one stage; of a sender and its receiver; of all stages in order.
  std::shared_ptr<const Exchange> of(const std::vector<Side>&);

 private:
  using Key = std::vector<std::int64_t>;
  struct Seated {
    int rank = 0, seat = 0, tensor = 0;
    std::size_t side = 0;
    std::int64_t samples = 0;
  };
  /// What a member does, and where its buffer lies.
  struct Wanted {
    collective::Spec spec;
    bool in_window = false, reached = false;
  };
  class Builder;

  [[nodiscard]] const step::Program& program(int stage, int tensor) const;
  [[nodiscard]] const step::Transfer& transfer(const Side&, int tensor) const;
  [[nodiscard]] std::vector<std::int64_t> samples_of(const Side&) const;  ///< by data rank
  [[nodiscard]] Key key_of(const std::vector<Side>&);
  int number_of(step::ConversionId, int stage);  ///< equal ones of a stage have one
  [[nodiscard]] collective::Place place_of(const std::vector<Seated>&, bool is_message) const;
  std::shared_ptr<const Exchange> build(const std::vector<Side>&);
  int spec_of(const Seated&, const std::vector<Side>&, const collective::Place&);
  /// `key`: a place, then of each member what it does and its part.
  std::shared_ptr<const Script> script_of(const std::vector<int>& key);

  const Setting& setting_;
  topology::GridExtent grid_;
  std::map<Key, std::shared_ptr<const Exchange>> known_;
  std::map<int, base::IdVector<step::ConversionId, int>> conversions_;  ///< by stage their numbers
  std::map<Key, int> spec_numbers_;
  std::vector<Wanted> specs_;
  std::map<std::vector<int>, int> place_numbers_;  ///< by nodes
  std::vector<collective::Place> places_;
  std::map<std::vector<int>, std::shared_ptr<const Script>> scripts_;
};

}  // namespace partita::sim
