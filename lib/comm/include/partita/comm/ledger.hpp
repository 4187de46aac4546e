/// The ledger: what this rank communicated, by activity, axis, operation and purpose.
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
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

  [[nodiscard]] std::vector<collective::TrafficRow> rows(int rank) const;

 private:
  collective::Activity activity_ = collective::Activity::setup;
  std::uint64_t* shown_ = nullptr;
  std::map<collective::TrafficKey, collective::TrafficCounts> rows_;
};

}  // namespace partita::comm
