/// The ranks that measure something together, while the others leave the cores to them.
#pragma once

#include <functional>

#include "partita/base/clock.hpp"
#include "partita/comm/communicator.hpp"

namespace partita::calibrate {

/// The most of what any rank has. Collective.
double most(comm::Communicator&, double mine);

/// Until all ranks have come, without using a core.
void gather_asleep(comm::Communicator&);

/// Of what ranks do together the lower quartile counts: where one of them is held up, all are, and on an idle
/// machine most runs take the same.
inline constexpr double quick_share = 25;

/// Seconds that may be spent on something.
class Budget {
 public:
  explicit Budget(double seconds) : begin_(base::now_seconds()), seconds_(seconds) {}
  [[nodiscard]] double spent() const { return base::now_seconds() - begin_; }
  /// Of it, from 0; above 1 when it is spent.
  [[nodiscard]] double share_spent() const { return spent() / seconds_; }

 private:
  double begin_, seconds_;
};

}  // namespace partita::calibrate
