/// What device code compiled for the host asks of the engine that runs its threads.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>

#include "cuda_on_host/control.hpp"
#include "cuda_on_host/vector_types.hpp"

/// Of the running thread.
extern uint3 threadIdx, blockIdx;
extern dim3 blockDim, gridDim;
inline constexpr int warpSize = 32;

namespace cuda_on_host {

/// Throws a Fault that names kernel, block and thread.
[[noreturn]] void fault(const std::string& what);

/// The dynamic shared memory of the running block, and addresses in it as instructions have them.
std::byte* shared_window();
std::uint32_t shared_address(const void*);
void* shared_pointer(std::uint32_t address);

/// Waits for `threads` of the block (0: all) at barrier `id`; how many of them came with `predicate`.
unsigned block_barrier(int id, unsigned threads, bool predicate = false);

/// Waits for all lanes of `mask`, which must come with the same name; the last one runs `complete` on what
/// all brought, null for lanes outside.
void warp_collective(unsigned mask, const char* name, void* argument,
                     void (*complete)(void* const* arguments));

/// The value that `kind` picks from another lane of the warp.
enum class Shuffle { index, up, down, exclusive_or };
std::uint64_t shuffle(unsigned mask, std::uint64_t bits, Shuffle kind, int lane, int width);
/// The lanes of `mask` whose predicate holds.
unsigned ballot(unsigned mask, bool predicate);

/// Lets other threads run.
void yield();

/// The lane of the running thread in its warp.
unsigned lane();

/// One kernel with its arguments, to be run for each thread of a grid.
struct Launch {
  dim3 grid, block;
  unsigned cluster = 1;
  std::size_t shared_bytes = 0;
  std::function<void()> body;
  std::string name;
};
void execute(const Launch&);

}  // namespace cuda_on_host
