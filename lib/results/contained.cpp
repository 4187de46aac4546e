/// How the child that reads a file first is made and judged: it has limits of memory and time and answers
/// through a pipe; one that ends without an answer has crashed on the file.
#include "contained.hpp"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <optional>
#include <span>

#include "file_calls.hpp"
#include "partita/base/error.hpp"

namespace partita::results {
namespace {

/// Begins every answer, so that a child that died has none.
constexpr char answered = 'A';
constexpr std::size_t longest_answer = 4000;  // fits into a pipe that nobody reads

void limit(decltype(RLIMIT_AS) resource, rlim_t most) {
  rlimit now{};
  if (getrlimit(resource, &now) != 0) return;
  now.rlim_cur = std::min(now.rlim_max, most);
  setrlimit(resource, &now);
}

/// Counts from what this process has mapped already, which under MPI or a sanitizer is a lot.
void limit_memory(ReadingCost cost) {
  std::ifstream file("/proc/self/statm");
  rlim_t pages = 0;
  if (!(file >> pages)) return;
  limit(RLIMIT_AS,
        pages * static_cast<rlim_t>(sysconf(_SC_PAGESIZE)) + (rlim_t{1} << 30) + rlim_t{64} * cost.bytes);
}

/// Holds back signals that are meant for the whole job: a child that they ended would look like one that its
/// file had crashed.
class HeldBack {
 public:
  HeldBack() {
    sigset_t all;
    sigemptyset(&all);
    for (const int signal : {SIGUSR1, SIGTERM, SIGINT})
      sigaddset(&all, signal);
    pthread_sigmask(SIG_BLOCK, &all, &before_);
  }
  ~HeldBack() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
  HeldBack(const HeldBack&) = delete;
  HeldBack& operator=(const HeldBack&) = delete;

 private:
  sigset_t before_{};
};

/// A crash from here on prints nothing, writes no core file and runs no library's handler; the process ends
/// with its parent.
void become_expendable(ReadingCost cost) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  for (const int signal : {SIGSEGV, SIGBUS, SIGABRT, SIGFPE, SIGILL})
    ::signal(signal, SIG_DFL);
  limit(RLIMIT_CORE, 0);
  limit_memory(cost);
#ifndef __SANITIZE_ADDRESS__
  if (const int nowhere = ::open("/dev/null", O_WRONLY | O_CLOEXEC); nowhere >= 0) dup2(nowhere, 2);
#endif
}

[[noreturn]] void answer(const std::function<std::string()>& examine, int to, ReadingCost cost) {
  become_expendable(cost);
  std::string text = answered + examine();
  text.resize(std::min(text.size(), longest_answer));
  const auto written = ::write(to, text.data(), text.size());
  _exit(written == static_cast<ssize_t>(text.size()) ? 0 : 1);
}

/// All that the child says until it ends; nothing when it does not.
std::optional<std::string> listen(int from, std::chrono::seconds patience) {
  const auto deadline = std::chrono::steady_clock::now() + patience;
  std::string text;
  std::array<char, 1024> buffer;
  for (;;) {
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
    if (left.count() <= 0) return std::nullopt;
    pollfd ready{.fd = from, .events = POLLIN, .revents = 0};
    const int count = ::poll(&ready, 1, static_cast<int>(left.count()));
    if (count < 0 && errno != EINTR) return std::nullopt;
    if (count <= 0) continue;
    const auto got = ::read(from, buffer.data(), buffer.size());
    if (got == 0) return text;
    if (got > 0) text.append(buffer.data(), static_cast<std::size_t>(got));
  }
}

/// How the child ended, in words; it is gone afterwards.
std::string end_of(pid_t child) {
  int status = 0;
  while (waitpid(child, &status, 0) < 0)
    if (errno != EINTR) return "an unknown end";
  if (WIFSIGNALED(status))
    return "signal " + std::to_string(WTERMSIG(status)) + ", " + strsignal(WTERMSIG(status));
  return "exit code " + std::to_string(WEXITSTATUS(status));
}

}  // namespace

std::string examine_in_child(const std::function<std::string()>& examine, ReadingCost cost) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) throw base::EnvironmentError("pipe2", errno, std::strerror(errno));
  const Descriptor from(ends[0]);
  Descriptor to(ends[1]);
  std::optional<HeldBack> held(std::in_place);
  const pid_t child = ::fork();
  if (child == 0) answer(examine, to.get(), cost);
  held.reset();
  if (child < 0)
    throw base::EnvironmentError("fork, to read a file where it can do no harm,", errno,
                                 std::strerror(errno));
  to.reset();
  const auto text = listen(from.get(), cost.patience + std::chrono::seconds(cost.bytes / (4u << 20)));
  if (!text) ::kill(child, SIGKILL);
  const auto end = end_of(child);
  if (!text) return "is damaged or hostile: reading it does not end";
  if (text->empty()) return "is damaged or hostile: the HDF5 library crashes on it (" + end + ")";
  return text->substr(1);
}

}  // namespace partita::results
