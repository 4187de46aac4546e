/// The watchdog of this process: what it shows to the other ranks, and what it does once a wait has lasted
/// too long.
///
/// Nobody can ask a rank that is stuck: ranks of one host read each other's blocks in shared memory, and of
/// other nodes the ranks that wait answer for their whole node. There is no helper thread; whoever waits
/// looks after the others.
#pragma once

#include <mpi.h>

#include <bitset>
#include <cmath>
#include <functional>
#include <map>
#include <optional>
#include <span>

#include "partita/comm/environment.hpp"
#include "partita/comm/position.hpp"
#include "shared_memory.hpp"
#include "verdict.hpp"

namespace partita::comm {

/// A communicator as blocks know it.
struct GroupId {
  std::uint8_t id = 0;
  std::uint32_t key = 0;      ///< the same on all members and no others
  std::uint32_t started = 0;  ///< collectives
  std::int32_t plans = 0;     ///< of collectives
};

class Watch {
 public:
  /// After MPI_Init; nothing is shared yet.
  Watch();
  ~Watch();
  Watch(const Watch&) = delete;
  Watch& operator=(const Watch&) = delete;

  void set_limit(double seconds) { limit_seconds_ = seconds; }
  void name_instructions(NameInstruction name) { name_ = std::move(name); }
  [[nodiscard]] Position position() const { return Position(&mine_->instruction); }
  [[nodiscard]] std::uint64_t* activity() const { return &mine_->activity; }

  /// Puts this rank's block where the ranks of `node` see it, once in the life of the process. Collective
  /// over `node`; `ranks` are theirs in the world, `wait_for` waits for what they do together.
  void share(MPI_Comm node, std::span<const int> ranks, const std::function<void(MPI_Request&)>& wait_for);
  /// From now on blocks of other imitated nodes are asked for by messages.
  void imitate_nodes_of(int ranks_per_node);

  /// The key counts the groups of these members, which all of them make in the same order.
  [[nodiscard]] GroupId add_group(std::span<const int> world_ranks);
  void remove_group(const GroupId&);

  void started(const Shown& operation) const {
    const auto i = mine_->started % Block::remembered;
    show(mine_->recent[i], operation);
    show(mine_->started, mine_->started + 1);
  }
  /// Numbers a collective.
  void started(GroupId& group, Shown& operation) const {
    operation.number = ++group.started;
    show(mine_->group[group.id], (std::uint64_t{group.key} << 32) | group.started);
    started(operation);
  }
  void waits(const Shown& operation) {
    show(mine_->waiting, operation);
    show(mine_->waits, 1);
    awaited_ = {.peer = operation.is_message() ? operation.peer : -1};
  }
  void waits_no_more() const { show(mine_->waits, 0); }

  /// For one that has waited for `waited_seconds`, now and then: answers other nodes and, beyond the limit,
  /// gives the report that ends the job, on one rank. Who waits for a message of a rank of its host, such as
  /// a worker for a server that has slower workers to wait for, counts from when that last started something.
  [[nodiscard]] std::optional<std::string> look(double waited_seconds);

  /// Marks the end of this rank's program and waits until all others have come to theirs.
  void leave();

  /// A polled barrier over any communicator, where no runtime is at hand.
  void barrier(MPI_Comm, GroupId&, std::uint8_t operation, topology::Axis axis);
  /// Likewise, until a collective of all ranks of the group is complete.
  void wait(MPI_Request&, GroupId&, std::uint8_t operation, topology::Axis axis);

 private:
  GroupId add_group_of(std::uint32_t key);
  [[nodiscard]] std::vector<Seen> read_node() const;
  void answer();
  void send_answer(int to);
  std::optional<std::string> report(double waited_seconds, bool insists);
  bool collect(std::vector<Seen>& all, bool insists);
  [[nodiscard]] double seconds_without_a_move(double waited_seconds);
  bool receive_answer(std::vector<Seen>& all);

  int rank_ = 0, size_ = 1;
  double limit_seconds_ = 300;
  NameInstruction name_;
  Block own_;
  SharedMemory shared_;  ///< a block of each rank of my host
  bool is_shared_ = false;
  std::vector<Block*> host_, visible_;  ///< by rank; null where only messages reach
  Block* mine_ = &own_;
  Block* first_ = &own_;  ///< of my node
  /// Of the wait that lasts: whose message it is for, and how long it had lasted when that rank last moved.
  struct Awaited {
    int peer = -1;
    std::uint64_t started = 0;
    double moved_at_seconds = 0;
  };
  Awaited awaited_;
  std::bitset<Block::groups> taken_;
  std::map<std::uint32_t, std::uint32_t> made_;  ///< groups, by hash of their members
  bool yields_to_lower_ = false;
  std::vector<std::vector<Seen>> answers_;
};

/// The time that one wait has lasted, as the watchdog counts it: a gap in which the whole job stood still
/// (suspended, or under a debugger) counts for little.
class WaitClock {
 public:
  /// Looks at the time now and then; the report that ends the job.
  std::optional<std::string> tick(Watch& watch, double now_seconds) {
    if (last_ > 0) waited_ += std::fmin(now_seconds - last_, 1.0);
    last_ = now_seconds;
    if (waited_ < next_look_) return {};
    next_look_ = waited_ + 0.01;
    return watch.look(waited_);
  }

 private:
  double waited_ = 0, last_ = 0, next_look_ = 0.05;
};

}  // namespace partita::comm
