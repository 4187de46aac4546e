/// Raises a signal in a program that it is preloaded into, before or after a call of MPI or the removal of a
/// file: what otherwise takes luck. RAISE_AT="before MPI_Finalize" names the call, RAISE_SIGNAL the signal by
/// number (0: a line on standard error instead), RAISE_RANK the only rank that gets it (all where it is not
/// set).
#include <mpi.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <iostream>
#include <string>

namespace {

void pass(const char* when, const char* call) {
  const char* const at = std::getenv("RAISE_AT");
  const char* const rank = std::getenv("RAISE_RANK");
  const char* mine = std::getenv("PMI_RANK");
  if (!mine) mine = std::getenv("OMPI_COMM_WORLD_RANK");
  if (!at || std::string(when) + " " + call != at || (rank && mine && std::string(rank) != mine)) return;
  unsetenv("RAISE_AT");  // once
  const int signal = std::atoi(std::getenv("RAISE_SIGNAL"));
  if (signal == 0)
    std::cerr << when << " " << call << std::endl;
  else
    std::raise(signal);
}

}  // namespace

extern "C" {

int MPI_Init_thread(int* argc, char*** argv, int required, int* provided) {
  pass("before", "MPI_Init_thread");
  const int code = PMPI_Init_thread(argc, argv, required, provided);
  pass("after", "MPI_Init_thread");
  return code;
}

int MPI_Comm_dup(MPI_Comm communicator, MPI_Comm* copy) {
  pass("before", "MPI_Comm_dup");
  return PMPI_Comm_dup(communicator, copy);
}

/// The first is of what all ranks of a node show each other, the second of the first window.
int memfd_create(const char* name, unsigned flags) {
  static int files = 0;
  if (++files == 2) pass("before", "the first window");
  return static_cast<int>(syscall(SYS_memfd_create, name, flags));
}

int MPI_Finalize() {
  pass("before", "MPI_Finalize");
  const int code = PMPI_Finalize();
  pass("after", "MPI_Finalize");
  return code;
}

/// Removes a file of a folder that is removed whole.
int unlinkat(int folder, const char* path, int flags) {
  const int code = static_cast<int>(syscall(SYS_unlinkat, folder, path, flags));
  pass("after", "unlinkat");
  return code;
}
}
