/// How communicators are made: of the world, of imitated nodes, along an axis. Who is on which host is asked
/// once and passed on, and nothing is split where a communicator has all ranks or one. MPI's calls for all of
/// this block, out of the watchdog's reach, so that all ranks meet before.
#include <sched.h>

#include <algorithm>
#include <array>
#include <exception>
#include <numeric>

#include "blocking.hpp"
#include "partita/base/cores.hpp"
#include "state.hpp"

namespace partita::comm {
namespace {

using collective::Operation;

/// Of every rank of the node the control groups that limit it.
std::vector<std::vector<base::CpuLimit>> limits_of(Communicator::State& state) {
  std::array<base::CpuLimit, 16> mine{};  // nobody nests more groups
  const auto found = base::cpu_limits();
  std::copy_n(found.begin(), std::min(found.size(), mine.size()), mine.begin());
  std::vector<base::CpuLimit> all(static_cast<std::size_t>(state.local_size) * mine.size());
  MPI_Request request = MPI_REQUEST_NULL;
  check(MPI_Iallgather(mine.data(), sizeof mine, MPI_BYTE, all.data(), sizeof mine, MPI_BYTE,
                       state.node.get(), &request),
        "MPI_Iallgather");
  state.wait_for_node(request);
  std::vector<std::vector<base::CpuLimit>> limits(static_cast<std::size_t>(state.local_size));
  for (std::size_t i = 0; i < all.size(); ++i)
    if (all[i].cores > 0) limits[i / mine.size()].push_back(all[i]);
  return limits;
}

cpu_set_t cores_of_thread() {
  cpu_set_t cores;
  CPU_ZERO(&cores);
  if (sched_getaffinity(0, sizeof cores, &cores) != 0) CPU_SET(0, &cores);
  return cores;
}

/// Before anybody knows how many are on one host.
bool may_share_cores(int ranks) {
  const auto cores = cores_of_thread();
  return ranks > CPU_COUNT(&cores);
}

/// Cores that the ranks of the node may use: where ranks are bound, each sees only its own.
int cores_of_node(Communicator::State& state) {
  cpu_set_t cores = cores_of_thread();
  MPI_Request request = MPI_REQUEST_NULL;
  check(MPI_Iallreduce(MPI_IN_PLACE, &cores, sizeof cores, MPI_BYTE, MPI_BOR, state.node.get(), &request),
        "MPI_Iallreduce");
  state.wait_for_node(request);
  return base::cores_together(CPU_COUNT(&cores), limits_of(state));
}

int size_of(MPI_Comm communicator) {
  int size = 0;
  check(MPI_Comm_size(communicator, &size), "MPI_Comm_size");
  return size;
}

std::vector<int> world_ranks_of(MPI_Comm communicator) {
  const int size = size_of(communicator);
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

/// The hosts of the ranks, numbered 0, 1, … in order of their first rank.
std::vector<int> hosts_of(MPI_Comm communicator, Watch& watch, GroupId& group) {
  const int size = size_of(communicator);
  if (size == 1) return {0};
  MPI_Comm local = MPI_COMM_NULL;
  {
    const YieldsNowAndThen yields(may_share_cores(size));
    check(MPI_Comm_split_type(communicator, MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL, &local),
          "MPI_Comm_split_type");
  }
  const CommunicatorHandle owner(local);
  const auto together = world_ranks_of(local);
  std::vector<int> leaders(static_cast<std::size_t>(size), together.front());
  if (std::ssize(together) == size) return collective::numbered_nodes(leaders);  // on every rank
  MPI_Request request = MPI_REQUEST_NULL;
  check(MPI_Iallgather(&together.front(), 1, MPI_INT, leaders.data(), 1, MPI_INT, communicator, &request),
        "MPI_Iallgather");
  watch.wait(request, group, static_cast<std::uint8_t>(Operation::barrier), topology::Axis::world);
  return collective::numbered_nodes(leaders);
}

/// A communicator of this rank alone.
MPI_Comm alone() {
  MPI_Comm copy = MPI_COMM_NULL;
  check(MPI_Comm_dup(MPI_COMM_SELF, &copy), "MPI_Comm_dup");
  check(MPI_Comm_set_errhandler(copy, MPI_ERRORS_RETURN), "MPI_Comm_set_errhandler");
  return copy;
}

/// Another communicator of the same ranks, which are all here.
MPI_Comm duplicate(MPI_Comm ranks, bool they_share_cores) {
  MPI_Comm copy = MPI_COMM_NULL;
  const YieldsNowAndThen yields(they_share_cores);
  check(MPI_Comm_dup(ranks, &copy), "MPI_Comm_dup");
  return copy;
}

/// All ranks of `state` call it.
MPI_Comm copy_of(Communicator::State& state) {
  if (state.size == 1) return alone();
  state.meet();
  return duplicate(state.communicator.get(), state.runtime->shares_cores);
}

/// The ranks of the same `part`, in their order.
MPI_Comm part_with(Communicator::State& state, int part) {
  state.meet();
  MPI_Comm ranks = MPI_COMM_NULL;
  const YieldsNowAndThen yields(state.runtime->shares_cores);
  check(MPI_Comm_split(state.communicator.get(), part, state.rank, &ranks), "MPI_Comm_split");
  return ranks;
}

/// The ranks of this rank's node.
MPI_Comm node_in(Communicator::State& state) {
  const int nodes = 1 + std::ranges::max(state.node_of);
  if (nodes == state.size) return alone();
  return nodes == 1 ? copy_of(state) : part_with(state, state.node_of[static_cast<std::size_t>(state.rank)]);
}

/// Where the ranks of a communicator are.
struct Sites {
  std::vector<int> hosts;  ///< by rank
  std::vector<int> nodes;  ///< by rank: imitated ones, or the hosts
};

/// Of the ranks of `state` in this order.
Sites sites_of(const Communicator::State& state, std::span<const int> ranks) {
  Sites sites;
  for (const int rank : ranks) {
    sites.hosts.push_back(state.host_of[static_cast<std::size_t>(rank)]);
    sites.nodes.push_back(state.node_of[static_cast<std::size_t>(rank)]);
  }
  return {collective::numbered_nodes(sites.hosts), collective::numbered_nodes(sites.nodes)};
}

/// Fills in ranks and the node communicator of a fresh MPI communicator.
std::shared_ptr<Communicator::State> make_state(MPI_Comm communicator, topology::Axis axis,
                                                int ranks_per_node, std::shared_ptr<Runtime> runtime,
                                                Sites sites) {
  auto state = std::make_shared<Communicator::State>();
  state->world_rank = world_ranks_of(communicator);
  state->communicator = CommunicatorHandle(communicator);
  check(MPI_Comm_set_errhandler(communicator, MPI_ERRORS_RETURN), "MPI_Comm_set_errhandler");
  check(MPI_Comm_rank(communicator, &state->rank), "MPI_Comm_rank");
  state->size = size_of(communicator);
  state->job_rank.resize(static_cast<std::size_t>(state->size));
  std::iota(state->job_rank.begin(), state->job_rank.end(), 0);
  state->job_size = state->size;
  state->axis = axis;
  state->ranks_per_node = ranks_per_node;
  state->host_of = std::move(sites.hosts);
  state->node_of = std::move(sites.nodes);
  state->group = runtime->watch->add_group(state->world_rank);
  state->runtime = std::move(runtime);
  const MPI_Comm node = node_in(*state);
  state->node = CommunicatorHandle(node);
  check(MPI_Comm_rank(node, &state->local_rank), "MPI_Comm_rank");
  state->local_size = size_of(node);
  if (auto* const containment = state->runtime->containment.get())
    for (const MPI_Comm open : {communicator, node})
      containment->communicators.push_back(open);
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

void Communicator::State::wait_for_ranks(MPI_Request& request) {
  Shown shown{.group = group.id,
              .operation = static_cast<std::uint8_t>(Operation::barrier),
              .axis = static_cast<std::uint8_t>(axis),
              .purpose = static_cast<std::uint8_t>(collective::Purpose::control)};
  runtime->watch->started(group, shown);
  wait_for(*runtime, shown, request);
}

void Communicator::State::meet() {
  if (size == 1) return;
  MPI_Request request = MPI_REQUEST_NULL;
  check(MPI_Ibarrier(communicator.get(), &request), "MPI_Ibarrier");
  wait_for_ranks(request);
}

namespace {

/// A communicator of its own over the ranks of `ranks`, on their hosts.
std::shared_ptr<Communicator::State> job_of(MPI_Comm ranks, const std::shared_ptr<Watch>& watch) {
  auto first = watch->add_group(world_ranks_of(ranks));
  watch->barrier(ranks, first, static_cast<std::uint8_t>(Operation::barrier), topology::Axis::world);
  const MPI_Comm copy = duplicate(ranks, may_share_cores(size_of(ranks)));
  const auto hosts = hosts_of(copy, *watch, first);
  watch->remove_group(first);
  auto state = make_state(copy, topology::Axis::world, 0, std::make_shared<Runtime>(watch), {hosts, hosts});
  if (ranks == MPI_COMM_WORLD)
    watch->share(state->node.get(), world_ranks_of(state->node.get()),
                 [&](MPI_Request& shared) { state->wait_for_node(shared); });
  state->runtime->ledger.show_activity_in(watch->activity());
  state->runtime->node_cores = cores_of_node(*state);
  state->runtime->shares_cores = state->local_size > state->runtime->node_cores;
  state->runtime->polls_before_yield = state->runtime->shares_cores ? 20 : 2000;
  return state;
}

}  // namespace

Communicator Communicator::world(MpiEnvironment& environment) {
  return Communicator(job_of(MPI_COMM_WORLD, environment.watch()));
}
Communicator Communicator::self(MpiEnvironment& environment) {
  return Communicator(job_of(MPI_COMM_SELF, environment.watch()));
}

std::shared_ptr<Communicator::State> Communicator::part_of(int part) const {
  const MPI_Comm ranks = part_with(*state_, part);
  std::vector<int> members;
  for (const int member : world_ranks_of(ranks))
    members.push_back(
        static_cast<int>(std::ranges::find(state_->world_rank, member) - state_->world_rank.begin()));
  const auto hosts = sites_of(*state_, members).hosts;
  auto runtime = std::make_shared<Runtime>(state_->runtime->watch);
  runtime->node_cores = state_->runtime->node_cores;  // that the parts share
  runtime->polls_before_yield = state_->runtime->polls_before_yield;
  runtime->shares_cores = state_->runtime->shares_cores;
  return make_state(ranks, topology::Axis::world, 0, std::move(runtime), {hosts, hosts});
}

std::shared_ptr<Communicator::State> Communicator::State::with(std::shared_ptr<Runtime> other) {
  return make_state(copy_of(*this), topology::Axis::world, 0, std::move(other), {host_of, host_of});
}

Communicator Communicator::with_nodes_of(int ranks_per_node) const {
  base::expect(ranks_per_node >= 0, "an imitated node has at least one rank", ranks_per_node);
  const MPI_Comm copy = copy_of(*state_);
  state_->runtime->watch->imitate_nodes_of(ranks_per_node);
  auto nodes = state_->host_of;
  if (ranks_per_node > 0)
    for (std::size_t r = 0; r < nodes.size(); ++r)
      nodes[r] = static_cast<int>(r) / ranks_per_node;
  return Communicator(
      make_state(copy, axis(), ranks_per_node, state_->runtime, {state_->host_of, std::move(nodes)}));
}

Communicator Communicator::along(topology::Axis axis, const topology::GridExtent& grid) const {
  base::expect(grid.size() == size() && this->axis() == topology::Axis::world,
               "axes are cut from the world communicator of the same size", size());
  const auto group = topology::group_of(grid, rank(), axis);
  const bool is_all = std::ssize(group) == size(), is_alone = group.size() == 1;
  const MPI_Comm part = is_all ? copy_of(*state_) : is_alone ? alone() : part_with(*state_, group.front());
  auto state = make_state(part, axis, state_->ranks_per_node, state_->runtime, sites_of(*state_, group));
  state->job_rank = group;
  state->job_size = size();
  return Communicator(std::move(state));
}

}  // namespace partita::comm
