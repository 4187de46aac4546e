/// Fetching from local addresses: nothing appears under its name unless its digest is right.

#include "fetch.hpp"

#include <gtest/gtest.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <numeric>

#include "commands.hpp"
#include "idx_files.hpp"
#include "partita/base/digest.hpp"
#include "write_set.hpp"

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

TEST_F(Fetch, RefusesWhatStandsInItsWayByName) {
  const auto expect_refused = [&](const fs::path& path, const std::string& why) {
    try {
      fetch({address(mirror)});
      FAIL() << path << " was no obstacle";
    } catch (const base::ConfigError& wrong) {
      EXPECT_EQ(wrong.violations().front().key, path.string());
      EXPECT_NE(wrong.violations().front().message.find(why), std::string::npos) << wrong.what();
    }
  };
  for (const auto& path : {file(), part()}) {
    fs::create_directories(path / "inside");
    expect_refused(path, "is a folder");
    fs::remove_all(path);
  }
  fs::remove_all(target.path() / "set");
  target.write("set", {});
  expect_refused(target.path() / "set", "the folder cannot be made: ");
}

/// A file of a tar archive, as POSIX has it.
void add_to_tar(Bytes& tar, const std::string& name, const Bytes& content) {
  char header[512]{};
  name.copy(header, 100);
  std::snprintf(header + 124, 12, "%011zo", content.size());
  header[156] = '0';
  std::copy_n("ustar\00000", 8, header + 257);
  std::memset(header + 148, ' ', 8);
  const auto sum = std::accumulate(std::begin(header), std::end(header), 0,
                                   [](int so_far, char c) { return so_far + static_cast<unsigned char>(c); });
  std::snprintf(header + 148, 8, "%06o", static_cast<unsigned>(sum) & 0777777U);
  tar.insert(tar.end(), std::begin(header), std::end(header));
  tar.insert(tar.end(), content.begin(), content.end());
  tar.resize((tar.size() + 511) / 512 * 512);
}

TEST_F(Fetch, KeepsTheFolderUntilAnArchiveIsImported) {
  Bytes tar;
  for (const char* name : {"data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin", "data_batch_4.bin",
                           "data_batch_5.bin", "test_batch.bin"})
    add_to_tar(tar, std::string("cifar-10-batches-bin/") + name, Bytes(3073, 7));
  tar.resize(tar.size() + 1024);
  const Source source{.name = "small",
                      .files = {{"small.tar", base::sha256_of_file(mirror.write("small.tar", tar))}},
                      .mirrors = {address(mirror)},
                      .is_archive = true};
  const int watch = ::inotify_init1(IN_NONBLOCK);
  ASSERT_GE(::inotify_add_watch(watch, target.path().c_str(), IN_CREATE | IN_DELETE), 0);
  fetch_set(source, source.mirrors, target.path());
  EXPECT_EQ(files_of_set(target.path()).size(), 4u);
  std::string seen;  // of the lock
  alignas(inotify_event) char events[16384];
  for (ssize_t size = 0; (size = ::read(watch, events, sizeof events)) > 0;)
    for (ssize_t at = 0; at < size;) {
      inotify_event event{};
      std::memcpy(&event, events + at, sizeof event);
      const std::string name = events + at + sizeof event;
      if (name == ".lock") seen += (event.mask & IN_CREATE) != 0 ? "made " : "deleted ";
      at += static_cast<ssize_t>(sizeof event + event.len);
    }
  ::close(watch);
  EXPECT_EQ(seen, "made deleted ") << "the folder was free between fetch and import";
}

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
