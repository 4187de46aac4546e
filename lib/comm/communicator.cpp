#include "partita/comm/communicator.hpp"

#include <sched.h>

#include <algorithm>
#include <map>
#include <numeric>

#include "state.hpp"

namespace partita::comm {
namespace {

using collective::Operation;
using collective::Purpose;

/// Cores that any rank of the node may use: where ranks are bound, each sees only its own.
int cores_of_node(MPI_Comm node) {
  cpu_set_t cores;
  CPU_ZERO(&cores);
  if (sched_getaffinity(0, sizeof cores, &cores) != 0) return 1;
  check(MPI_Allreduce(MPI_IN_PLACE, &cores, sizeof cores, MPI_BYTE, MPI_BOR, node), "MPI_Allreduce");
  return std::max(1, CPU_COUNT(&cores));
}

void relax() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#endif
}

/// Numbers the nodes 0, 1, … in order of their first rank.
std::vector<int> nodes_of(MPI_Comm communicator, int rank, int size, int ranks_per_node) {
  int leader = rank / std::max(1, ranks_per_node);
  if (ranks_per_node == 0) {
    MPI_Comm local = MPI_COMM_NULL;
    check(MPI_Comm_split_type(communicator, MPI_COMM_TYPE_SHARED, rank, MPI_INFO_NULL, &local),
          "MPI_Comm_split_type");
    const CommunicatorHandle owner(local);
    leader = rank;
    check(MPI_Bcast(&leader, 1, MPI_INT, 0, local), "MPI_Bcast");
  }
  std::vector<int> leaders(static_cast<std::size_t>(size));
  check(MPI_Allgather(&leader, 1, MPI_INT, leaders.data(), 1, MPI_INT, communicator), "MPI_Allgather");
  std::map<int, int> number;
  std::vector<int> nodes;
  for (const int value : leaders)
    nodes.push_back(number.emplace(value, static_cast<int>(number.size())).first->second);
  return nodes;
}

/// Fills in ranks (as if it were the world's), nodes (asked for when not given) and the node communicator of
/// a fresh MPI communicator. Blocking calls are used here only, a handful in the life of a job.
std::shared_ptr<Communicator::State> make_state(MPI_Comm communicator, topology::Axis axis,
                                                int ranks_per_node, std::shared_ptr<Runtime> runtime,
                                                std::vector<int> nodes = {}) {
  auto state = std::make_shared<Communicator::State>();
  state->communicator = CommunicatorHandle(communicator);
  check(MPI_Comm_set_errhandler(communicator, MPI_ERRORS_RETURN), "MPI_Comm_set_errhandler");
  check(MPI_Comm_rank(communicator, &state->rank), "MPI_Comm_rank");
  check(MPI_Comm_size(communicator, &state->size), "MPI_Comm_size");
  state->axis = axis;
  state->ranks_per_node = ranks_per_node;
  state->runtime = std::move(runtime);
  state->node_of =
      nodes.empty() ? nodes_of(communicator, state->rank, state->size, ranks_per_node) : std::move(nodes);
  MPI_Comm node = MPI_COMM_NULL;
  check(
      MPI_Comm_split(communicator, state->node_of[static_cast<std::size_t>(state->rank)], state->rank, &node),
      "MPI_Comm_split");
  state->node = CommunicatorHandle(node);
  check(MPI_Comm_rank(node, &state->local_rank), "MPI_Comm_rank");
  check(MPI_Comm_size(node, &state->local_size), "MPI_Comm_size");
  state->world_size = state->size;
  state->world_rank.resize(static_cast<std::size_t>(state->size));
  std::iota(state->world_rank.begin(), state->world_rank.end(), 0);
  return state;
}

}  // namespace

void wait_until(Runtime& runtime, const std::function<bool()>& done) {
  for (int polls = 0; !done(); ++polls) {
    for (std::size_t i = 0; i < runtime.active.size(); ++i)
      runtime.active[i]->advance();
    if (polls >= runtime.polls_before_yield)
      sched_yield();
    else
      relax();
  }
}

Communicator::Communicator(std::shared_ptr<State> state) : state_(std::move(state)) {}
Communicator::~Communicator() = default;
Communicator::Communicator(Communicator&&) noexcept = default;
Communicator& Communicator::operator=(Communicator&&) noexcept = default;

