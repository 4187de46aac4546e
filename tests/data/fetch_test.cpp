/// Fetching from local addresses: nothing appears under its name unless its digest is right.

#include "fetch.hpp"

#include <gtest/gtest.h>

#include "idx_files.hpp"
#include "partita/base/digest.hpp"

namespace partita::app {
namespace {

namespace fs = std::filesystem;
using test::Bytes;
using test::Folder;

struct Fetch : testing::Test {
  Folder mirror, target;
  Bytes content = Bytes(100000, 7);
  PinnedFile pinned{"file.gz", ""};
  std::vector<std::string> lines;

  Fetch() {
    for (std::size_t i = 0; i < content.size(); ++i)
      content[i] = static_cast<std::uint8_t>(i * i >> 3);
    pinned.sha256 = base::sha256_of_file(mirror.write("file.gz", content));
  }
  static std::string address(const Folder& folder) { return "file://" + folder.path().string(); }
  void fetch(const std::vector<std::string>& mirrors) {
    fetch_file(pinned, mirrors, target.path() / "set",
               [&](const std::string& line) { lines.push_back(line); });
  }
  [[nodiscard]] fs::path file() const { return target.path() / "set" / "file.gz"; }
  [[nodiscard]] fs::path part() const { return target.path() / "set" / "file.gz.part"; }
  void expect_fetched() const {
    ASSERT_TRUE(fs::exists(file()));
    EXPECT_EQ(base::sha256_of_file(file()), pinned.sha256);
    EXPECT_FALSE(fs::exists(part()));
  }
  [[nodiscard]] Bytes first(std::size_t n) const {
    return {content.begin(), content.begin() + static_cast<long>(n)};
  }
};

TEST_F(Fetch, TriesMirrorsInOrder) {
  const Folder empty, wrong;
  wrong.write("file.gz", first(99999));
  fetch({address(empty), address(wrong) + "/", address(mirror)});
  expect_fetched();
  EXPECT_EQ(lines.back(), file().string() + ": fetched and right");
}

TEST_F(Fetch, ContinuesAPartialFile) {
  for (const std::size_t n : {0u, 1u, 50000u, 99999u, 100000u}) {
    fs::remove(file());
    target.write("set/file.gz.part", first(n));
    fetch({address(mirror)});
    expect_fetched();
  }
}

TEST_F(Fetch, BeginsAgainWhenThePartIsWrong) {
  auto damaged = first(5000);
  damaged[17] ^= 1;
  target.write("set/file.gz.part", damaged);
  fetch({address(mirror)});
  expect_fetched();
  fs::remove(file());
  target.write("set/file.gz.part", Bytes(100001, 1));  // longer than the whole
  fetch({address(mirror)});
  expect_fetched();
}

TEST_F(Fetch, KeepsAFileThatIsRightAndNeverReplacesAnother) {
  fetch({address(mirror)});
  fetch({});
  expect_fetched();
  target.write("set/file.gz", first(10));
  EXPECT_THROW(fetch({address(mirror)}), FetchError);
  EXPECT_EQ(fs::file_size(file()), 10u);
}

TEST_F(Fetch, RefusesWrongContent) {
  auto damaged = content;
  damaged[99999] ^= 0x80;
  mirror.write("file.gz", damaged);
  try {
    fetch({address(mirror)});
    FAIL() << "wrong content was accepted";
  } catch (const FetchError& error) {
    EXPECT_NE(std::string(error.what()).find("expected " + pinned.sha256), std::string::npos);
  }
  EXPECT_FALSE(fs::exists(file()));
  EXPECT_FALSE(fs::exists(part()));
}

TEST_F(Fetch, RefusesOtherProtocols) { EXPECT_THROW(fetch({"ftp://127.0.0.1"}), FetchError); }

TEST(Sources, PinFourFilesOrOneArchiveEach) {
  for (const auto& source : known_sources()) {
    EXPECT_EQ(source.files.size(), source.is_archive ? 1u : 4u);
    EXPECT_FALSE(source.mirrors.empty());
    for (const auto& file : source.files)
      EXPECT_EQ(file.sha256.size(), 64u);
  }
  EXPECT_TRUE(find_source("mnist"));
  EXPECT_TRUE(find_source("fashion-mnist"));
  EXPECT_TRUE(find_source("cifar-10"));
  EXPECT_FALSE(find_source("cifar"));
}

}  // namespace
}  // namespace partita::app
