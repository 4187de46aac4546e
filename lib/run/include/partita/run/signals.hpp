/// Signals that ask a run to stop: noticed at once, obeyed between two steps.
#pragma once

#include <array>
#include <csignal>

namespace partita::run {

/// Catches USR1, TERM and INT while it lives, those too that the process was started to hold back; then the
/// former handlers are back. One at a time in a process.
class StopSignals {
 public:
  StopSignals();
  ~StopSignals();
  StopSignals(const StopSignals&) = delete;
  StopSignals& operator=(const StopSignals&) = delete;

  /// Whether one has come to this process.
  [[nodiscard]] static bool received();

 private:
  std::array<struct sigaction, 3> before_{};
};

}  // namespace partita::run
