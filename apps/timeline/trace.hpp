/// A recorded timeline as Chrome trace events, which Perfetto and chrome://tracing show.
///
/// A rank is a process; each of its queues has as many threads ("lanes") as spans of it overlap. A message is
/// an arrow from the span of its send to that of its receive; a counter holds the bytes in flight. Times are
/// microseconds since the first recorded step, or since the earliest span where one begins before that.
/// Format: "Trace Event Format", Google, object form.
#pragma once

#include <cstdint>
#include <iosfwd>
#include <limits>
#include <vector>

#include "partita/base/error.hpp"
#include "partita/results/record.hpp"

namespace partita::timeline {

/// Steps `first` to `last`, both shown.
struct StepRange {
  std::int64_t first = 0, last = std::numeric_limits<std::int64_t>::max();
  [[nodiscard]] bool contains(std::int64_t step) const { return first <= step && step <= last; }
};

/// Why these steps cannot be shown: no timeline, no span of them, spans that are no intervals.
std::vector<base::Violation> check_timeline(const results::Timeline&, const StepRange&);

/// Writes the trace of a timeline that passed the check. Returns how many messages get no arrow, since only
/// one end of theirs is in these steps.
std::size_t write_trace(std::ostream&, const results::RunRecord&, const StepRange&);

}  // namespace partita::timeline
