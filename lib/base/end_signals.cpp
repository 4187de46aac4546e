/// A handler that writes one line, made beforehand, and ends with 128 + the signal's number. A signal that
/// the parent had ignored stays ignored.
#include "partita/base/end_signals.hpp"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <string>

namespace partita::base {
namespace {

struct EndSignal {
  int number;
  const char* name;
  /// Made before, since a handler must not allocate; it outlives static objects.
  std::array<char, 80> line;
  std::size_t length;
};
std::array<EndSignal, 3> signals{{{SIGUSR1, "SIGUSR1"}, {SIGTERM, "SIGTERM"}, {SIGINT, "SIGINT"}}};

[[noreturn]] void say_and_end(int number) {
  const auto* const found =
      std::find_if(signals.begin(), signals.end(), [&](const EndSignal& s) { return s.number == number; });
  [[maybe_unused]] const auto written = ::write(STDERR_FILENO, found->line.data(), found->length);
  ::_exit(128 + number);
}

}  // namespace

void end_on_signals(std::string_view program) {
  sigset_t all;
  sigemptyset(&all);
  for (auto& signal : signals) {
    const std::string line = std::string(program) + ": ended by " + signal.name + "\n";
    signal.length = line.copy(signal.line.data(), signal.line.size());
    sigaddset(&all, signal.number);
    struct sigaction action {};
    sigaction(signal.number, nullptr, &action);
    if (action.sa_handler == SIG_IGN) continue;
    action.sa_handler = say_and_end;
    action.sa_flags = 0;
    sigfillset(&action.sa_mask);  // one line, whatever else comes
    sigaction(signal.number, &action, nullptr);
  }
  pthread_sigmask(SIG_UNBLOCK, &all, nullptr);
}

}  // namespace partita::base
