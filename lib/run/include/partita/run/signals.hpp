/// Signals that ask a run to stop: noticed at once, obeyed between two steps.
#pragma once

namespace partita::run {

/// From here to the end of the process USR1, TERM and INT do nothing but to be noticed: for a run that will
/// have something to checkpoint at the end of a step. What they did before, such as to end the process
/// (`base::end_on_signals`), is over. Once more changes nothing.
void notice_stop_signals();

/// Whether one has come to this process since.
[[nodiscard]] bool stop_signal_came();

}  // namespace partita::run
