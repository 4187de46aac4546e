/// Pages of memory for allocations, and who may touch them when.
#pragma once

#include "runtime.hpp"

namespace cuda_on_host {

inline constexpr std::size_t page = 4096;
constexpr std::size_t up(std::size_t n, std::size_t step) { return (n + step - 1) / step * step; }

/// Reserves `mapped` bytes of pages, and at least one page on either side.
Allocation reserve(std::size_t mapped);
/// Puts a file's pages there, or without a file (-1) fresh ones. False where that cannot be.
bool map(Allocation&, int file);
void unmap(const Allocation&);
/// Lets a file take the place of memory that only this process can map.
bool move_to_file(Allocation&);
/// Whether it can be touched only while there is an Access.
bool is_protected(const Allocation&);

}  // namespace cuda_on_host
