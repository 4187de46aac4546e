/// The ledger: what this rank communicated, by activity, axis, operation and purpose; and with whom.
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <span>
#include <utility>
#include <vector>

#include "partita/collective/traffic.hpp"

namespace partita::comm {

class Ledger {
 public:
  /// Later operations are booked under this activity.
  void set_activity(collective::Activity activity) {
    activity_ = activity;
    if (shown_)
      std::atomic_ref(*shown_).store(static_cast<std::uint64_t>(activity), std::memory_order_relaxed);
  }
  /// The activity is kept here, too, where other ranks see it.
  void show_activity_in(std::uint64_t* word) { shown_ = word; }
  [[nodiscard]] collective::Activity activity() const { return activity_; }

  void add(const collective::TrafficKey& key, const collective::TrafficCounts& counts) {
    rows_[key] += counts;
  }
  /// Adds waiting time to an operation that is already booked.
  void add_exposed(const collective::TrafficKey& key, double seconds) {
    rows_[key].exposed_seconds += seconds;
  }

  /// Books bytes under their peers, ranks of the job below `job_size`. Allocates for an activity's first
  /// operation on an axis only.
  void add_peers(collective::Activity activity, topology::Axis axis,
                 std::span<const collective::PeerCounts> peers, int job_size);

  [[nodiscard]] std::vector<collective::TrafficRow> rows(int rank) const;
  /// What was exchanged with each peer, but for `record`: those bytes grow while they are gathered.
  [[nodiscard]] std::vector<collective::PeerRow> peer_rows(int rank) const;

 private:
  collective::Activity activity_ = collective::Activity::setup;
  std::uint64_t* shown_ = nullptr;
  std::map<collective::TrafficKey, collective::TrafficCounts> rows_;
  std::map<std::pair<collective::Activity, topology::Axis>, std::vector<collective::PeerCounts>> peers_;
};

}  // namespace partita::comm
