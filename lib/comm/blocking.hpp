/// Calls of MPI that have no form that can be polled: its libraries spin in them and keep their core, so that
/// ranks that share cores wait for each other's whole time slices.
#pragma once

#include <ctime>

namespace partita::comm {

/// While one lives, a timer takes this thread out of whatever it does, and yields the core.
class YieldsNowAndThen {
 public:
  explicit YieldsNowAndThen(bool ranks_share_cores);
  ~YieldsNowAndThen();
  YieldsNowAndThen(const YieldsNowAndThen&) = delete;
  YieldsNowAndThen& operator=(const YieldsNowAndThen&) = delete;

 private:
  bool runs_ = false;
  timer_t timer_{};
};

}  // namespace partita::comm
