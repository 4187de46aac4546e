/// From a request to a planned operation: ranks agree on what it is, `collective` says which rounds that
/// takes where this rank stands. Also the one loop in which a rank waits for others.
#include "partita/comm/communicator.hpp"

#include <sched.h>

#include <algorithm>

#include "partita/base/clock.hpp"
#include "partita/comm/group.hpp"
#include "shared_rounds.hpp"
#include "state.hpp"

namespace partita::comm {
namespace {

using collective::Operation;
using collective::Purpose;
using collective::Spec;

void relax() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#endif
}

/// What ranks agree on, and what is told of the operation.
Description described(const Spec& spec, Purpose purpose, const collective::Place& at) {
  const bool window = spec.algorithm == Algorithm::window && at.in_window;
  return {.operation = spec.operation,
          .algorithm = spec.algorithm,
          .purpose = purpose,
          .elements = Elements(spec.elements),
          .type = spec.type,
          .in_window = window || (at.reached && spec.operation == Operation::all_reduce)};
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
collective::Place Communicator::place(const Buffer& buffer) const {
  return {.rank = rank(),
          .node_of = state_->node_of,
          .in_window = !buffer.shared && state_->region_of(buffer.view.data()) != nullptr,
          .reached = buffer.shared != nullptr};
}
Position Communicator::position() const { return state_->runtime->watch->position(); }
void Communicator::name_instructions(std::function<std::string(std::uint64_t)> name) const {
  state_->runtime->watch->name_instructions(std::move(name));
}
void Communicator::use(collective::AlgorithmTable table) const { state_->runtime->table = std::move(table); }
const collective::AlgorithmTable& Communicator::table() const { return state_->runtime->table; }
void Communicator::use_virtual_clock(machine::Machine machine, double crowding) const {
  const int mine = state_->job_rank[static_cast<std::size_t>(rank())];
  state_->runtime->clock.emplace(std::move(machine), mine, crowding);
}
VirtualClock* Communicator::virtual_clock() const {
  auto& clock = state_->runtime->clock;
  return clock ? &*clock : nullptr;
}
double Communicator::now_seconds() const { return state_->runtime->now_seconds(); }

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

std::unique_ptr<Collective> Communicator::plan_agreed(const Spec& spec, Buffer in, Buffer out,
                                                      Purpose purpose) {
  const auto at = place(in);
  const auto description = described(spec, purpose, at);
  if (collective::is_vendors(spec)) return make_vendor_all_reduce(state_, description, in, spec.combine);
  auto rounds = collective::rounds_of(spec, at);
  if (!in.shared && !out.shared)
    return make_round_collective(state_, description, in, out, std::move(rounds));
  auto shared = std::make_unique<SharedRounds>(state_, description, in, out, std::move(rounds));
  std::vector<std::string> addresses =
      all_gather_text(in.shared ? in.shared->address() : std::string(), Purpose::control);
  shared->connect_all(addresses);
  return shared;
}

std::unique_ptr<Collective> Communicator::plan(const Spec& spec, Buffer in, Buffer out, Purpose purpose) {
  const auto at = place(in);
  base::expect(!at.reached || collective::works_on_shared(spec), "an algorithm that works on shared buffers;",
               to_string(spec.algorithm));
  require_agreement(spec, described(spec, purpose, at));
  return plan_agreed(spec, in, out, purpose);
}

std::unique_ptr<Collective> Communicator::plan_all_reduce(Buffer buffer, Combine combine, Algorithm algorithm,
                                                          Purpose purpose) {
  return plan(
      {.algorithm = collective::choose({.algorithm = algorithm}, place(buffer), buffer.view.bytes(), table()),
       .combine = combine,
       .type = buffer.view.type(),
       .elements = buffer.view.size().value()},
      buffer, buffer, purpose);
}

std::unique_ptr<Collective> Communicator::plan_reduce_scatter(Buffer buffer,
                                                              std::span<const std::int64_t> cuts,
                                                              Combine combine, Purpose purpose) {
  return plan({.operation = Operation::reduce_scatter,
               .combine = combine,
               .type = buffer.view.type(),
               .elements = buffer.view.size().value(),
               .cuts = {cuts.begin(), cuts.end()}},
              buffer, buffer, purpose);
}

std::unique_ptr<Collective> Communicator::plan_all_gather(Buffer buffer, std::span<const std::int64_t> cuts,
                                                          Purpose purpose) {
  return plan({.operation = Operation::all_gather,
               .type = buffer.view.type(),
               .elements = buffer.view.size().value(),
               .cuts = {cuts.begin(), cuts.end()}},
              buffer, buffer, purpose);
}

std::unique_ptr<Collective> Communicator::plan_broadcast(Buffer buffer, int root, Purpose purpose) {
  return plan({.operation = Operation::broadcast,
               .type = buffer.view.type(),
               .elements = buffer.view.size().value(),
               .peer = root},
              buffer, buffer, purpose);
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
  return plan({.operation = Operation::all_to_all,
               .type = send.view.type(),
               .elements = send.view.size().value(),
               .cuts = {send_cuts.begin(), send_cuts.end()},
               .receive_cuts = {receive_cuts.begin(), receive_cuts.end()}},
              send, receive, purpose);
}

std::unique_ptr<Collective> Communicator::plan_barrier() {
  static std::uint8_t token[2] = {};
  const View view{std::span<std::uint8_t>(token)};
  return plan_agreed({.operation = Operation::barrier, .type = DataType::uint8, .elements = 1}, view, view,
                     Purpose::control);
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
