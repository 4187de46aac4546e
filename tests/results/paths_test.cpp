/// Files with two roles, and files that two processes want.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <string>
#include <vector>

#include "partita/results/claim.hpp"
#include "partita/results/named_path.hpp"
#include "sample_record.hpp"

namespace {

std::function<void()> before_reading;

}  // namespace

/// In place of the C library's: what a reader finds is decided by how often it has looked, not by time.
extern "C" ssize_t pread(int file, void* bytes, size_t count, off_t at) {
  if (before_reading) before_reading();
  return ::syscall(SYS_pread64, file, bytes, count, at);
}

namespace partita::results::test {
namespace {

namespace fs = std::filesystem;
using Paths = FolderTest;

void put(const fs::path& path, const std::string& text = "") { std::ofstream(path) << text; }

std::string text_of(const fs::path& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

/// The roles of which one file has two: "save-model with output".
std::vector<std::string> twofold(const std::vector<NamedPath>& paths) {
  std::vector<std::string> pairs;
  for (const auto& violation : check_roles(paths)) {
    const std::string begin = "is one file with ";
    EXPECT_EQ(violation.message.substr(0, begin.size()), begin);
    const auto other = violation.message.substr(begin.size());
    pairs.push_back(violation.key + " with " + other.substr(0, other.find(" (")));
  }
  return pairs;
}

using Pairs = std::vector<std::string>;

TEST_F(Paths, OneFileHasOneRoleUnlessItIsOnlyRead) {
  const auto a = folder / "a.h5", b = folder / "b.h5";
  EXPECT_EQ(twofold({{"output", a, Use::writes}, {"save-model", b, Use::writes}, {"load-model", b}}),
            Pairs{"load-model with save-model"});
  EXPECT_EQ(twofold({{"config", a}, {"model.file", a}, {"output", b, Use::writes}}), Pairs{});
  EXPECT_EQ(twofold({{"config", a}, {"model.file", a}, {"output", a, Use::writes}}),
            Pairs{"output with config"});
  EXPECT_EQ(twofold({{"output", a, Use::writes}, {"checkpoint.dir", a, Use::keeps}}),
            Pairs{"checkpoint.dir with output"});
  EXPECT_EQ(twofold({{"output", "", Use::writes}, {"save-model", "", Use::writes}}), Pairs{});
}

TEST_F(Paths, AreTheSameBehindLinksAndOtherNames) {
  const auto a = folder / "a.h5";
  fs::create_directory(folder / "real");
  fs::create_directory_symlink(folder / "real", folder / "alias");
  fs::create_symlink("a.h5", folder / "link");  // to nothing yet
  const auto same = [&](const fs::path& x, const fs::path& y) {
    return !twofold({{"output", x, Use::writes}, {"save-model", y, Use::writes}}).empty();
  };
  EXPECT_TRUE(same(a, folder / "link"));
  EXPECT_TRUE(same(a, folder / "real" / ".." / "a.h5"));
  EXPECT_TRUE(same(folder / "real" / "new", folder / "alias" / "new"));
  EXPECT_TRUE(same(a, folder / ".a.h5.partial"));
  EXPECT_TRUE(same(folder / ".a.h5.lock", a));
  EXPECT_FALSE(same(a, folder / "b.h5"));
  put(a), fs::create_hard_link(a, folder / "hard"), put(folder / "b.h5");
  EXPECT_TRUE(same(a, folder / "link"));
  EXPECT_TRUE(same(a, folder / "hard"));
  EXPECT_FALSE(same(a, folder / "b.h5"));
  fs::create_symlink("circle", folder / "circle");
  EXPECT_FALSE(same(a, folder / "circle"));
}

TEST_F(Paths, AreClaimedByOneAtATime) {
  const std::vector<NamedPath> mine{{"output", folder / "a.h5", Use::writes},
                                    {"checkpoint.dir", folder / "kept", Use::keeps},
                                    {"config", folder / "read"}};
  {
    Claims first, second;
    EXPECT_TRUE(first.take(mine).empty());
    fs::create_symlink("a.h5", folder / "link");
    const std::vector<NamedPath> theirs{{"save-model", folder / "link", Use::writes},
                                        {"checkpoint.dir", folder / "kept", Use::shares},
                                        {"output", folder / "b.h5", Use::writes}};
    const auto violations = second.take(theirs);
    ASSERT_EQ(violations.size(), 2u);
    for (const auto& violation : violations) {
      EXPECT_EQ(violation.message.rfind("is in use by another job: test_results, process ", 0), 0u)
          << violation.message;
      EXPECT_NE(violation.message.find(std::to_string(::getpid()) + " on "), std::string::npos);
    }
    EXPECT_FALSE(fs::exists(folder / ".read.lock"));
  }
  fs::remove(folder / "link");
  EXPECT_TRUE(fs::is_empty(folder)) << "locks or folders are left";
  Claims later;
  EXPECT_TRUE(later.take(mine).empty());
}

TEST_F(Paths, FoldersAreSharedByPartsButNotWithOneThatKeepsThem) {
  const std::vector<NamedPath> part{{"output", folder / "swept", Use::shares}},
      whole{{"output", folder / "swept", Use::keeps}};
  {
    Claims one, two, all;
    const std::vector<NamedPath> with_index{part[0], {"index", folder / "swept" / "index.csv", Use::writes}};
    EXPECT_TRUE(one.take(with_index).empty());
    EXPECT_TRUE(two.take(part).empty());
    EXPECT_EQ(all.take(whole).size(), 1u);
  }
  EXPECT_TRUE(fs::is_empty(folder)) << "the folder that was made for them is left";
  Claims all, one;
  EXPECT_TRUE(all.take(whole).empty());
  EXPECT_EQ(one.take(part).size(), 1u);
}

TEST_F(Paths, AreFreeOnceTheirProcessIsKilled) {
  const std::vector<NamedPath> paths{{"output", folder / "a.h5", Use::writes},
                                     {"checkpoint.dir", folder / "kept", Use::keeps}};
  int ready[2];
  ASSERT_EQ(::pipe(ready), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    Claims claims;
    const char answer = claims.take(paths).empty() ? 'y' : 'n';
    if (::write(ready[1], &answer, 1) != 1) ::_exit(1);
    for (;;)
      ::pause();
  }
  char answer = 0;
  ASSERT_EQ(::read(ready[0], &answer, 1), 1);
  EXPECT_EQ(answer, 'y');
  Claims refused;
  const auto violations = refused.take(paths);
  ASSERT_EQ(violations.size(), 2u);
  EXPECT_NE(violations[0].message.find("process " + std::to_string(child) + " on "), std::string::npos);
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  EXPECT_TRUE(fs::exists(folder / ".a.h5.lock"));
  EXPECT_NE(text_of(folder / ".a.h5.lock").find("process " + std::to_string(child)), std::string::npos);
  Claims next;
  EXPECT_TRUE(next.take(paths).empty());
  EXPECT_NE(text_of(folder / ".a.h5.lock").find("process " + std::to_string(::getpid())), std::string::npos);
  ::close(ready[0]), ::close(ready[1]);
}

TEST_F(Paths, SayWhoHasThemAsSoonAsThatHasSaidSo) {
  const auto lock = folder / ".a.h5.lock";
  const int holder = ::open(lock.c_str(), O_RDWR | O_CREAT, 0666);
  ASSERT_EQ(::flock(holder, LOCK_EX), 0);
  const NamedPath wanted[] = {{"output", folder / "a.h5", Use::writes}};
  std::vector<std::string> texts{"", "", "some", "somebody, here\n"};
  std::size_t looks = 0;
  before_reading = [&] { put(lock, texts[std::min(looks++, texts.size() - 1)]); };
  Claims second;
  auto violations = second.take(wanted);
  ASSERT_EQ(violations.size(), 1u);
  EXPECT_EQ(violations[0].message, "is in use by another job: somebody, here");
  EXPECT_EQ(looks, texts.size());

  texts = {""};  // it was stopped before it could
  violations = second.take(wanted);
  before_reading = nullptr;
  ASSERT_EQ(violations.size(), 1u);
  EXPECT_EQ(violations[0].message, "is in use by another job: of which nothing is known");
  ::close(holder);
}

TEST_F(Paths, ThatCannotBeWrittenAreLeftForTheirOwnCheck) {
  Claims claims;
  const std::vector<NamedPath> paths{{"output", folder / "absent" / "a.h5", Use::writes},
                                     {"checkpoint.dir", folder / "absent" / "kept", Use::keeps},
                                     {"save-model", folder / std::string(255, 'x'), Use::writes}};
  EXPECT_TRUE(claims.take(paths).empty());
  EXPECT_TRUE(fs::is_empty(folder));
}

}  // namespace
}  // namespace partita::results::test
