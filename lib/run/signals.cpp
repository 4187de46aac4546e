/// The handler of SIGUSR1, SIGTERM and SIGINT writes down that one came and does nothing else.
#include "partita/run/signals.hpp"

#include <csignal>
#include <initializer_list>

namespace partita::run {
namespace {

volatile std::sig_atomic_t noticed = 0;

}  // namespace

void notice_stop_signals() {
  struct sigaction action {};
  action.sa_handler = [](int) { noticed = 1; };
  action.sa_flags = SA_RESTART;
  sigemptyset(&action.sa_mask);
  for (const int signal : {SIGUSR1, SIGTERM, SIGINT})
    sigaction(signal, &action, nullptr);
}

bool stop_signal_came() { return noticed != 0; }

}  // namespace partita::run
