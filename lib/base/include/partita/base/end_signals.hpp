/// Signals that end a program which has nothing to checkpoint, or not yet.
#pragma once

#include <string_view>

namespace partita::base {

/// From here on USR1, TERM and INT end the process with a line on standard error and exit code 128 + n, as
/// shells say it of a process that signal n ended; launchers pass codes on more truly than signals. The first
/// thing in `main`. Signals that the process was started to ignore stay ignored; those that it was started to
/// hold back are let through.
void end_on_signals(std::string_view program);

}  // namespace partita::base
