/// The engine's state while a kernel runs: a fiber for each thread, the blocks of one cluster at a time.
#pragma once

#include <array>
#include <boost/context/detail/fcontext.hpp>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <random>
#include <unordered_map>
#include <vector>

#include "cuda_on_host/execution.hpp"

namespace cuda_on_host {

inline constexpr std::size_t stack_bytes = 128 * 1024;
inline constexpr std::uint32_t window_begin = 1024;  ///< first shared address, as on sm_90
inline constexpr std::size_t guard_bytes = 1024;
inline constexpr unsigned char poison = 0xFF;  ///< a NaN in every floating-point type

struct Block;

/// A copy that is visible only after a wait.
struct DeferredCopy {
  void* to;
  const void* from;
  std::size_t bytes;
  bool present;
};

/// Asynchronous work in groups: what was issued since the last commit belongs to the next group.
template <class Work>
struct Groups {
  std::vector<std::pair<std::uint64_t, Work>> work;  ///< number of the group, oldest first
  std::uint64_t committed = 0;

  void add(Work w) { work.emplace_back(committed, std::move(w)); }
  void commit() { ++committed; }
  /// Runs what belongs to all but the last `unfinished` groups.
  template <class Run>
  void wait(std::uint64_t unfinished, Run&& run) {
    std::size_t i = 0;
    for (; i < work.size() && work[i].first + unfinished < committed; ++i)
      run(work[i].second);
    work.erase(work.begin(), work.begin() + static_cast<std::ptrdiff_t>(i));
  }
};

/// Sums of a warpgroup's product that are not yet in the threads' registers.
struct Accumulator {
  std::vector<float> sums;  ///< [64, n]
  int n = 0;
};

/// A thread's registers that an outstanding product will write.
struct Registers {
  float* d;
  int count;
  std::uint64_t group;  ///< of the last product
  std::shared_ptr<Accumulator> accumulator;
};

struct Thread {
  boost::context::detail::fcontext_t context = nullptr;
  std::byte* stack = nullptr;
  Block* block = nullptr;
  uint3 index{};
  unsigned linear = 0;
  bool done = false;
  const char* waits_for = nullptr;
  unsigned cluster_phase = 0;  ///< of the cluster barrier that it arrived at
  bool cluster_arrived = false;
  Groups<DeferredCopy> copies;
  Groups<std::function<void()>> stores;
  std::uint64_t products_committed = 0;
  bool fenced = false;  ///< warpgroup_fence since it may have touched its sums
  std::vector<Registers> registers;
};

struct BlockBarrier {
  std::vector<Thread*> waiting;
  unsigned threads = 0, with_predicate = 0, result = 0;
};

struct WarpCollective {
  unsigned mask = 0, arrived = 0;
  const char* name = nullptr;
  std::array<void*, 32> arguments{};
};

struct BarrierUse {
  Thread* by = nullptr;  ///< who prepared it
  bool fenced = false;   ///< whether that is known to the copy engine and to other blocks
  std::vector<Thread*> waiting;
};

/// Products of a warpgroup that have not been computed yet.
struct Product {
  std::uint64_t group, a, b;
  std::shared_ptr<Accumulator> accumulator;
  bool transpose_a, transpose_b, accumulate;
};
struct Warpgroup {
  std::vector<void*> arguments;  ///< of the threads that came to the open product
  std::vector<Thread*> waiting;
  std::vector<Product> products;
};

struct Block {
  uint3 index{};
  unsigned rank = 0;  ///< in its cluster
  unsigned live = 0;
  std::byte* window = nullptr;
  std::vector<Thread> threads;
  std::vector<std::vector<WarpCollective>> warps;
  std::vector<Warpgroup> warpgroups;
  std::array<BlockBarrier, 16> barriers;
  std::unordered_map<void*, BarrierUse> transaction_barriers;
};

struct Machine {
  const Launch* launch = nullptr;
  Order order = Order::forward;
  std::mt19937_64 random;
  Counts counts;

  std::vector<Block> blocks;  ///< of the cluster that runs
  unsigned live = 0;          ///< threads
  std::vector<Thread*> ready;
  std::size_t first_ready = 0;
  Thread* current = nullptr;
  boost::context::detail::fcontext_t scheduler = nullptr;
  std::exception_ptr error;

  /// What the copy engine was asked for and has not done.
  std::vector<std::function<void()>> engine;

  unsigned cluster_phase = 0, cluster_arrived = 0;
  std::vector<Thread*> cluster_waiting;

  /// Whether asynchronous work is to be done at once rather than as late as possible.
  bool at_once();
  std::uint64_t pick(std::uint64_t below) { return random() % below; }
};

/// The only one; made at the first call, never destroyed.
inline Machine* the_machine = nullptr;
Machine& make_machine();
inline Machine& machine() { return the_machine ? *the_machine : make_machine(); }

[[noreturn]] void fault_outside_kernel();
inline Thread& this_thread() {
  Thread* const thread = machine().current;
  if (!thread) fault_outside_kernel();
  return *thread;
}

/// The running thread waits until somebody makes it ready.
void block_on(const char* what);
void make_ready(Thread*);
/// Makes all of them ready, in an order by the machine's.
void make_ready(std::vector<Thread*>& waiting);
/// Throws a Fault where a thread ends with work of its own under way.
void end_of_thread(Thread&);
/// Lets those who wait at the cluster's barrier go on once all its threads that have not ended are there.
void settle_cluster_barrier();
/// Where `pointer` of the running block's dynamic shared memory lies in another block of the cluster, which
/// must not have ended.
void* in_block(const void* pointer, Block&);
Block& block_of_cluster(unsigned rank);
/// Counts copied bytes on a barrier of that block.
void complete_bytes(Block&, std::uint64_t* barrier, std::size_t bytes);
/// Faults unless the copy engine may use this barrier.
void need_fenced_barrier(Block&, std::uint64_t* barrier);
/// An address of shared memory with the bits that a swizzle of `span` bytes (0, 32, 64, 128) exchanges.
constexpr std::uint32_t swizzled(std::uint32_t address, unsigned span) {
  const std::uint32_t rows = span == 128 ? 7 : span == 64 ? 3 : span == 32 ? 1 : 0;
  return address ^ (address >> 7 & rows) << 4;
}

}  // namespace cuda_on_host
