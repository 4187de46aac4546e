/// The timer's signal is a real-time one that nobody else has taken; without one, calls are as slow as they
/// are.
#include "blocking.hpp"

#include <pthread.h>
#include <sched.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>

namespace partita::comm {
namespace {

constexpr long microseconds_between = 200;

void yield(int) {
  const int kept = errno;
  sched_yield();
  errno = kept;
}

/// The signal, whose action stays for the life of the process: one that is late must not end it. 0: none is
/// free.
int take_signal() {
  for (int signal = SIGRTMAX - 1; signal > SIGRTMIN; --signal) {
    struct sigaction present {
    }, action{};
    if (sigaction(signal, nullptr, &present) != 0 || present.sa_handler != SIG_DFL) continue;
    action.sa_handler = yield;
    action.sa_flags = SA_RESTART;
    if (sigaction(signal, &action, nullptr) == 0) return signal;
  }
  return 0;
}

}  // namespace

YieldsNowAndThen::YieldsNowAndThen(bool ranks_share_cores) {
  static const int signal = take_signal();
  if (!ranks_share_cores || signal == 0) return;
  struct sigevent event {};
  event.sigev_notify = SIGEV_THREAD_ID;
  event.sigev_signo = signal;
  event._sigev_un._tid = gettid();
  if (timer_create(CLOCK_MONOTONIC, &event, &timer_) != 0) return;
  runs_ = true;
  struct itimerspec times {};
  times.it_interval.tv_nsec = times.it_value.tv_nsec = microseconds_between * 1000;
  timer_settime(timer_, 0, &times, nullptr);
}

YieldsNowAndThen::~YieldsNowAndThen() {
  if (runs_) timer_delete(timer_);
}

}  // namespace partita::comm
