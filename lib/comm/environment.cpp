/// Starts MPI without the signal handler that MPICH brings, has errors returned instead of ending the
/// process, and ends the job, after saying why, when an exception leaves the program.
#include "partita/comm/environment.hpp"

#include <mpi.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdlib>
#include <iostream>
#include <thread>

#include "check.hpp"
#include "partita/comm/library.hpp"
#include "watch.hpp"

/// An extension: libraries without it do not reach a device's memory.
extern "C" int MPIX_Query_cuda_support(void) __attribute__((weak));

namespace partita::comm {
namespace {

/// Keeps what USR1 does in this process while MPI starts: MPICH installs a handler of its own, which asks the
/// launcher which ranks have failed and waits for ever where there is none. The signal is held back from all
/// threads but one, which waits for it.
class KeptUsr1 {
 public:
  KeptUsr1() {
    sigemptyset(&usr1_);
    sigaddset(&usr1_, SIGUSR1);
    pthread_sigmask(SIG_BLOCK, &usr1_, &mask_);
    sigaction(SIGUSR1, nullptr, &action_);
    waiting_ = std::thread([this] { wait(); });
  }
  ~KeptUsr1() {
    pthread_kill(waiting_.native_handle(), SIGUSR1);
    waiting_.join();
    sigaction(SIGUSR1, &action_, nullptr);
    pthread_sigmask(SIG_SETMASK, &mask_, nullptr);
  }
  KeptUsr1(const KeptUsr1&) = delete;
  KeptUsr1& operator=(const KeptUsr1&) = delete;

 private:
  /// Until the signal comes from this process itself.
  void wait() const {
    siginfo_t info{};
    while (true) {
      if (sigwaitinfo(&usr1_, &info) != SIGUSR1) continue;  // interrupted
      if (info.si_pid == getpid()) return;
      act();
    }
  }
  void act() const {
    const bool has_handler = action_.sa_handler != SIG_DFL && action_.sa_handler != SIG_IGN;
    if (has_handler && (action_.sa_flags & SA_SIGINFO) == 0) return action_.sa_handler(SIGUSR1);
    sigaction(SIGUSR1, &action_, nullptr);
    pthread_sigmask(SIG_UNBLOCK, &usr1_, nullptr);
    std::raise(SIGUSR1);
    pthread_sigmask(SIG_BLOCK, &usr1_, nullptr);
  }

  sigset_t usr1_{}, mask_{};
  struct sigaction action_ {};
  std::thread waiting_;
};

void initialize(int& argc, char**& argv) {
  const KeptUsr1 kept;
  int provided = 0;
  check(MPI_Init_thread(&argc, &argv, MPI_THREAD_FUNNELED, &provided), "MPI_Init_thread");
}

}  // namespace

MpiEnvironment::MpiEnvironment(int& argc, char**& argv) {
  initialize(argc, argv);
  check(MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN), "MPI_Comm_set_errhandler");
  watch_ = std::make_shared<Watch>();
}

void MpiEnvironment::set_wait_limit(double seconds) const { watch_->set_limit(seconds); }
Position MpiEnvironment::position() const { return watch_->position(); }
void MpiEnvironment::name_instructions(std::function<std::string(std::uint64_t)> name) const {
  watch_->name_instructions(std::move(name));
}
void MpiEnvironment::leave() const { watch_->leave(); }

MpiEnvironment::~MpiEnvironment() { MPI_Finalize(); }

void MpiEnvironment::abort(int code) const {
  MPI_Abort(MPI_COMM_WORLD, code);
  std::_Exit(code);
}

std::string MpiEnvironment::mpi_library() const { return library_version(); }

std::string MpiEnvironment::host() const {
  char text[MPI_MAX_PROCESSOR_NAME];
  int length = 0;
  check(MPI_Get_processor_name(text, &length), "MPI_Get_processor_name");
  return {text, static_cast<std::size_t>(length)};
}

namespace {

/// In one piece; launchers pass on what they have read before the abort, so they are given time to read.
void print_cause(std::ostream& errors, const std::exception& cause) {
  int rank = -1;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  std::string text = "rank " + std::to_string(rank) + ": " + cause.what();
  if (text.back() != '\n') text += '\n';
  errors.write(text.data(), static_cast<std::streamsize>(text.size())).flush();
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
}

}  // namespace

bool reaches_device_memory() { return MPIX_Query_cuda_support != nullptr && MPIX_Query_cuda_support() == 1; }

void end_job(const std::exception& cause) noexcept {
  print_cause(std::cerr, cause);
  MPI_Abort(MPI_COMM_WORLD, 1);
  std::_Exit(1);
}

int run_program(int argc, char** argv, std::ostream& errors,
                const std::function<int(MpiEnvironment&)>& program) {
  MpiEnvironment environment(argc, argv);
  try {
    const int code = program(environment);
    environment.leave();
    return code;
  } catch (const std::exception& error) {
    print_cause(errors, error);
    environment.abort(1);
  }
}

}  // namespace partita::comm
