/// Communicators of the grid's axes, persistent collectives on them, and memory that the ranks of a node
/// share.
///
/// Nothing here blocks inside MPI, but for the making of communicators and windows: MPICH spins without
/// yielding, so that more ranks than cores collapse. All waiting goes through one progress function that
/// polls everything started and yields the core.
#pragma once

#include <cstring>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <type_traits>
#include <vector>

#include "partita/base/error.hpp"
#include "partita/collective/algorithm_table.hpp"
#include "partita/collective/rounds.hpp"
#include "partita/comm/environment.hpp"
#include "partita/comm/ledger.hpp"
#include "partita/comm/mirror.hpp"
#include "partita/comm/virtual_clock.hpp"
#include "partita/kernels/view.hpp"

namespace partita::comm {

using collective::Algorithm;
using collective::Combine;
using kernels::Bytes;
using kernels::DataType;
using kernels::Elements;
using kernels::View;

/// What a planned collective is; `algorithm` is the one in use, never `automatic`.
struct Description {
  collective::Operation operation = collective::Operation::all_reduce;
  Algorithm algorithm = Algorithm::ring;
  collective::Purpose purpose = collective::Purpose::control;
  Elements elements{};
  DataType type = DataType::float32;
  bool in_window =
      false;  ///< the ranks reach each other's buffers, in a window or on devices: nothing is staged
};

/// A collective bound to its buffer, started any number of times; starting allocates nothing. The buffer
/// belongs to the operation from `start` to the `wait` or `test` that ends it.
class Collective {
 public:
  virtual ~Collective() = default;
  [[nodiscard]] virtual const Description& description() const = 0;
  /// Begins one run; a broken contract while one is under way.
  virtual void start() = 0;
  /// Moves on without blocking; true when nothing is under way any more.
  virtual bool test() = 0;
  /// Until complete, progressing everything that was started. The time is booked as exposed.
  virtual void wait() = 0;
  /// Until `done`, which ends when this run does, if not before: to others this rank waits for it. `wait`
  /// books the time with its own.
  virtual void wait_until(const std::function<bool()>& done) = 0;
  /// On a virtual clock the rank's comes to when the last run was over, without a wait for it.
  virtual void catch_up() = 0;
  /// How long the operation takes when it runs alone: later waits book as hidden what of that was not
  /// exposed.
  virtual void set_alone_seconds(double seconds) = 0;
  /// Memory that the plan holds for messages and staging.
  [[nodiscard]] virtual Bytes buffer_bytes() const { return Bytes(0); }
};

/// Memory in a window that the ranks of a communicator share if they are on one node, else private. Freed
/// collectively: every rank destroys it at the same place.
class SharedBuffer {
 public:
  SharedBuffer();
  ~SharedBuffer();
  SharedBuffer(SharedBuffer&&) noexcept;
  SharedBuffer& operator=(SharedBuffer&&) noexcept;
  [[nodiscard]] View view(DataType type, Elements n) const;

 private:
  friend class Communicator;
  struct State;
  std::unique_ptr<State> state_;
};

/// What a rank's clock shows more than rank 0's, on rank 0.
struct Clocks {
  std::vector<double> offset_seconds;  ///< by rank
  double uncertainty_seconds = 0;  ///< half of the shortest round trip to the farthest rank; 0 on one node
};

class Communicator {
 public:
  /// All ranks of the job. Collective.
  static Communicator world(MpiEnvironment&);
  /// This rank alone, with a ledger of its own: the one-rank side of a comparison.
  static Communicator self(MpiEnvironment&);
  /// The same ranks with imitated nodes of so many consecutive ranks (0: the real nodes); shares the ledger.
  /// Collective.
  [[nodiscard]] Communicator with_nodes_of(int ranks_per_node) const;
  /// The communicator along one axis of the grid, ranks in the order of their coordinate. Collective; shares
  /// the ledger and the progress of its parent.
  [[nodiscard]] Communicator along(topology::Axis axis, const topology::GridExtent& grid) const;
  ~Communicator();
  Communicator(Communicator&&) noexcept;
  Communicator& operator=(Communicator&&) noexcept;

  [[nodiscard]] int rank() const;
  [[nodiscard]] int size() const;
  [[nodiscard]] topology::Axis axis() const;
  /// Among the ranks of this communicator on the same (real or imitated) node.
  [[nodiscard]] int local_rank() const;
  [[nodiscard]] int local_size() const;
  /// Cores of this rank's host that the job's ranks may use, by their binding and their control groups.
  [[nodiscard]] int node_cores() const;
  /// The node of each rank, numbered from 0.
  [[nodiscard]] std::span<const int> nodes() const;
  [[nodiscard]] Ledger& ledger() const;
  /// Where this rank is in its program, for the watchdogs of the others.
  [[nodiscard]] Position position() const;
  void name_instructions(std::function<std::string(std::uint64_t)> name) const;
  /// Where this rank and a buffer of its lie.
  [[nodiscard]] collective::Place place(const Buffer&) const;
  /// What `automatic` stands for from now on, in all communicators of this job; the shipped table until then.
  /// The same on every rank.
  void use(collective::AlgorithmTable table) const;
  [[nodiscard]] const collective::AlgorithmTable& table() const;

