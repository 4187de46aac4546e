/// How communicators are made: of the world, of imitated nodes, along an axis. MPI's calls for that block,
/// out of the watchdog's reach, so that all ranks meet before.
#include <sched.h>

#include <algorithm>
#include <array>
#include <exception>
#include <numeric>

#include "partita/base/cores.hpp"
#include "state.hpp"

namespace partita::comm {
namespace {

using collective::Operation;

/// Of every rank of the node the control groups that limit it.
std::vector<std::vector<base::CpuLimit>> limits_of(MPI_Comm node) {
  std::array<base::CpuLimit, 16> mine{};  // nobody nests more groups
  const auto found = base::cpu_limits();
  std::copy_n(found.begin(), std::min(found.size(), mine.size()), mine.begin());
  int size = 0;
  check(MPI_Comm_size(node, &size), "MPI_Comm_size");
  std::vector<base::CpuLimit> all(static_cast<std::size_t>(size) * mine.size());
  check(MPI_Allgather(mine.data(), sizeof mine, MPI_BYTE, all.data(), sizeof mine, MPI_BYTE, node),
        "MPI_Allgather");
  std::vector<std::vector<base::CpuLimit>> limits(static_cast<std::size_t>(size));
  for (std::size_t i = 0; i < all.size(); ++i)
    if (all[i].cores > 0) limits[i / mine.size()].push_back(all[i]);
  return limits;
}

/// Cores that the ranks of the node may use: where ranks are bound, each sees only its own.
int cores_of_node(MPI_Comm node) {
  cpu_set_t cores;
  CPU_ZERO(&cores);
  if (sched_getaffinity(0, sizeof cores, &cores) != 0) CPU_SET(0, &cores);
  check(MPI_Allreduce(MPI_IN_PLACE, &cores, sizeof cores, MPI_BYTE, MPI_BOR, node), "MPI_Allreduce");
  return base::cores_together(CPU_COUNT(&cores), limits_of(node));
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
  return collective::numbered_nodes(leaders);
}

std::vector<int> world_ranks_of(MPI_Comm communicator) {
  int size = 0;
  check(MPI_Comm_size(communicator, &size), "MPI_Comm_size");
  std::vector<int> ranks(static_cast<std::size_t>(size)), world(ranks.size());
  std::iota(ranks.begin(), ranks.end(), 0);
  MPI_Group mine = MPI_GROUP_NULL, all = MPI_GROUP_NULL;
  check(MPI_Comm_group(communicator, &mine), "MPI_Comm_group");
  check(MPI_Comm_group(MPI_COMM_WORLD, &all), "MPI_Comm_group");
  check(MPI_Group_translate_ranks(mine, size, ranks.data(), all, world.data()), "MPI_Group_translate_ranks");
  MPI_Group_free(&mine);
  MPI_Group_free(&all);
  return world;
}

/// Fills in ranks, nodes (asked for when not given) and the node communicator of a fresh MPI communicator.
/// Blocking calls are used here only, a handful in the life of a job.
std::shared_ptr<Communicator::State> make_state(MPI_Comm communicator, topology::Axis axis,
                                                int ranks_per_node, std::shared_ptr<Runtime> runtime,
                                                std::vector<int> nodes = {}) {
  auto state = std::make_shared<Communicator::State>();
  state->world_rank = world_ranks_of(communicator);
  state->communicator = CommunicatorHandle(communicator);
  check(MPI_Comm_set_errhandler(communicator, MPI_ERRORS_RETURN), "MPI_Comm_set_errhandler");
  check(MPI_Comm_rank(communicator, &state->rank), "MPI_Comm_rank");
  check(MPI_Comm_size(communicator, &state->size), "MPI_Comm_size");
  state->job_rank.resize(static_cast<std::size_t>(state->size));
  std::iota(state->job_rank.begin(), state->job_rank.end(), 0);
  state->job_size = state->size;
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
  if (auto* const containment = state->runtime->containment.get())
    for (const MPI_Comm open : {communicator, node})
      containment->communicators.push_back(open);
  state->group = state->runtime->watch->add_group(state->world_rank);
  state->node_group = state->runtime->watch->add_group(world_ranks_of(node));
  return state;
}

}  // namespace

// What an exception leaves open, the job's containment frees.
Communicator::State::~State() {
  if (!runtime) return;
  pool.reset();  // while its node group lives
  runtime->watch->remove_group(group);
  runtime->watch->remove_group(node_group);
  if (!runtime->containment || std::uncaught_exceptions() > 0) return;
  for (const MPI_Comm closed : {communicator.get(), node.get()})
    std::erase(runtime->containment->communicators, closed);
}

/// Shown as a barrier of the communicator.
void Communicator::State::meet() {
  if (size == 1) return;
  Shown shown{.group = group.id,
              .operation = static_cast<std::uint8_t>(Operation::barrier),
              .axis = static_cast<std::uint8_t>(axis),
              .purpose = static_cast<std::uint8_t>(collective::Purpose::control)};
  runtime->watch->started(group, shown);
  MPI_Request request = MPI_REQUEST_NULL;
  check(MPI_Ibarrier(communicator.get(), &request), "MPI_Ibarrier");
  wait_for(*runtime, shown, request);
}

namespace {

/// A communicator of its own over the ranks of `ranks`, on the real nodes.
std::shared_ptr<Communicator::State> duplicate(MPI_Comm ranks, const std::shared_ptr<Watch>& watch) {
  auto first = watch->add_group(world_ranks_of(ranks));
  watch->barrier(ranks, first, static_cast<std::uint8_t>(Operation::barrier), topology::Axis::world);
  watch->remove_group(first);
  MPI_Comm copy = MPI_COMM_NULL;
  check(MPI_Comm_dup(ranks, &copy), "MPI_Comm_dup");
  auto state = make_state(copy, topology::Axis::world, 0, std::make_shared<Runtime>(watch));
  if (ranks == MPI_COMM_WORLD) watch->share(state->node.get(), world_ranks_of(state->node.get()));
  state->runtime->ledger.show_activity_in(watch->activity());
  state->runtime->node_cores = cores_of_node(state->node.get());
  state->runtime->polls_before_yield = state->local_size > state->runtime->node_cores ? 20 : 2000;
  return state;
}

}  // namespace

Communicator Communicator::world(MpiEnvironment& environment) {
  return Communicator(duplicate(MPI_COMM_WORLD, environment.watch()));
}
Communicator Communicator::self(MpiEnvironment& environment) {
  return Communicator(duplicate(MPI_COMM_SELF, environment.watch()));
}

std::shared_ptr<Communicator::State> Communicator::part_of(int part) const {
  state_->meet();
  MPI_Comm ranks = MPI_COMM_NULL;
  check(MPI_Comm_split(state_->communicator.get(), part, rank(), &ranks), "MPI_Comm_split");
  auto runtime = std::make_shared<Runtime>(state_->runtime->watch);
  runtime->node_cores = state_->runtime->node_cores;  // that the parts share
  runtime->polls_before_yield = state_->runtime->polls_before_yield;
  return make_state(ranks, topology::Axis::world, 0, std::move(runtime));
}

std::shared_ptr<Communicator::State> Communicator::State::with(std::shared_ptr<Runtime> other) {
  meet();
  MPI_Comm copy = MPI_COMM_NULL;
  check(MPI_Comm_dup(communicator.get(), &copy), "MPI_Comm_dup");
  return make_state(copy, topology::Axis::world, 0, std::move(other));
}

Communicator Communicator::with_nodes_of(int ranks_per_node) const {
  base::expect(ranks_per_node >= 0, "an imitated node has at least one rank", ranks_per_node);
  state_->meet();
  state_->runtime->watch->imitate_nodes_of(ranks_per_node);
  MPI_Comm copy = MPI_COMM_NULL;
  check(MPI_Comm_dup(state_->communicator.get(), &copy), "MPI_Comm_dup");
  return Communicator(make_state(copy, axis(), ranks_per_node, state_->runtime));
}

Communicator Communicator::along(topology::Axis axis, const topology::GridExtent& grid) const {
  base::expect(grid.size() == size() && this->axis() == topology::Axis::world,
               "axes are cut from the world communicator of the same size", size());
  state_->meet();
  const auto group = topology::group_of(grid, rank(), axis);
  MPI_Comm part = MPI_COMM_NULL;
  check(MPI_Comm_split(state_->communicator.get(), group.front(), rank(), &part), "MPI_Comm_split");
  std::vector<int> nodes;
  for (const int member : group)
    nodes.push_back(state_->node_of[static_cast<std::size_t>(member)]);
  auto state =
      make_state(part, axis, state_->ranks_per_node, state_->runtime, collective::numbered_nodes(nodes));
  state->job_rank = group;
  state->job_size = size();
  return Communicator(std::move(state));
}

}  // namespace partita::comm
