/// The handler of SIGUSR1, SIGTERM and SIGINT writes down which one came and does nothing else. A process
/// that inherits these signals blocked has them unblocked.
#include "partita/run/signals.hpp"

#include "partita/base/error.hpp"

namespace partita::run {
namespace {

constexpr std::array signals{SIGUSR1, SIGTERM, SIGINT};
volatile std::sig_atomic_t received_signal = 0;
bool listening = false;

}  // namespace

StopSignals::StopSignals() {
  base::expect(!listening, "one listener hears the signals of a process");
  listening = true;
  received_signal = 0;
  struct sigaction action {};
  action.sa_handler = [](int signal) { received_signal = signal; };
  action.sa_flags = SA_RESTART;
  sigemptyset(&action.sa_mask);
  sigset_t all;
  sigemptyset(&all);
  for (std::size_t i = 0; i < signals.size(); ++i) {
    sigaction(signals[i], &action, &before_[i]);
    sigaddset(&all, signals[i]);
  }
  pthread_sigmask(SIG_UNBLOCK, &all, nullptr);
}

StopSignals::~StopSignals() {
  for (std::size_t i = 0; i < signals.size(); ++i)
    sigaction(signals[i], &before_[i], nullptr);
  listening = false;
}

bool StopSignals::received() { return received_signal != 0; }

}  // namespace partita::run