  /// From now on costs alone take time in all communicators of this job, which has not trained yet. The same
  /// machine and `Machine::crowding` on every rank.
  void use_virtual_clock(machine::Machine, double crowding = 1) const;
  /// Null where time is this host's.
  [[nodiscard]] VirtualClock* virtual_clock() const;
  /// On the job's clock, virtual or this host's.
  [[nodiscard]] double now_seconds() const;

  /// Plans are collective over this communicator: every rank plans the same operations in the same order, and
  /// a difference in operation, size, type, algorithm or purpose throws on every rank. Negative counts throw.
  /// Mirrors outlive the plans; where one rank's buffer is shared, all ranks' are.
  ///
  /// Any collective, as `rounds_of` makes it where this rank stands; `in` and `out` differ for all-to-all
  /// only, on whose cuts nobody agrees.
  std::unique_ptr<Collective> plan(const collective::Spec&, Buffer in, Buffer out, collective::Purpose);
  /// `automatic`: as the table says.
  std::unique_ptr<Collective> plan_all_reduce(Buffer buffer, Combine, Algorithm, collective::Purpose);
  /// Reduces in place; afterwards this rank's share of `cuts` (size() + 1 offsets) holds the result.
  std::unique_ptr<Collective> plan_reduce_scatter(Buffer buffer, std::span<const std::int64_t> cuts, Combine,
                                                  collective::Purpose);
  std::unique_ptr<Collective> plan_all_gather(Buffer buffer, std::span<const std::int64_t> cuts,
                                              collective::Purpose);
  std::unique_ptr<Collective> plan_broadcast(Buffer buffer, int root, collective::Purpose);
  /// Share i of `send` goes to rank i; what rank i sends here arrives as share i of `receive`. Cuts may
  /// differ by rank.
  std::unique_ptr<Collective> plan_all_to_all(Buffer send, std::span<const std::int64_t> send_cuts,
                                              Buffer receive, std::span<const std::int64_t> receive_cuts,
                                              collective::Purpose);
  std::unique_ptr<Collective> plan_barrier();
  /// One message to or from a rank of this communicator; `tag` tells messages between two ranks apart. An
  /// empty buffer sends nothing. Not collective: the peer plans the other half.
  std::unique_ptr<Collective> plan_send(Buffer buffer, int to, int tag, collective::Purpose);
  std::unique_ptr<Collective> plan_receive(Buffer buffer, int from, int tag, collective::Purpose);
  /// Brings together both ends of the messages planned since the last call whose buffers are shared; they run
  /// afterwards. Collective, over ranks of one node.
  void connect_shared();

  /// Plans, runs and waits.
  void all_reduce(View buffer, Combine, collective::Purpose, Algorithm = Algorithm::automatic);
  void barrier();

  /// Moves everything started on, without blocking.
  void progress() const;
  /// Until `done`, progressing everything started and yielding the core.
  void wait_until(const std::function<bool()>& done) const;

  [[nodiscard]] SharedBuffer allocate_shared(Bytes) const;

  /// Ranks on rank 0's node share its clock, as do all where it is virtual; the others exchange ping-pongs
  /// with it. Collective; complete on rank 0.
  Clocks measure_clocks();

  /// Everybody's text, by rank.
  std::vector<std::string> all_gather_text(const std::string& text, collective::Purpose);
  /// Everybody's text by rank on `root`, nothing elsewhere.
  std::vector<std::string> gather_text(const std::string& text, int root, collective::Purpose);
  /// Everybody's rows, as many as each has, by rank on `root`; nothing elsewhere.
  template <class Row>
  std::vector<std::vector<Row>> gather_rows(const std::vector<Row>& mine, int root, collective::Purpose);
  /// The union of all ranks' violations, the same on every rank; those that not every rank has name the
  /// ranks.
  std::vector<base::Violation> agree(const std::vector<base::Violation>& mine);
  /// Every rank's ledger on rank 0, this gather included; its own waiting time cannot be known before and is
  /// 0.
  std::vector<collective::TrafficRow> gather_traffic();
  /// Every rank's bytes by peer on rank 0, `record` (such as this gather) left out.
  std::vector<collective::PeerRow> gather_peers();

  struct State;

 private:
  friend void stock_all_reduce(const Communicator&, View, Combine);
  friend class Group;
  explicit Communicator(std::shared_ptr<State> state);
  std::unique_ptr<Collective> plan_agreed(const collective::Spec&, Buffer in, Buffer out,
                                          collective::Purpose);
  void require_agreement(const collective::Spec&, const Description&);
  /// The ranks that give the same number, with a runtime of their own. Collective.
  [[nodiscard]] std::shared_ptr<State> part_of(int part) const;
  std::shared_ptr<State> state_;
};

template <class Row>
std::vector<std::vector<Row>> Communicator::gather_rows(const std::vector<Row>& mine, int root,
                                                        collective::Purpose purpose) {
  static_assert(std::is_trivially_copyable_v<Row>);
  const std::string bytes(reinterpret_cast<const char*>(mine.data()), mine.size() * sizeof(Row));
  std::vector<std::vector<Row>> rows;
  for (const auto& text : gather_text(bytes, root, purpose)) {
    rows.emplace_back(text.size() / sizeof(Row));
    std::memcpy(rows.back().data(), text.data(), text.size());
  }
  return rows;
}

}  // namespace partita::comm
