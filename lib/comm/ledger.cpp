#include "partita/comm/ledger.hpp"

namespace partita::comm {

std::vector<collective::TrafficRow> Ledger::rows(int rank) const {
  std::vector<collective::TrafficRow> rows;
  for (const auto& [key, counts] : rows_)
    rows.push_back({.rank = rank, .key = key, .counts = counts});
  return rows;
}

}  // namespace partita::comm
