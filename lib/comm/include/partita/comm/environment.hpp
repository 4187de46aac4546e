/// MPI's life time, and how a program ends: together or not at all.
#pragma once

#include <functional>
#include <iosfwd>
#include <string>

namespace partita::comm {

/// Initialises MPI (FUNNELED); the first object of `main`. Every MPI error becomes an EnvironmentError.
class MpiEnvironment {
 public:
  MpiEnvironment(int& argc, char**& argv);
  ~MpiEnvironment();
  MpiEnvironment(const MpiEnvironment&) = delete;
  MpiEnvironment& operator=(const MpiEnvironment&) = delete;

  /// Ends every rank of the job at once.
  [[noreturn]] void abort(int code) const;
  /// "MPICH 4.0.2", from MPI_Get_library_version's first line.
  [[nodiscard]] std::string library() const;
  /// This rank's host.
  [[nodiscard]] std::string host() const;
};

/// Runs a program on every rank. An exception on one rank is printed to `errors` with the rank and its cause,
/// and ends all ranks; the return value is the process's exit code.
int run_program(int argc, char** argv, std::ostream& errors,
                const std::function<int(MpiEnvironment&)>& program);

}  // namespace partita::comm
