/// MPI's life time, and how a program ends: together or not at all.
#pragma once

#include <cstdint>
#include <functional>
#include <iosfwd>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "partita/base/error.hpp"
#include "partita/comm/position.hpp"

namespace partita::comm {

/// A rank has waited longer than the limit: what every rank does, and why.
class WaitError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

class Watch;

/// Initialises MPI (FUNNELED); the first object of `main` behind what catches signals. Every MPI error
/// becomes an EnvironmentError. What USR1 does stays as it was before, also while MPI starts, which takes
/// until all ranks have come.
class MpiEnvironment {
 public:
  MpiEnvironment(int& argc, char**& argv);
  ~MpiEnvironment();
  MpiEnvironment(const MpiEnvironment&) = delete;
  MpiEnvironment& operator=(const MpiEnvironment&) = delete;

  /// Ends every rank of the job at once.
  [[noreturn]] void abort(int code) const;
  /// The longest that a rank waits for others before the job is ended with a report of what every rank does;
  /// 300 until set, 0: for ever.
  void set_wait_limit(double seconds) const;
  /// Where this rank is in its program, as the report tells, and what its words mean: the same on all ranks.
  [[nodiscard]] Position position() const;
  void name_instructions(std::function<std::string(std::uint64_t)> name) const;
  /// Until every rank has come to the end of its program: one that ends early is missed by the others.
  void leave() const;
  /// "MPICH 4.0.2", from MPI_Get_library_version's first line.
  [[nodiscard]] std::string mpi_library() const;
  /// This rank's host.
  [[nodiscard]] std::string host() const;
  [[nodiscard]] const std::shared_ptr<Watch>& watch() const { return watch_; }

 private:
  std::shared_ptr<Watch> watch_;
};

/// Whether messages may be sent from and received in the memory of a CUDA device (MPIX_Query_cuda_support).
/// Local.
[[nodiscard]] bool reaches_device_memory();

/// What the variables of launchers say against a world of `world_size` ranks; nothing where they agree. A
/// launcher whose interface the MPI library does not speak starts each process as a world of one rank, and
/// every one of them would run the whole job. Of launches inside each other the innermost counts. Local.
std::vector<base::Violation> check_launch(int world_size);

/// Runs a program on every rank. An exception on one rank is printed to `errors` with the rank and its cause,
/// and ends all ranks; the return value is the process's exit code.
int run_program(int argc, char** argv, std::ostream& errors,
                const std::function<int(MpiEnvironment&)>& program);

}  // namespace partita::comm
