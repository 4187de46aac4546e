/// Where threads of a block wait for each other: barriers, collectives of a warp.
#include <bit>

#include "machine.hpp"

namespace cuda_on_host {

std::byte* shared_window() { return this_thread().block->window; }

std::uint32_t shared_address(const void* pointer) {
  const Thread& thread = this_thread();
  const auto offset = static_cast<const std::byte*>(pointer) - thread.block->window;
  if (offset < 0 || offset > static_cast<std::ptrdiff_t>(machine().launch->shared_bytes))
    fault("the shared address of something outside the block's dynamic shared memory was asked for");
  return window_begin + static_cast<std::uint32_t>(offset);
}

void* shared_pointer(std::uint32_t address) {
  if (address < window_begin || address - window_begin > machine().launch->shared_bytes)
    fault("address " + std::to_string(address) + " lies outside shared memory");
  return this_thread().block->window + (address - window_begin);
}

unsigned lane() { return this_thread().linear % 32; }

unsigned block_barrier(int id, unsigned threads, bool predicate) {
  Thread& thread = this_thread();
  Block& block = *thread.block;
  if (id < 0 || id > 15) fault("there is no barrier " + std::to_string(id));
  const auto all = static_cast<unsigned>(block.threads.size());
  if (threads == 0) threads = all;
  if (threads > all || (threads % 32 != 0 && threads != all))
    fault("a barrier of " + std::to_string(threads) + " threads in a block of " + std::to_string(all));
  BlockBarrier& barrier = block.barriers[static_cast<std::size_t>(id)];
  if (barrier.waiting.empty()) {
    barrier.threads = threads;
    barrier.with_predicate = 0;
  }
  if (barrier.threads != threads)
    fault("threads disagree on how many take part in barrier " + std::to_string(id));
  barrier.with_predicate += predicate;
  barrier.waiting.push_back(&thread);
  if (barrier.waiting.size() == threads) {
    barrier.result = barrier.with_predicate;
    make_ready(barrier.waiting);
  }
  static const std::array<std::string, 16> names = [] {
    std::array<std::string, 16> n;
    for (std::size_t i = 0; i < n.size(); ++i)
      n[i] = i == 0 ? "__syncthreads" : "barrier " + std::to_string(i);
    return n;
  }();
  block_on(names[static_cast<std::size_t>(id)].c_str());
  return barrier.result;
}

void warp_collective(unsigned mask, const char* name, void* argument,
                     void (*complete)(void* const* arguments)) {
  Thread& thread = this_thread();
  Block& block = *thread.block;
  const unsigned warp = thread.linear / 32, own = 1U << thread.linear % 32;
  const auto size = static_cast<unsigned>(block.threads.size());
  const unsigned in_warp = size - warp * 32;
  if (in_warp < 32) mask &= (1U << in_warp) - 1;
  if ((mask & own) == 0) fault(std::string(name) + " with a mask that lacks the calling lane");
  auto& open = block.warps[warp];
  WarpCollective* here = nullptr;
  WarpCollective* free = nullptr;
  for (WarpCollective& c : open)
    if (c.arrived == 0)
      free = &c;
    else if ((c.mask & mask) != 0)
      here = &c;
  if (!here) {
    here = free ? free : &open.emplace_back();
    *here = {.mask = mask, .arrived = 0, .name = name, .arguments = {}};
  }
  if (here->mask != mask || here->name != name)
    fault(std::string(name) + " while other lanes of the warp are at " + here->name +
          " or have another mask");
  here->arrived |= own;
  here->arguments[thread.linear % 32] = argument;
  if (here->arrived != mask) return block_on(name);
  here->arrived = 0;
  if (complete) complete(here->arguments.data());
  for (unsigned l = 0; l < in_warp && l < 32; ++l)
    if ((mask >> l & 1) != 0 && (own >> l & 1) == 0) make_ready(&block.threads[warp * 32 + l]);
}

std::uint64_t shuffle(unsigned mask, std::uint64_t bits, Shuffle kind, int lane, int width) {
  if (width < 1 || width > 32 || !std::has_single_bit(static_cast<unsigned>(width)))
    fault("a shuffle of this width");
  struct Exchange {
    std::uint64_t in, out;
    unsigned from;
  } exchange{bits, bits, 0};
  const int own = static_cast<int>(this_thread().linear % 32), base = own / width * width;
  int from = own;
  switch (kind) {
    case Shuffle::index:
      from = base + ((lane % width) + width) % width;
      break;
    case Shuffle::up:
      from = own - lane >= base ? own - lane : own;
      break;
    case Shuffle::down:
      from = own + lane < base + width ? own + lane : own;
      break;
    case Shuffle::exclusive_or:
      from = (own ^ lane) < base + width ? own ^ lane : own;
      break;
  }
  exchange.from = static_cast<unsigned>(from);
  warp_collective(mask, "a shuffle", &exchange, [](void* const* arguments) {
    for (unsigned l = 0; l < 32; ++l) {
      auto* const e = static_cast<Exchange*>(arguments[l]);
      if (!e) continue;
      const auto* const other = static_cast<const Exchange*>(arguments[e->from & 31]);
      e->out = other ? other->in : ~std::uint64_t{0};  // a lane that takes no part: undefined
    }
  });
  return exchange.out;
}

unsigned ballot(unsigned mask, bool predicate) {
  struct Vote {
    bool in;
    unsigned out;
  } vote{predicate, 0};
  warp_collective(mask, "a vote", &vote, [](void* const* arguments) {
    unsigned result = 0;
    for (unsigned l = 0; l < 32; ++l)
      if (arguments[l] && static_cast<const Vote*>(arguments[l])->in) result |= 1U << l;
    for (unsigned l = 0; l < 32; ++l)
      if (arguments[l]) static_cast<Vote*>(arguments[l])->out = result;
  });
  return vote.out;
}

}  // namespace cuda_on_host
