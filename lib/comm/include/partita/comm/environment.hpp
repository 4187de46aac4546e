/// MPI's life time, and how a program ends: together or not at all.
#pragma once

#include <functional>
#include <iosfwd>
#include <string>
#include <vector>

#include "partita/base/error.hpp"

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

/// What the launcher's variables say against a world of `world_size` ranks; nothing where they agree. Slurm's
/// srun, told to use an interface that the MPI library does not speak, starts each of its tasks as a world of
/// one rank, and every one of them would run the whole job. Local.
std::vector<base::Violation> check_launch(int world_size);

/// Runs a program on every rank. An exception on one rank is printed to `errors` with the rank and its cause,
/// and ends all ranks; the return value is the process's exit code.
int run_program(int argc, char** argv, std::ostream& errors,
                const std::function<int(MpiEnvironment&)>& program);

}  // namespace partita::comm
