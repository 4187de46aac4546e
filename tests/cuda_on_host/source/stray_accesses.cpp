/// Accesses next to allocations, or by the host to device memory, meet pages that cannot be touched: in a
/// kernel they become a Fault, elsewhere a message before the program ends as ever.
#include <signal.h>
#include <unistd.h>

#include "machine.hpp"
#include "runtime.hpp"

namespace cuda_on_host {
namespace {

struct sigaction before;

void handle(int number, siginfo_t* info, void*) {
  // Vector instructions on a wrong boundary come without an address.
  const std::string what = info->si_code == SI_KERNEL
                               ? "an access that is not on its type's boundary, or wild"
                               : describe_address(info->si_addr);
  Machine& m = machine();
  if (!what.empty() && m.current) {
    // The thread is left as it is: the scheduler ends the kernel with this error.
    try {
      fault(what);
    } catch (...) {
      m.error = std::current_exception();
    }
    block_on("nothing");
  }
  if (!what.empty()) {
    const std::string line = "cuda_on_host: " + what + "\n";
    if (write(2, line.data(), line.size()) < 0) _exit(139);
  }
  sigaction(number, &before, nullptr);  // happens again, and ends the program
}

}  // namespace

void watch_for_stray_accesses() {
  static const bool once = [] {
    struct sigaction action {};
    action.sa_sigaction = handle;
    action.sa_flags = SA_SIGINFO | SA_NODEFER;
    return sigaction(SIGSEGV, &action, &before) == 0;
  }();
  static_cast<void>(once);
}

}  // namespace cuda_on_host
