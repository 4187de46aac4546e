/// Transparent huge pages by madvise(2), before the first touch; what came of it stands in /proc.
#include "partita/kernels/host_pages.hpp"

#include <sys/mman.h>

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <new>
#include <string>

namespace partita::kernels {

void prefer_huge_pages(void* memory, std::size_t bytes) noexcept {
  const auto address = reinterpret_cast<std::uintptr_t>(memory);
  const auto first = (address + huge_page - 1) / huge_page * huge_page,
             last = (address + bytes) / huge_page * huge_page;
  // That it is refused makes programs slower, not wrong: /proc says what came of it.
  if (first < last) madvise(static_cast<std::byte*>(memory) + (first - address), last - first, MADV_HUGEPAGE);
}

std::byte* allocate_host_pages(Bytes bytes) {
  const auto size = static_cast<std::size_t>(bytes.value());
  if (size == 0) return nullptr;
  const std::size_t boundary = size >= huge_page ? huge_page : 256;
  const std::size_t whole = (size + boundary - 1) / boundary * boundary;
  auto* const memory = static_cast<std::byte*>(std::aligned_alloc(boundary, whole));
  if (!memory) throw std::bad_alloc();
  prefer_huge_pages(memory, whole);
  std::memset(memory, 0, whole);
  return memory;
}

void release_host_pages(std::byte* memory) noexcept { std::free(memory); }

HugePages huge_pages_in_use() {
  std::ifstream file("/proc/self/smaps_rollup");
  HugePages pages;
  std::int64_t kilobytes = 0;
  for (std::string name, rest; file >> name && std::getline(file, rest);) {
    const bool own = name == "AnonHugePages:";
    if (!own && name != "ShmemPmdMapped:") continue;
    kilobytes = std::strtoll(rest.c_str(), nullptr, 10);
    (own ? pages.own : pages.shared) += Bytes(kilobytes * 1024);
  }
  return pages;
}

}  // namespace partita::kernels
