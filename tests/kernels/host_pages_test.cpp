/// Memory of the host: zeroed, on its boundaries, and in huge pages where this system gives them.
#include "partita/kernels/host_pages.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <fstream>
#include <memory>
#include <span>
#include <string>

namespace partita::kernels {
namespace {

using Pages = std::unique_ptr<std::byte, void (*)(std::byte*) noexcept>;
Pages pages_of(std::size_t bytes) {
  return {allocate_host_pages(Bytes(static_cast<std::int64_t>(bytes))), release_host_pages};
}

TEST(HostPages, AreZeroedAndOnTheirBoundaries) {
  for (const std::size_t bytes :
       {std::size_t{1}, std::size_t{257}, huge_page - 1, huge_page, 3 * huge_page + 5}) {
    const auto memory = pages_of(bytes);
    const std::size_t boundary = bytes >= huge_page ? huge_page : 256;
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(memory.get()) % boundary, 0U) << bytes;
    EXPECT_TRUE(
        std::ranges::all_of(std::span(memory.get(), bytes), [](std::byte b) { return b == std::byte{0}; }));
  }
  EXPECT_EQ(pages_of(0).get(), nullptr);
}

bool gives_huge_pages() {
  std::ifstream file("/sys/kernel/mm/transparent_hugepage/enabled");
  std::string modes;
  std::getline(file, modes);
  return modes.find("[madvise]") != std::string::npos || modes.find("[always]") != std::string::npos;
}

/// How many there are is the system's to decide at any time: one of thirty-two is enough.
TEST(HostPages, AreHugeWhereTheSystemGivesThem) {
  if (!gives_huge_pages()) GTEST_SKIP() << "transparent huge pages are not given to who asks";
  const auto before = huge_pages_in_use().own;
  const auto memory = pages_of(32 * huge_page);
  std::vector<float> reserved;
  reserve_huge_pages(reserved, 16 * huge_page / sizeof(float));
  reserved.resize(16 * huge_page / sizeof(float));
  const auto after = huge_pages_in_use().own;
  if (after == before) GTEST_SKIP() << "the system had none to give";
  EXPECT_GE(after.value() - before.value(), static_cast<std::int64_t>(huge_page));
}

TEST(HostPages, AnswersOfTheSystemAreOptional) {
  prefer_huge_pages(nullptr, 0);
  std::byte small[100] = {};
  prefer_huge_pages(small, sizeof small);  // holds no whole one
  EXPECT_GE(huge_pages_in_use().shared.value(), 0);
}

}  // namespace
}  // namespace partita::kernels
