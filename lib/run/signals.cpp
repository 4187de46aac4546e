#include "partita/run/signals.hpp"

#include "partita/base/error.hpp"

namespace partita::run {
namespace {

constexpr std::array signals{SIGUSR1, SIGTERM, SIGINT};
volatile std::sig_atomic_t received_signal = 0;
bool listening = false;

struct sigaction notice() {
  struct sigaction action {};
  action.sa_handler = [](int signal) { received_signal = signal; };
  action.sa_flags = SA_RESTART;
  sigemptyset(&action.sa_mask);
  return action;
}

}  // namespace

StopSignals::StopSignals() {
  base::expect(!listening, "one listener hears the signals of a process");
  listening = true;
  received_signal = 0;
  const auto action = notice();
  for (std::size_t i = 0; i < signals.size(); ++i)
    sigaction(signals[i], &action, &before_[i]);
}

StopSignals::~StopSignals() {
  for (std::size_t i = 0; i < signals.size(); ++i)
    sigaction(signals[i], &before_[i], nullptr);
  listening = false;
}

void StopSignals::reclaim() {
  if (!listening) return;
  const auto action = notice();
  for (const int signal : signals)
    sigaction(signal, &action, nullptr);
}

bool StopSignals::received() { return received_signal != 0; }

}  // namespace partita::run
