/// IDX files are untrusted: whatever is damaged is either noticed or changes nothing.

#include "partita/data/idx.hpp"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <iterator>
#include <numeric>

#include "idx_files.hpp"

namespace partita::data {
namespace {

using test::Bytes;
using test::Folder;
using test::gzip_bytes;
using test::idx_bytes;

Bytes counting(std::size_t n) {
  Bytes values(n);
  std::iota(values.begin(), values.end(), std::uint8_t{0});
  return values;
}

/// The single complaint about `bytes`, or "" when they were read.
std::string complaint_about(const Folder& folder, const Bytes& bytes, int dimensions = 3) {
  const auto file = folder.write("file", bytes);
  std::vector<base::Violation> violations;
  const auto array = read_idx(file, dimensions, violations);
  if (array) {
    EXPECT_TRUE(violations.empty());
    return "";
  }
  EXPECT_EQ(violations.size(), 1u);
  EXPECT_EQ(violations.at(0).key, file.string());
  return violations.at(0).message;
}

void expect_refused(const Bytes& plain, const std::string& because, int dimensions = 3) {
  const Folder folder;
  for (const auto& bytes : {plain, gzip_bytes(plain)}) {
    const auto complaint = complaint_about(folder, bytes, dimensions);
    EXPECT_NE(complaint.find(because), std::string::npos)
        << "got '" << complaint << "', expected " << because;
  }
}

TEST(Idx, ReadsPlainAndGzipAlike) {
  const Folder folder;
  const auto plain = idx_bytes({2, 3, 4}, counting(24));
  for (const auto& bytes : {plain, gzip_bytes(plain)}) {
    std::vector<base::Violation> violations;
    const auto array = read_idx(folder.write("x", bytes), 3, violations);
    ASSERT_TRUE(array);
    EXPECT_EQ(array->extents, (std::vector<std::int64_t>{2, 3, 4}));
    EXPECT_EQ(array->values, counting(24));
  }
}

TEST(Idx, ReadsSeveralGzipMembersAsOne) {
  const auto plain = idx_bytes({2, 3, 4}, counting(24));
  for (const std::size_t cut : {1u, 4u, 15u, 16u, 17u, 39u}) {
    auto bytes = gzip_bytes({plain.begin(), plain.begin() + static_cast<std::ptrdiff_t>(cut)});
    const auto second = gzip_bytes({plain.begin() + static_cast<std::ptrdiff_t>(cut), plain.end()});
    bytes.insert(bytes.end(), second.begin(), second.end());
    EXPECT_EQ(complaint_about(Folder(), bytes), "") << "cut at " << cut;
  }
}

TEST(Idx, RefusesWrongHeaders) {
  const auto values = counting(24);
  auto magic = idx_bytes({2, 3, 4}, values);
  magic[1] = 1;
  expect_refused(magic, "is no IDX file: begins with 0x00 0x01, expected 0x00 0x00");
  expect_refused(idx_bytes({2, 3, 4}, values, 0x0d), "type 0x0d, expected 0x08");
  expect_refused(idx_bytes({2, 3, 4}, values), "has 3 dimensions, expected 1", 1);
  expect_refused(idx_bytes({24}, values), "has 1 dimensions, expected 3");
  expect_refused({}, "holds 0 bytes");
  expect_refused({0, 0, 8}, "holds 3 bytes");
  expect_refused({0, 0, 8, 3, 0, 0, 0, 2, 0}, "header");
}

TEST(Idx, RefusesTrailingAndMissingBytes) {
  expect_refused(idx_bytes({2, 3, 4}, counting(23)),
                 "holds 23 bytes after its header, expected 24 (truncated)");
  expect_refused(idx_bytes({2, 3, 4}, counting(25)), "trailing bytes");
  auto followed = gzip_bytes(idx_bytes({2, 3, 4}, counting(24)));
  followed.push_back(0);
  EXPECT_NE(complaint_about(Folder(), followed).find("1 bytes follow"), std::string::npos);
}

/// A header that claims terabytes must not make the reader ask for them: the address space is limited
/// meanwhile.
TEST(Idx, NeverAllocatesWhatAHeaderClaims) {
#if defined(__SANITIZE_ADDRESS__)
  constexpr bool limited = false;  // the sanitizer reserves terabytes itself
#else
  constexpr bool limited = true;
#endif
  rlimit before{};
  getrlimit(RLIMIT_AS, &before);
  const rlimit little{.rlim_cur = rlim_t{1} << 30, .rlim_max = before.rlim_max};
  if (limited) setrlimit(RLIMIT_AS, &little);
  const std::uint32_t most = 0xffffffff;
  expect_refused(idx_bytes({most, most, most}, counting(24)), "more than any file holds");
  expect_refused(idx_bytes({0x80000000, 0x80000000, 4}, counting(24)), "more than any file holds");  // 2^64
  expect_refused(idx_bytes({most, 28, 28}, counting(24)), "holds 24 bytes after its header");
  expect_refused(idx_bytes({most}, counting(24)), "holds 24 bytes after its header, expected 4294967295", 1);
  if (limited) setrlimit(RLIMIT_AS, &before);
}

TEST(Idx, RefusesEveryProperPrefix) {
  const Folder folder;
  const auto plain = idx_bytes({5, 3, 4}, counting(60));
  for (const auto& whole : {plain, gzip_bytes(plain)}) {
    for (std::size_t length = 0; length < whole.size(); ++length)
      EXPECT_NE(complaint_about(folder, {whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(length)}),
                "")
          << "prefix of " << length;
    EXPECT_EQ(complaint_about(folder, whole), "");
  }
}

/// A flipped bit of a header changes the number of elements that it claims, so it is always noticed.
TEST(Idx, HeaderBitFlipsAreNoticed) {
  const Folder folder;
  const auto whole = idx_bytes({5, 3, 4}, counting(60));
  for (std::size_t bit = 0; bit < 16 * 8; ++bit) {
    auto flipped = whole;
    flipped[bit / 8] = static_cast<std::uint8_t>(flipped[bit / 8] ^ (1u << (bit % 8)));
    EXPECT_NE(complaint_about(folder, flipped), "") << "bit " << bit;
  }
}

/// One flipped bit of a gzip file is noticed, or it sat in a field without meaning and changes nothing.
TEST(Idx, GzipBitFlipsAreNoticedOrHarmless) {
  const Folder folder;
  const auto values = counting(60);
  const auto whole = gzip_bytes(idx_bytes({5, 3, 4}, values));
  int harmless = 0;
  for (std::size_t bit = 0; bit < whole.size() * 8; ++bit) {
    auto flipped = whole;
    flipped[bit / 8] = static_cast<std::uint8_t>(flipped[bit / 8] ^ (1u << (bit % 8)));
    std::vector<base::Violation> violations;
    const auto array = read_idx(folder.write("x", flipped), 3, violations);
    EXPECT_EQ(array.has_value(), violations.empty());
    if (!array) continue;
    ++harmless;
    EXPECT_EQ(array->extents, (std::vector<std::int64_t>{5, 3, 4})) << "bit " << bit;
    EXPECT_EQ(array->values, values) << "bit " << bit;
  }
  EXPECT_LE(harmless, 80) << "only the header's time stamp, system and flags carry no meaning";
}

TEST(Idx, NamesMissingAndUnreadableFiles) {
  const Folder folder;
  std::vector<base::Violation> violations;
  EXPECT_FALSE(read_idx(folder.path() / "absent", 3, violations));
  EXPECT_FALSE(read_idx(folder.path(), 3, violations));
  ASSERT_EQ(violations.size(), 2u);
  EXPECT_EQ(violations[0].message, "the file does not exist");
  EXPECT_EQ(violations[1].message, "is not a regular file");
}

TEST(Idx, WritesWhatItReadsAndTheSameBytesTwice) {
  const Folder folder;
  for (const auto compression : {Compression::none, Compression::gzip}) {
    for (const std::size_t n : {0u, 1u, 7u, 70000u}) {
      const std::vector<std::int64_t> extents{static_cast<std::int64_t>(n)};
      write_idx(folder.path() / "a", extents, counting(n), compression);
      write_idx(folder.path() / "b", extents, counting(n), compression);
      std::vector<base::Violation> violations;
      const auto array = read_idx(folder.path() / "a", 1, violations);
      ASSERT_TRUE(array) << violations.at(0).message;
      EXPECT_EQ(array->extents, extents);
      EXPECT_EQ(array->values, counting(n));
      std::ifstream a(folder.path() / "a"), b(folder.path() / "b");
      EXPECT_EQ(std::string(std::istreambuf_iterator<char>(a), {}),
                std::string(std::istreambuf_iterator<char>(b), {}));
    }
  }
  EXPECT_THROW(
      write_idx(folder.path() / "absent" / "a", std::vector<std::int64_t>{1}, counting(1), Compression::none),
      base::EnvironmentError);
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder.path()), {}), 2)
      << "temporary files are left";
}

}  // namespace
}  // namespace partita::data
