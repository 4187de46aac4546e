/// mbarrier: its 64 bits hold arrivals expected and pending, bytes that are still to come, and the phase's
/// parity.
#include "machine.hpp"
#include "ptx/barrier.hpp"

namespace cuda_on_host {
namespace {

constexpr unsigned most_arrivals = (1U << 20) - 1;

struct State {
  unsigned expected, pending, parity;
  int bytes;
};

State unpack(std::uint64_t word) {
  return {.expected = static_cast<unsigned>(word & most_arrivals),
          .pending = static_cast<unsigned>(word >> 20 & most_arrivals),
          .parity = static_cast<unsigned>(word >> 63),
          .bytes = static_cast<int>(static_cast<std::int64_t>(word << 1) >> 41)};
}

std::uint64_t pack(const State& s) {
  return s.expected | std::uint64_t{s.pending} << 20 |
         (static_cast<std::uint64_t>(static_cast<std::int64_t>(s.bytes)) & 0x7FFFFF) << 40 |
         std::uint64_t{s.parity} << 63;
}

BarrierUse& use_of(Block& block, std::uint64_t* barrier) {
  const auto found = block.transaction_barriers.find(barrier);
  if (found == block.transaction_barriers.end()) fault("a barrier was used that nobody has prepared");
  return found->second;
}

/// Writes the state back, into the next phase where this one is complete.
void settle(Block& block, std::uint64_t* barrier, State s) {
  if (s.pending == 0 && s.bytes == 0) {
    s.pending = s.expected;
    s.parity ^= 1;
    make_ready(use_of(block, barrier).waiting);
  }
  *barrier = pack(s);
}

void arrive(Block& block, std::uint64_t* barrier, unsigned bytes) {
  use_of(block, barrier);
  State s = unpack(*barrier);
  if (s.pending == 0) fault("more arrivals at a barrier than its phase expects");
  s.bytes += static_cast<int>(bytes);
  if (s.bytes > static_cast<int>(most_arrivals)) fault("a barrier expects more bytes than it can count");
  --s.pending;
  settle(block, barrier, s);
}

}  // namespace

void barrier_init(std::uint64_t* barrier, unsigned arrivals) {
  Thread& thread = this_thread();
  if (reinterpret_cast<std::uintptr_t>(barrier) % 8 != 0)
    fault("a barrier does not lie on a boundary of 8 bytes");
  if (arrivals == 0 || arrivals > most_arrivals)
    fault("a barrier of " + std::to_string(arrivals) + " arrivals");
  const auto [use, fresh] = thread.block->transaction_barriers.try_emplace(barrier);
  if (!fresh) fault("a barrier was prepared twice");
  use->second.by = &thread;
  *barrier = pack({.expected = arrivals, .pending = arrivals, .parity = 0, .bytes = 0});
}

void barrier_init_fence() {
  Thread& thread = this_thread();
  for (auto& [barrier, use] : thread.block->transaction_barriers)
    if (use.by == &thread) use.fenced = true;
}

void barrier_arrive(std::uint64_t* barrier, unsigned bytes) { arrive(*this_thread().block, barrier, bytes); }

void barrier_arrive_at(std::uint64_t* barrier, unsigned rank) {
  Block& block = block_of_cluster(rank);
  auto* const there = static_cast<std::uint64_t*>(in_block(barrier, block));
  if (&block != this_thread().block) need_fenced_barrier(block, there);
  arrive(block, there, 0);
}

void barrier_wait(std::uint64_t* barrier, unsigned parity) {
  Thread& thread = this_thread();
  BarrierUse& use = use_of(*thread.block, barrier);
  while (unpack(*barrier).parity == (parity & 1)) {
    use.waiting.push_back(&thread);
    block_on((parity & 1) == 0 ? "a shared-memory barrier's phase of parity 0"
                               : "a shared-memory barrier's phase of parity 1");
  }
}

void need_fenced_barrier(Block& block, std::uint64_t* barrier) {
  if (!use_of(block, barrier).fenced)
    fault(
        "a barrier is used by the copy engine or another block without barrier_init_fence after it was "
        "prepared");
}

void complete_bytes(Block& block, std::uint64_t* barrier, std::size_t bytes) {
  State s = unpack(*barrier);
  s.bytes -= static_cast<int>(bytes);
  if (s.bytes < -static_cast<int>(most_arrivals)) fault("a barrier was given more bytes than it can count");
  settle(block, barrier, s);
}

}  // namespace cuda_on_host