namespace {

/// A communicator of its own over the ranks of `ranks`, on the real nodes.
std::shared_ptr<Communicator::State> duplicate(MPI_Comm ranks) {
  MPI_Comm copy = MPI_COMM_NULL;
  check(MPI_Comm_dup(ranks, &copy), "MPI_Comm_dup");
  auto state = make_state(copy, topology::Axis::world, 0, std::make_shared<Runtime>());
  state->runtime->node_cores = cores_of_node(state->node.get());
  state->runtime->polls_before_yield = state->local_size > state->runtime->node_cores ? 20 : 2000;
  return state;
}

}  // namespace

Communicator Communicator::world(MpiEnvironment&) { return Communicator(duplicate(MPI_COMM_WORLD)); }
Communicator Communicator::self(MpiEnvironment&) { return Communicator(duplicate(MPI_COMM_SELF)); }

Communicator Communicator::with_nodes_of(int ranks_per_node) const {
  base::expect(ranks_per_node >= 0, "an imitated node has at least one rank", ranks_per_node);
  MPI_Comm copy = MPI_COMM_NULL;
  check(MPI_Comm_dup(state_->communicator.get(), &copy), "MPI_Comm_dup");
  return Communicator(make_state(copy, axis(), ranks_per_node, state_->runtime));
}

Communicator Communicator::along(topology::Axis axis, const topology::GridExtent& grid) const {
  base::expect(grid.size() == size() && this->axis() == topology::Axis::world,
               "axes are cut from the world communicator of the same size", size());
  const auto group = topology::group_of(grid, rank(), axis);
  MPI_Comm part = MPI_COMM_NULL;
  check(MPI_Comm_split(state_->communicator.get(), group.front(), rank(), &part), "MPI_Comm_split");
  std::map<int, int> number;
  std::vector<int> nodes;
  for (const int member : group)
    nodes.push_back(
        number.emplace(state_->node_of[static_cast<std::size_t>(member)], static_cast<int>(number.size()))
            .first->second);
  auto state = make_state(part, axis, state_->ranks_per_node, state_->runtime, std::move(nodes));
  state->world_rank = group;
  state->world_size = size();
  return Communicator(std::move(state));
}

int Communicator::rank() const { return state_->rank; }
int Communicator::size() const { return state_->size; }
topology::Axis Communicator::axis() const { return state_->axis; }
int Communicator::local_rank() const { return state_->local_rank; }
int Communicator::local_size() const { return state_->local_size; }
int Communicator::node_cores() const { return state_->runtime->node_cores; }
std::span<const int> Communicator::nodes() const { return state_->node_of; }
Ledger& Communicator::ledger() const { return state_->runtime->ledger; }
collective::Reach Communicator::reach(const void* data) const {
  return collective::reach_of(state_->node_of, state_->region_of(data) != nullptr);
}
void Communicator::use(collective::AlgorithmTable table) const { state_->runtime->table = std::move(table); }

void Communicator::progress() const {
  auto& active = state_->runtime->active;
  for (std::size_t i = 0; i < active.size();) {
    auto* const operation = active[i];
    operation->progress();
    if (i < active.size() && active[i] == operation) ++i;  // else it is complete and gone
  }
}

void Communicator::wait_until(const std::function<bool()>& done) const {
  comm::wait_until(*state_->runtime, done);
}

std::unique_ptr<Collective> Communicator::plan(Description description, View in, View out,
                                               collective::Schedule schedule) {
  return make_round_collective(state_, description, in, out, std::move(schedule));
}

