/// Adds up what went to and came from each peer, and turns the ledger into rows of a result. What gathers the
/// rows themselves (activity `record`) is not among the peers' counts.
#include "partita/comm/ledger.hpp"

namespace partita::comm {

void Ledger::add_peers(collective::Activity activity, topology::Axis axis,
                       std::span<const collective::PeerCounts> peers, int job_size) {
  if (activity == collective::Activity::record || peers.empty()) return;
  auto& by_peer = peers_[{activity, axis}];
  by_peer.resize(static_cast<std::size_t>(job_size));
  for (const auto& counts : peers)
    by_peer[static_cast<std::size_t>(counts.peer)] += counts;
}

std::vector<collective::PeerRow> Ledger::peer_rows(int rank) const {
  std::vector<collective::PeerRow> rows;
  for (const auto& [key, by_peer] : peers_)
    for (std::size_t peer = 0; peer < by_peer.size(); ++peer) {
      if (by_peer[peer] == collective::PeerCounts{}) continue;
      rows.push_back({.rank = rank, .activity = key.first, .axis = key.second, .counts = by_peer[peer]});
      rows.back().counts.peer = static_cast<int>(peer);
    }
  return rows;
}

std::vector<collective::TrafficRow> Ledger::rows(int rank) const {
  std::vector<collective::TrafficRow> rows;
  for (const auto& [key, counts] : rows_)
    rows.push_back({.rank = rank, .key = key, .counts = counts});
  return rows;
}

}  // namespace partita::comm
