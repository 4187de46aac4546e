/// Threads of a kernel as fibers: started in the machine's order, switched only where they wait for each
/// other.
#include <sys/mman.h>

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#endif

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <new>
#include <numeric>
#include <utility>

#include "machine.hpp"
#include "windows.hpp"

uint3 threadIdx, blockIdx;
dim3 blockDim, gridDim;

namespace cuda_on_host {
namespace {

using boost::context::detail::jump_fcontext;
using boost::context::detail::make_fcontext;
using boost::context::detail::transfer_t;

/// Ends of stacks that are free: used again while they are warm. Below each stack lies a page that cannot be
/// touched. Their ends lie at different offsets, or all threads would compete for the same lines of the
/// caches.
std::vector<std::byte*> free_stacks;
constexpr std::size_t stagger = 64 * 5, staggered = 64;
std::size_t stacks_made = 0;

std::byte* take_stack() {
  if (!free_stacks.empty()) {
    std::byte* stack = free_stacks.back();
    free_stacks.pop_back();
#ifdef __SANITIZE_ADDRESS__  // what frames of an abandoned fiber left behind
    __asan_unpoison_memory_region(stack - stack_bytes + staggered * stagger + 4096,
                                  stack_bytes - staggered * stagger - 4096);
#endif
    return stack;
  }
  void* memory =
      mmap(nullptr, stack_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) throw std::bad_alloc();
  mprotect(memory, 4096, PROT_NONE);
  return static_cast<std::byte*>(memory) + stack_bytes - stacks_made++ % staggered * stagger;
}

/// Keeps where the fiber (null: the scheduler) that jumped here goes on.
void keep(Machine& m, transfer_t transfer) {
  auto* const from = static_cast<Thread*>(transfer.data);
  (from ? from->context : m.scheduler) = transfer.fctx;
}

void enter(transfer_t transfer) {
  Machine& m = machine();
  keep(m, transfer);
  Thread& thread = *m.current;
  try {
    m.launch->body();
    end_of_thread(thread);
  } catch (...) {
    if (!m.error) m.error = std::current_exception();
  }
  thread.done = true;
  jump_fcontext(m.scheduler, &thread);
}

/// From `from` (null: the scheduler) to `thread`; returns when somebody jumps back.
void jump_to(Machine& m, Thread* from, Thread& thread) {
  m.current = &thread;
  thread.waits_for = nullptr;
  threadIdx = thread.index;
  blockIdx = thread.block->index;
  if (!thread.context) {
    thread.stack = take_stack();
    thread.context = make_fcontext(thread.stack, stack_bytes - staggered * stagger - 4096, enter);
    ++m.counts.threads;
  }
  ++m.counts.switches;
  keep(m, jump_fcontext(thread.context, from));
}

/// Runs threads, first this one, until one of them ends or none can go on.
void run(Machine& m, Thread& first) {
  jump_to(m, nullptr, first);
  Thread& thread = *std::exchange(m.current, nullptr);
  if (!thread.done) return;
  free_stacks.push_back(thread.stack);
  thread.stack = nullptr;
  --thread.block->live;
  --m.live;
  settle_cluster_barrier();
}

Thread& take_ready(Machine& m) {
  const std::size_t count = m.ready.size() - m.first_ready;
  if (m.order == Order::forward) return *m.ready[m.first_ready++];
  if (m.order == Order::random) std::swap(m.ready.back(), m.ready[m.first_ready + m.pick(count)]);
  Thread* thread = m.ready.back();
  m.ready.pop_back();
  return *thread;
}

bool any_ready(Machine& m) {
  if (m.first_ready < m.ready.size()) return true;
  m.ready.clear();
  m.first_ready = 0;
  return false;
}

/// One of the copy engine's tasks, when nothing else can run.
void run_engine(Machine& m) {
  std::size_t i = 0;
  if (m.order == Order::reverse) i = m.engine.size() - 1;
  if (m.order == Order::random) i = m.pick(m.engine.size());
  const auto task = std::move(m.engine[i]);
  m.engine.erase(m.engine.begin() + static_cast<std::ptrdiff_t>(i));
  task();
}

std::string place(const Thread& t) {
  const auto triple = [](uint3 v) {
    return "(" + std::to_string(v.x) + ", " + std::to_string(v.y) + ", " + std::to_string(v.z) + ")";
  };
  return "block " + triple(t.block->index) + " thread " + triple(t.index);
}

[[noreturn]] void report_deadlock(const Machine& m) {
  std::string text;
  unsigned waiting = 0, ended = 0;
  for (const Block& block : m.blocks)
    for (const Thread& t : block.threads) {
      if (t.done) ++ended;
      if (t.done || ++waiting > 4) continue;
      text += (text.empty() ? "" : "; ") + place(t) + " waits for " + (t.waits_for ? t.waits_for : "?");
    }
  throw Fault("kernel " + m.launch->name + ": deadlock: " + std::to_string(waiting) + " threads wait, " +
              std::to_string(ended) + " have ended: " + text);
}

void prepare_block(Block& block, uint3 index, unsigned rank, std::byte* window, const Launch& launch) {
  const unsigned count = launch.block.x * launch.block.y * launch.block.z;
  block.index = index;
  block.rank = rank;
  block.live = count;
  block.window = window;
  block.threads.resize(count);
  block.warps.assign((count + 31) / 32, {});
  block.warpgroups.assign((count + 127) / 128, {});
  block.barriers = {};
  block.transaction_barriers.clear();
  for (unsigned i = 0; i < count; ++i) {
    Thread& t = block.threads[i];
    t = Thread{};
    t.block = &block;
    t.linear = i;
    t.index = {i % launch.block.x, i / launch.block.x % launch.block.y, i / launch.block.x / launch.block.y};
  }
}

void run_cluster(Machine& m, unsigned first_block, const Windows& windows) {
  const Launch& launch = *m.launch;
  m.blocks.resize(launch.cluster);
  m.live = 0;
  m.ready.clear();
  m.first_ready = 0;
  m.engine.clear();
  m.cluster_phase = m.cluster_arrived = 0;
  m.cluster_waiting.clear();
  for (unsigned rank = 0; rank < launch.cluster; ++rank) {
    const unsigned b = first_block + rank;
    windows.fill(rank);
    prepare_block(m.blocks[rank],
                  {b % launch.grid.x, b / launch.grid.x % launch.grid.y, b / launch.grid.x / launch.grid.y},
                  rank, windows.window(rank), launch);
    m.live += m.blocks[rank].live;
    for (Thread& t : m.blocks[rank].threads)
      m.ready.push_back(&t);
  }
  while (m.live > 0) {
    if (any_ready(m))
      run(m, take_ready(m));
    else if (!m.engine.empty())
      run_engine(m);
    else
      report_deadlock(m);
    if (m.error) std::rethrow_exception(std::exchange(m.error, nullptr));
  }
  if (!m.engine.empty())
    throw Fault("kernel " + launch.name + ": ended while tensor copies to its shared memory were under way");
  for (unsigned rank = 0; rank < launch.cluster; ++rank)
    windows.check(rank, launch);
}

/// Forgets fibers that will not be run to their ends.
void abandon(Machine& m) {
  for (Block& block : m.blocks)
    for (Thread& t : block.threads)
      if (t.stack) free_stacks.push_back(std::exchange(t.stack, nullptr));
  m.blocks.clear();
  m.ready.clear();
  m.engine.clear();
  m.current = nullptr;
  m.launch = nullptr;
}

}  // namespace

Machine& make_machine() {
  the_machine = new Machine;
  const char* const text = std::getenv("CUDA_ON_HOST_ORDER");
  const std::string order = text ? text : "forward";
  if (order.starts_with("reverse")) the_machine->order = Order::reverse;
  if (order.starts_with("random")) the_machine->order = Order::random;
  if (const auto colon = order.find(':'); colon != std::string::npos)
    the_machine->random.seed(std::stoull(order.substr(colon + 1)));
  return *the_machine;
}

void set_order(Order order, std::uint64_t seed) {
  machine().order = order;
  machine().random.seed(seed);
}

Counts counts() { return machine().counts; }

bool Machine::at_once() { return order == Order::reverse || (order == Order::random && pick(2) == 0); }

void fault_outside_kernel() { throw Fault("device code was called outside a kernel"); }

void fault(const std::string& what) {
  const Machine& m = machine();
  throw Fault((m.current ? "kernel " + m.launch->name + ", " + place(*m.current) + ": " : "") + what);
}

void block_on(const char* what) {
  Machine& m = machine();
  Thread& thread = *m.current;
  thread.waits_for = what;
  if (m.error || !any_ready(m)) return keep(m, jump_fcontext(m.scheduler, &thread));
  Thread& next = take_ready(m);
  if (&next != &thread) jump_to(m, &thread, next);
}

void make_ready(Thread* thread) { machine().ready.push_back(thread); }

void make_ready(std::vector<Thread*>& waiting) {
  Machine& m = machine();
  m.ready.insert(m.ready.end(), waiting.begin(), waiting.end());
  waiting.clear();
}

void yield() {
  make_ready(&this_thread());
  block_on("its turn");
}

void execute(const Launch& launch) {
  Machine& m = machine();
  if (m.launch) throw Fault("a kernel was launched while another one ran");
  ++m.counts.kernels;
  m.launch = &launch;
  blockDim = launch.block;
  gridDim = launch.grid;
  try {
    const Windows windows(launch);
    std::vector<unsigned> clusters(launch.grid.x * launch.grid.y * launch.grid.z / launch.cluster);
    std::iota(clusters.begin(), clusters.end(), 0U);
    if (m.order == Order::reverse) std::reverse(clusters.begin(), clusters.end());
    if (m.order == Order::random) std::shuffle(clusters.begin(), clusters.end(), m.random);
    for (const unsigned cluster : clusters)
      run_cluster(m, cluster * launch.cluster, windows);
  } catch (...) {
    abandon(m);
    throw;
  }
  m.launch = nullptr;
}

}  // namespace cuda_on_host
