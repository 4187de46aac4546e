/// Memory that processes of a host share: found, by both kinds of files, and not taken for another.
#include "../../lib/comm/shared_memory.hpp"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>

#include "partita/kernels/host_pages.hpp"

namespace partita::comm {
namespace {

constexpr std::size_t bytes = 100'001;

class EveryFile : public testing::TestWithParam<SharedMemory::File> {};
INSTANTIATE_TEST_SUITE_P(Kinds, EveryFile,
                         testing::Values(SharedMemory::File::unnamed, SharedMemory::File::named));

TEST_P(EveryFile, IsZeroedAndReachesBothWays) {
  const SharedMemory mine(GetParam(), bytes);
  ASSERT_GE(mine.bytes().size(), bytes);
  EXPECT_TRUE(std::ranges::all_of(mine.bytes(), [](std::byte b) { return b == std::byte{0}; }));
  const SharedMemory same(mine.address());
  ASSERT_EQ(same.bytes().size(), mine.bytes().size());
  EXPECT_NE(same.bytes().data(), mine.bytes().data());
  mine.bytes()[bytes - 1] = std::byte{7};
  EXPECT_EQ(same.bytes()[bytes - 1], std::byte{7});
  same.bytes()[0] = std::byte{9};
  EXPECT_EQ(mine.bytes()[0], std::byte{9});
}

TEST_P(EveryFile, IsFoundByAnotherProcess) {
  const SharedMemory mine(GetParam(), bytes);
  const auto address = mine.address();
  const auto child = fork();
  if (child == 0) {
    const SharedMemory same(address);
    if (same.bytes().empty()) _exit(1);
    same.bytes()[3] = std::byte{42};
    _exit(0);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  EXPECT_EQ(mine.bytes()[3], std::byte{42});
}

TEST_P(EveryFile, IsNotFoundOnceHidden) {
  SharedMemory mine(GetParam(), bytes);
  const auto address = mine.address();
  const SharedMemory same(address);
  mine.hide();
  EXPECT_TRUE(SharedMemory(address).bytes().empty());
  EXPECT_TRUE(SharedMemory(mine.address()).bytes().empty());
  same.bytes()[5] = std::byte{1};  // who has it keeps it
  EXPECT_EQ(mine.bytes()[5], std::byte{1});
}

/// In another container the same path leads to another file.
TEST_P(EveryFile, IsNotTakenForAnother) {
  const SharedMemory mine(GetParam(), bytes), other(GetParam(), bytes);
  auto address = mine.address();
  address.path = other.address().path;
  EXPECT_TRUE(SharedMemory(address).bytes().empty());
}

TEST_P(EveryFile, LeavesNothingBehind) {
  SharedMemory::Address address;
  {
    const SharedMemory mine(GetParam(), bytes);
    address = mine.address();
    EXPECT_TRUE(std::filesystem::exists(address.path.data()));
  }
  EXPECT_FALSE(std::filesystem::exists(address.path.data()));
}

TEST_P(EveryFile, BeginsOnAHugePageWhereItHoldsOne) {
  const SharedMemory large(GetParam(), kernels::huge_page + 1);
  ASSERT_FALSE(large.bytes().empty());
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(large.bytes().data()) % kernels::huge_page, 0U);
}

TEST_P(EveryFile, IsEmptyWhereTheHostHasNoRoom) {
  EXPECT_TRUE(SharedMemory(GetParam(), std::size_t{1} << 60).bytes().empty());
}

}  // namespace
}  // namespace partita::comm