std::unique_ptr<Collective> Communicator::plan_all_reduce(View buffer, Combine combine, Algorithm algorithm,
                                                          Purpose purpose) {
  Description d{.operation = Operation::all_reduce,
                .algorithm = algorithm,
                .purpose = purpose,
                .elements = buffer.size(),
                .type = buffer.type()};
  if (algorithm == Algorithm::automatic)
    d.algorithm = state_->runtime->table.choose(reach(buffer.data()), size(), buffer.bytes());
  const bool one_node = state_->local_size == size();
  d.in_window = d.algorithm == Algorithm::window && state_->region_of(buffer.data()) != nullptr;
  require_agreement(d, {});
  base::expect(d.algorithm != Algorithm::window || one_node,
               "a window all-reduce needs all ranks on one node; ranks", size());
  const std::int64_t n = buffer.size().value();
  const auto element = kernels::size_of(buffer.type());
  const collective::WindowTuning tuning{.chunk = (256 << 10) / element, .gather = 4096 / element};
  switch (d.algorithm) {
    case Algorithm::mpi:
      return make_vendor_all_reduce(state_, d, buffer, combine);
    case Algorithm::recursive_doubling:
      return plan(d, buffer, buffer, collective::recursive_doubling_all_reduce(size(), rank(), n, combine));
    case Algorithm::halving_doubling:
      return plan(d, buffer, buffer, collective::halving_doubling_all_reduce(size(), rank(), n, combine));
    case Algorithm::hierarchical:
      return plan(d, buffer, buffer,
                  collective::hierarchical_all_reduce(rank(), state_->node_of, n, combine));
    case Algorithm::window:
      return plan(d, buffer, buffer,
                  d.in_window ? collective::direct_window_all_reduce(size(), rank(), n, combine)
                              : collective::staged_window_all_reduce(size(), rank(), n, combine, tuning));
    case Algorithm::ring:
    case Algorithm::automatic:
      break;
  }
  return plan(d, buffer, buffer,
              collective::ring_all_reduce(size(), rank(), collective::even_cuts(size(), n), combine));
}

std::unique_ptr<Collective> Communicator::plan_reduce_scatter(View buffer, std::span<const std::int64_t> cuts,
                                                              Combine combine, Purpose purpose) {
  const Description d{.operation = Operation::reduce_scatter,
                      .purpose = purpose,
                      .elements = buffer.size(),
                      .type = buffer.type()};
  require_agreement(d, cuts);
  return plan(d, buffer, buffer, collective::ring_reduce_scatter(size(), rank(), cuts, combine));
}

std::unique_ptr<Collective> Communicator::plan_all_gather(View buffer, std::span<const std::int64_t> cuts,
                                                          Purpose purpose) {
  const Description d{.operation = Operation::all_gather,
                      .purpose = purpose,
                      .elements = buffer.size(),
                      .type = buffer.type()};
  require_agreement(d, cuts);
  return plan(d, buffer, buffer, collective::ring_all_gather(size(), rank(), cuts));
}

std::unique_ptr<Collective> Communicator::plan_broadcast(View buffer, int root, Purpose purpose) {
  const Description d{.operation = Operation::broadcast,
                      .purpose = purpose,
                      .elements = buffer.size(),
                      .type = buffer.type()};
  const std::int64_t root_as_cut = root;
  require_agreement(d, {&root_as_cut, 1});
  return plan(d, buffer, buffer, collective::binomial_broadcast(size(), rank(), root, buffer.size().value()));
}

std::unique_ptr<Collective> Communicator::plan_all_to_all(View send, std::span<const std::int64_t> send_cuts,
                                                          View receive,
                                                          std::span<const std::int64_t> receive_cuts,
                                                          Purpose purpose) {
  base::expect(static_cast<int>(send_cuts.size()) == size() + 1 && send_cuts.size() == receive_cuts.size(),
               "cuts name every rank", send_cuts.size(), receive_cuts.size());
  const auto me = static_cast<std::size_t>(rank());
  base::expect(send_cuts[me + 1] - send_cuts[me] == receive_cuts[me + 1] - receive_cuts[me],
               "what a rank sends itself is what it gets from itself");
  const Description d{
      .operation = Operation::all_to_all, .purpose = purpose, .elements = send.size(), .type = send.type()};
  auto schedule = collective::pairwise_all_to_all(size(), rank(), send_cuts, receive_cuts);
  schedule.insert(schedule.begin(),
                  collective::MessageRound{.send_to = rank(),
                                           .send = {send_cuts[me], send_cuts[me + 1]},
                                           .receive_from = rank(),
                                           .receive = {receive_cuts[me], receive_cuts[me + 1]}});
  return plan(d, send, receive, std::move(schedule));
}

std::unique_ptr<Collective> Communicator::plan_barrier() {
  static std::uint8_t token[2] = {};
  const Description d{.operation = Operation::barrier, .elements = Elements(1), .type = DataType::uint8};
  const View view{std::span<std::uint8_t>(token)};
  return plan(d, view, view, collective::dissemination_barrier(size(), rank()));
}

void Communicator::all_reduce(View buffer, Combine combine, Purpose purpose, Algorithm algorithm) {
  const auto operation = plan_all_reduce(buffer, combine, algorithm, purpose);
  operation->start();
  operation->wait();
}

void Communicator::barrier() {
  const auto operation = plan_barrier();
  operation->start();
  operation->wait();
}

}  // namespace partita::comm
