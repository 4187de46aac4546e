/// Memory of the host in huge pages, where the system gives them to those who ask: a page of 2 MiB takes one
/// entry of the core's address translation, where 4 kB take 512. On Linux these are transparent ones, of
/// /sys/kernel/mm/transparent_hugepage. Where there are none everything is as without asking.
#pragma once

#include <cstddef>
#include <vector>

#include "partita/kernels/count.hpp"

namespace partita::kernels {

inline constexpr std::size_t huge_page = std::size_t{2} << 20;

/// Asks for huge pages for what lies in whole ones. Memory that was touched before keeps its pages.
void prefer_huge_pages(void* memory, std::size_t bytes) noexcept;

/// Zeroed, on a boundary of 256 bytes; from the size of a huge page on, in whole ones. Null for no bytes.
/// Throws std::bad_alloc.
[[nodiscard]] std::byte* allocate_host_pages(Bytes);
void release_host_pages(std::byte*) noexcept;

/// Room for `n` values in a vector that has none yet.
template <class T>
void reserve_huge_pages(std::vector<T>& empty, std::size_t n) {
  empty.reserve(n);
  prefer_huge_pages(empty.data(), n * sizeof(T));
}

/// How much of this process's memory lies in huge pages now: its own, and what it shares with others.
struct HugePages {
  Bytes own, shared;
};
[[nodiscard]] HugePages huge_pages_in_use();

}  // namespace partita::kernels
