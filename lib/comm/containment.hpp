/// What keeps a failure on one rank of a job inside the job: the notice to its peers, and the end of what was
/// under way.
#pragma once

#include <mpi.h>

#include <vector>

namespace partita::comm {

class Containment {
 public:
  /// `notices`: a communicator of the job's ranks that serves nothing else, and outlives this.
  explicit Containment(MPI_Comm notices);

  /// Asked wherever a rank waits or moves communication on: whether a peer has failed. Whoever asks throws
  /// then.
  [[nodiscard]] bool hears_failure();
  /// Tells the peers, once, that this rank fails; a rank that fails because of a peer tells nobody.
  void announce() noexcept;
  /// Ends the requests of an operation that an exception destroys: cancels the receive and waits for the
  /// send, whose receiver drains it. Both are null afterwards.
  void end(MPI_Request& receive, MPI_Request& send) noexcept;
  /// Receives and throws away what has arrived on the job's communicators.
  void drain() noexcept;
  /// Something was under way that cannot be ended.
  void lose() noexcept { lost_ = true; }

  [[nodiscard]] bool announced() const { return announced_; }
  [[nodiscard]] bool lost() const { return lost_; }

  /// Takes the notices that are known to have been sent and ends the wait for more.
  void close(int announcers_beside_me);

  /// Frees what exceptions left behind, in order of creation. Collective; every rank must have the same.
  void bury();

  /// What is open, in order of creation: the job's communicators, of which some belong to a node.
  std::vector<MPI_Comm> communicators;

 private:
  /// One message; whether there was one.
  static bool drain(MPI_Comm) noexcept;

  MPI_Comm notices_;
  int rank_ = 0, size_ = 1;
  int token_ = 0;
  MPI_Request heard_ = MPI_REQUEST_NULL;
  std::vector<MPI_Request> told_;
  bool failed_peer_ = false, announced_ = false, lost_ = false;
  int polls_ = 0;
};

}  // namespace partita::comm
