/// From a request to a planned operation: ranks agree on its description, option or table name the algorithm,
/// `collective` makes the rounds. Also the one loop in which a rank waits for others.
#include "partita/comm/communicator.hpp"

#include <sched.h>

#include <algorithm>

#include "partita/base/clock.hpp"
#include "partita/collective/staging.hpp"
#include "partita/comm/group.hpp"
#include "shared_rounds.hpp"
#include "state.hpp"

namespace partita::comm {
namespace {

using collective::Operation;
using collective::Purpose;

void relax() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#endif
}

}  // namespace

void wait_until(Runtime& runtime, const Shown& what, const std::function<bool()>& done) {
  WaitClock clock;
  std::int64_t polls = 0;
  for (; !done(); ++polls) {
    if (runtime.containment && runtime.containment->hears_failure()) {
      runtime.watch->waits_no_more();
      throw PeerFailed();
    }
    for (std::size_t i = 0; i < runtime.active.size(); ++i)
      runtime.active[i]->advance();
    if (polls < runtime.polls_before_yield) {
      relax();
      continue;
    }
    if (polls == runtime.polls_before_yield) runtime.watch->waits(what);  // short waits are not worth a word
    sched_yield();
    if (const auto report = clock.tick(*runtime.watch, base::now_seconds())) {
      if (runtime.containment) runtime.containment->lose();
      throw WaitError(*report);
    }
  }
  if (polls > runtime.polls_before_yield) runtime.watch->waits_no_more();
}

Communicator::Communicator(std::shared_ptr<State> state) : state_(std::move(state)) {}
Communicator::~Communicator() = default;
Communicator::Communicator(Communicator&&) noexcept = default;
Communicator& Communicator::operator=(Communicator&&) noexcept = default;

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
Position Communicator::position() const { return state_->runtime->watch->position(); }
void Communicator::name_instructions(std::function<std::string(std::uint64_t)> name) const {
  state_->runtime->watch->name_instructions(std::move(name));
}
void Communicator::use(collective::AlgorithmTable table) const { state_->runtime->table = std::move(table); }

void Communicator::progress() const {
  if (state_->runtime->containment && state_->runtime->containment->hears_failure()) throw PeerFailed();
  auto& active = state_->runtime->active;
  for (std::size_t i = 0; i < active.size();) {
    auto* const operation = active[i];
    operation->progress();
    if (i < active.size() && active[i] == operation) ++i;  // else it is complete and gone
  }
}

void Communicator::wait_until(const std::function<bool()>& done) const {
  comm::wait_until(
      *state_->runtime,
      {.group = state_->group.id, .operation = Shown::condition, .axis = static_cast<std::uint8_t>(axis())},
      done);
}

std::unique_ptr<Collective> Communicator::plan(Description description, Buffer in, Buffer out,
                                               collective::Schedule schedule) {
  if (in.shared || out.shared) {
    auto rounds = std::make_unique<SharedRounds>(state_, description, in, out, std::move(schedule));
    std::vector<std::string> addresses =
        all_gather_text(in.shared ? in.shared->address() : std::string(), Purpose::control);
    rounds->connect_all(addresses);
    return rounds;
  }
  return make_round_collective(state_, description, in, out, std::move(schedule));
}

std::unique_ptr<Collective> Communicator::plan_all_reduce(Buffer buffer, Combine combine, Algorithm algorithm,
                                                          Purpose purpose) {
  Description d{.operation = Operation::all_reduce,
                .algorithm = algorithm,
                .purpose = purpose,
                .elements = buffer.view.size(),
                .type = buffer.view.type()};
  if (algorithm == Algorithm::automatic && buffer.shared)
    d.algorithm = Algorithm::window;
  else if (algorithm == Algorithm::automatic)
    d.algorithm = state_->runtime->table.choose(reach(buffer.view.data()), size(), buffer.view.bytes());
  const bool one_node = state_->local_size == size();
  base::expect(!buffer.shared || collective::works_on_shared(d.algorithm),
               "an algorithm that works on shared buffers;", to_string(d.algorithm));
  d.in_window =
      buffer.shared || (d.algorithm == Algorithm::window && state_->region_of(buffer.view.data()) != nullptr);
  require_agreement(d, {});
  base::expect(d.algorithm != Algorithm::window || one_node,
               "a window all-reduce needs all ranks on one node; ranks", size());
  const std::int64_t n = buffer.view.size().value();
  const auto element = kernels::size_of(buffer.view.type());
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

std::unique_ptr<Collective> Communicator::plan_reduce_scatter(Buffer buffer,
                                                              std::span<const std::int64_t> cuts,
                                                              Combine combine, Purpose purpose) {
  const Description d{.operation = Operation::reduce_scatter,
                      .purpose = purpose,
                      .elements = buffer.view.size(),
                      .type = buffer.view.type()};
  require_agreement(d, cuts);
  return plan(d, buffer, buffer, collective::ring_reduce_scatter(size(), rank(), cuts, combine));
}

std::unique_ptr<Collective> Communicator::plan_all_gather(Buffer buffer, std::span<const std::int64_t> cuts,
                                                          Purpose purpose) {
  const Description d{.operation = Operation::all_gather,
                      .purpose = purpose,
                      .elements = buffer.view.size(),
                      .type = buffer.view.type()};
  require_agreement(d, cuts);
  return plan(d, buffer, buffer, collective::ring_all_gather(size(), rank(), cuts));
}

std::unique_ptr<Collective> Communicator::plan_broadcast(Buffer buffer, int root, Purpose purpose) {
  const Description d{.operation = Operation::broadcast,
                      .purpose = purpose,
                      .elements = buffer.view.size(),
                      .type = buffer.view.type()};
  const std::int64_t root_as_cut = root;
  require_agreement(d, {&root_as_cut, 1});
  return plan(d, buffer, buffer,
              collective::binomial_broadcast(size(), rank(), root, buffer.view.size().value()));
}

std::unique_ptr<Collective> Communicator::plan_all_to_all(Buffer send,
                                                          std::span<const std::int64_t> send_cuts,
                                                          Buffer receive,
                                                          std::span<const std::int64_t> receive_cuts,
                                                          Purpose purpose) {
  base::expect(static_cast<int>(send_cuts.size()) == size() + 1 && send_cuts.size() == receive_cuts.size(),
               "cuts name every rank", send_cuts.size(), receive_cuts.size());
  const auto me = static_cast<std::size_t>(rank());
  base::expect(send_cuts[me + 1] - send_cuts[me] == receive_cuts[me + 1] - receive_cuts[me],
               "what a rank sends itself is what it gets from itself");
  const Description d{.operation = Operation::all_to_all,
                      .purpose = purpose,
                      .elements = send.view.size(),
                      .type = send.view.type()};
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
