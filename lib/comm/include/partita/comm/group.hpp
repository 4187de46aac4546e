/// A part of the world that runs one job after another, each as if it had the world to itself, while the
/// other parts run theirs.
///
/// What is contained: an exception on any rank of the group, while the others wait for it or come to wait.
/// The rank tells its peers; a peer leaves its wait by an exception of its own; messages under way are
/// received and thrown away, posted receives cancelled; then all ranks agree on what happened and free what
/// the job left behind. What is not: a process that dies (MPI ends the job), a vendor's collective under way
/// and blocking calls of MPI's set-up of communicators and windows, which cannot be cancelled.
#pragma once

#include <functional>
#include <stdexcept>
#include <string>
#include <vector>

#include "partita/comm/communicator.hpp"

namespace partita::comm {

/// On a rank whose peer failed: what takes it out of its wait. Not to be caught inside a group's job.
class PeerFailed : public std::runtime_error {
 public:
  PeerFailed() : std::runtime_error("another rank of the group failed") {}
};

class Group {
 public:
  /// The ranks of `world` that give the same number, in the order of their rank. Collective over `world`.
  Group(const Communicator& world, int number);
  ~Group();
  Group(Group&&) noexcept;
  Group& operator=(Group&&) noexcept;

  /// Of this group's ranks, for what they have to agree on between jobs. Its ledger is of no job.
  [[nodiscard]] Communicator& control();

  struct Failure {
    int rank = 0;  ///< of the group
    std::string reason;
  };

  /// Runs `job` on every rank, with a communicator, a ledger and progress of its own. What the job's ranks
  /// threw, the same on every rank; empty where it ran to its end. A job that destroys shared memory must
  /// first make sure that no rank fails any more (a barrier): freeing blocks. Collective over the group;
  /// throws where a failure cannot be contained.
  std::vector<Failure> run(const std::function<void(Communicator& world)>& job);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace partita::comm
