/// What may go wrong in a child that reads a hostile file, and that it is told here.
#include "contained.hpp"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <vector>

namespace partita::results {
namespace {

using namespace std::chrono_literals;

TEST(ExamineInChild, GivesWhatTheChildSaid) {
  int here = 0;
  EXPECT_EQ(examine_in_child([&] { return ++here, std::string(); }, {}), "");
  EXPECT_EQ(examine_in_child([] { return std::string("is cut short"); }, {}), "is cut short");
  EXPECT_EQ(examine_in_child([] { return std::string(1 << 20, 'x'); }, {}).size(), 3999u);
  EXPECT_EQ(here, 0) << "the child is another process";
}

TEST(ExamineInChild, TellsACrash) {
  for (const int signal : {SIGSEGV, SIGABRT, SIGBUS, SIGFPE, SIGKILL})
    EXPECT_NE(examine_in_child([&] { return raise(signal), std::string(); }, {})
                  .find("crashes on it (signal " + std::to_string(signal)),
              std::string::npos);
  EXPECT_NE(examine_in_child([]() -> std::string { _exit(0); }, {}).find("exit code 0"), std::string::npos);
}

TEST(ExamineInChild, IsNotEndedByWhatIsMeantForTheJob) {
  const auto interrupted = [] {
    for (const int signal : {SIGINT, SIGTERM, SIGUSR1})
      kill(getpid(), signal);
    return std::string("read");
  };
  EXPECT_EQ(examine_in_child(interrupted, {}), "read");
}

TEST(ExamineInChild, EndsWhatDoesNotEnd) {
  const auto forever = []() -> std::string {
    for (;;)
      pause();
  };
  EXPECT_EQ(examine_in_child(forever, {.bytes = 0, .patience = 1s}),
            "is damaged or hostile: reading it does not end");
  EXPECT_EQ(waitpid(-1, nullptr, WNOHANG), -1) << "a child is left";
  EXPECT_EQ(errno, ECHILD);
}

#ifndef __SANITIZE_ADDRESS__
TEST(ExamineInChild, BoundsMemory) {
  const auto take = [](std::size_t mib) {
    return examine_in_child(
        [&]() -> std::string {
          try {
            return std::to_string(std::vector<char>(mib << 20).size() >> 20);
          } catch (const std::bad_alloc&) {
            return "refused";
          }
        },
        {.bytes = 16 << 20});  // so that two gibibytes are allowed
  };
  EXPECT_EQ(take(256), "256");
  EXPECT_EQ(take(3072), "refused");
}
#endif

}  // namespace
}  // namespace partita::results
