/// What the communicators of one job share, and what one of them owns.
#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <vector>

#include "check.hpp"
#include "containment.hpp"
#include "partita/base/clock.hpp"
#include "partita/comm/communicator.hpp"
#include "partita/comm/virtual_clock.hpp"
#include "shared_memory.hpp"
#include "watch.hpp"

namespace partita::comm {

/// A collective under way, as progress sees it.
class Progressing {
 public:
  virtual ~Progressing() = default;
  virtual void advance() = 0;
  /// Advances between kernels, and books the time that this takes from the core.
  virtual void progress() = 0;
};

/// One for all communicators of a job: the ledger, what is under way, and what `automatic` stands for.
struct Runtime {
  explicit Runtime(std::shared_ptr<Watch> w) : watch(std::move(w)) {}
  std::shared_ptr<Watch> watch;
  Ledger ledger;
  collective::AlgorithmTable table = collective::AlgorithmTable::shipped();
  std::vector<Progressing*> active;
  int planned = 0;  ///< living plans: the most that can be under way
  int polls_before_yield = 0, node_cores = 1;
  bool shares_cores = false;                 ///< this host has more ranks of the job than cores
  std::unique_ptr<Containment> containment;  ///< null: a failure on one rank ends MPI's job
  std::optional<VirtualClock> clock;         ///< in place of this host's

  [[nodiscard]] double now_seconds() const { return clock ? clock->now_seconds() : base::now_seconds(); }

  void remove(Progressing* operation) { std::erase(active, operation); }
};

/// A stretch of memory that the local ranks share: where each one's segment begins in this process.
struct Region {
  Region() = default;
  ~Region();
  Region(const Region&) = delete;
  Region& operator=(const Region&) = delete;

  std::vector<SharedMemory> memory;      ///< by local rank
  std::function<void()> before_release;  ///< until all ranks that share it have come to release it
  std::size_t bytes = 0;                 ///< of every segment
  std::vector<std::byte*> segments;      ///< by rank of the communicator; null on other nodes
  std::byte* mine = nullptr;
};

/// Part of a region, at the same offset on every rank.
struct Lease {
  std::shared_ptr<Region> region;
  std::size_t offset = 0;
  [[nodiscard]] std::byte* of(int rank) const {
    return region->segments[static_cast<std::size_t>(rank)] + offset;
  }
};

class SharedRounds;

struct Communicator::State {
  State() = default;
  ~State();
  State(const State&) = delete;
  State& operator=(const State&) = delete;
  CommunicatorHandle communicator, node;
  int rank = 0, size = 1, local_rank = 0, local_size = 1;
  topology::Axis axis = topology::Axis::world;
  std::vector<int> host_of;     ///< by rank
  std::vector<int> node_of;     ///< by rank: an imitated node, or the host
  std::vector<int> world_rank;  ///< by rank
  std::vector<int> job_rank;    ///< by rank, in the communicator of the whole job
  int job_size = 1;
  GroupId group, node_group;
  int next_tag = 0;
  int ranks_per_node = 0;  ///< of imitated nodes
  std::shared_ptr<Runtime> runtime;
  std::shared_ptr<Region> pool;
  std::size_t pool_used = 0;
  std::vector<SharedRounds*>
      unconnected;                     ///< messages through shared memory that do not know their peer's end
  std::vector<const Region*> regions;  ///< of the living shared buffers, in order of allocation

  /// The region and offset in which a view lies; null when in none.
  [[nodiscard]] const Region* region_of(const void* data) const;
  /// A window with a cleared segment of `bytes`, which may differ, on every rank. Collective over the node.
  [[nodiscard]] std::unique_ptr<Region> allocate(std::size_t bytes);
  /// Whether all ranks of the node found each other's memory of this kind.
  [[nodiscard]] bool share(Region&, SharedMemory::File);
  /// Cleared memory from a window that the plans of this communicator share. Collective over the node. Plans
  /// are made and destroyed in the same order on every rank, so offsets agree without communication.
  [[nodiscard]] Lease lease(std::size_t bytes);
  /// A polled barrier of the node, shown as `operation`.
  void node_barrier(std::uint8_t operation = static_cast<std::uint8_t>(collective::Operation::barrier));
  /// Until a collective of MPI's on the node is complete, shown as `operation`.
  void wait_for_node(MPI_Request& request,
                     std::uint8_t operation = static_cast<std::uint8_t>(collective::Operation::barrier));
  /// A communicator of the same ranks for another job.
  [[nodiscard]] std::shared_ptr<State> with(std::shared_ptr<Runtime>);
  /// Until a collective of MPI's on all ranks is complete, shown as a barrier.
  void wait_for_ranks(MPI_Request& request);
  /// Until all ranks are here: what blocks inside MPI, out of the watchdog's reach, is called together.
  void meet();
  [[nodiscard]] int take_tag() { return next_tag = (next_tag + 1) % 32000; }
};

/// Owns the region and takes it off its communicator's list at the end.
struct SharedBuffer::State {
  std::shared_ptr<Communicator::State> communicator;
  std::unique_ptr<Region> region;
};

/// The one engine that runs rounds. `in` and `out` differ for all-to-all only.
std::unique_ptr<Collective> make_round_collective(const std::shared_ptr<Communicator::State>&, Description,
                                                  Buffer in, Buffer out, collective::Rounds);
/// Those of a send or receive, one.
collective::Rounds rounds_of_message(const Communicator::State&, const Description&, int peer);
/// MPI_Iallreduce, polled.
std::unique_ptr<Collective> make_vendor_all_reduce(const std::shared_ptr<Communicator::State>&, Description,
                                                   Buffer, Combine);

/// What is waited for is shown to the other ranks. Throws `WaitError` on one rank when the limit is over.
void wait_until(Runtime&, const Shown&, const std::function<bool()>& done);
/// A request that cannot be cancelled: where a peer fails meanwhile, its failure may not be contained.
void wait_for(Runtime&, const Shown&, MPI_Request&);

}  // namespace partita::comm
