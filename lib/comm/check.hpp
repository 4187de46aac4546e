/// Checked MPI calls and owners of MPI handles.
#pragma once

#include <mpi.h>

#include <exception>
#include <source_location>
#include <string>

#include "partita/base/error.hpp"
#include "partita/base/handle.hpp"

namespace partita::comm {

inline void check(int code, const char* call, std::source_location where = std::source_location::current()) {
  if (code == MPI_SUCCESS) [[likely]]
    return;
  char text[MPI_MAX_ERROR_STRING];
  int length = 0;
  MPI_Error_string(code, text, &length);
  throw base::EnvironmentError(call, code, std::string(text, static_cast<std::size_t>(length)), where);
}

/// Prints this rank and the cause, and ends every rank of the job with 1: for where nothing can be thrown.
[[noreturn]] void end_job(const std::exception& cause) noexcept;

// Freeing is collective: while an exception unwinds one rank the others are elsewhere and would never join.
// The job is about to be aborted then, so nothing is freed.
struct CommunicatorTraits {
  using Handle = MPI_Comm;
  static Handle null() { return MPI_COMM_NULL; }
  static void close(Handle handle) noexcept {
    if (std::uncaught_exceptions() == 0) MPI_Comm_free(&handle);
  }
};
using CommunicatorHandle = base::UniqueHandle<CommunicatorTraits>;

}  // namespace partita::comm
