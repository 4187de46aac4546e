/// Machine files: what they say is read, kept as text, and refused with everything that is wrong.
#include "partita/machine/machine.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <filesystem>
#include <fstream>

namespace partita::machine {
namespace {

constexpr std::string_view sound =
    "# a comment\n"
    "link bytes_per_second=1e9 latency_seconds=0  # in any order\n"
    "\n"
    "compute flops_per_second=2e9 call_seconds=3e-6\n"
    "memory level=cache bytes_per_second=5e10\n"
    "memory bytes_per_second=4e9 level=main\n";

Machine parse(std::string_view text) {
  std::vector<base::Violation> violations;
  auto machine = Machine::parse(text, violations);
  for (const auto& violation : violations)
    ADD_FAILURE() << to_string(violation);
  return machine;
}

std::vector<base::Violation> violations_of(const std::string& text) {
  std::vector<base::Violation> violations;
  Machine::parse(text, violations);
  return violations;
}

TEST(Machine, IsReadInAnyOrder) {
  const auto machine = parse(sound);
  EXPECT_EQ(machine.flops_per_second, 2e9);
  EXPECT_EQ(machine.call_seconds, 3e-6);
  EXPECT_EQ(machine.main_bytes_per_second, 4e9);
  EXPECT_EQ(machine.cache_bytes_per_second, 5e10);
  EXPECT_EQ(machine.link_latency_seconds, 0);
  EXPECT_EQ(machine.link_bytes_per_second, 1e9);
}

TEST(Machine, ThatShipsSaysNothingOfCachesAndCalls) {
  const auto& machine = Machine::shipped();
  EXPECT_EQ(machine.flops_per_second, 60e9);
  EXPECT_EQ(machine.main_bytes_per_second, 10e9);
  EXPECT_EQ(machine.link_latency_seconds, 5e-6);
  EXPECT_EQ(machine.link_bytes_per_second, 4e9);
  EXPECT_TRUE(std::isinf(machine.cache_bytes_per_second));
  EXPECT_EQ(machine.call_seconds, 0);
}

TEST(Machine, ReadsBackWhatItWrites) {
  for (const auto& machine : {parse(sound), Machine::shipped()}) {
    EXPECT_EQ(parse(machine.to_text()), machine);
    EXPECT_EQ(parse(machine.to_text()).hash(), machine.hash());
  }
  EXPECT_NE(parse(sound).hash(), Machine::shipped().hash());
  const std::string rest =
      "memory level=main bytes_per_second=1\nlink latency_seconds=0 bytes_per_second=1\n";
  EXPECT_EQ(parse("compute flops_per_second=1 call_seconds=-0\n" + rest).hash(),
            parse("compute flops_per_second=1 call_seconds=0\n" + rest).hash());
}

TEST(Machine, NamesEveryWrongLineAndEverythingMissing) {
  const auto wrong = violations_of(
      "compute flops_per_second=0 call_seconds=-1 cores=2\n"
      "compute flops_per_second=1\n"
      "memory bytes_per_second=1e9\n"
      "memory level=cache bytes_per_second=fast\n"
      "disk bytes_per_second=1\n"
      "link latency_seconds=1e-6 latency_seconds=2e-6\n");
  std::vector<std::string> told;
  for (const auto& violation : wrong)
    told.push_back(violation.key + ": " + violation.message);
  const std::vector<std::pair<std::string, std::string>> expected{
      {"line 1", "flops_per_second must be a number above 0"},
      {"line 1", "call_seconds must be a number from 0"},
      {"line 1", "knows no cores"},
      {"line 2", "stands a second time, after line 1"},
      {"line 3", "is none of"},
      {"line 4", "bytes_per_second must be a number above 0"},
      {"line 5", "is none of"},
      {"line 6", "names latency_seconds twice"},
      {"memory level=main bytes_per_second=RATE", "is missing"},
      {"link latency_seconds=SECONDS bytes_per_second=RATE", "is missing"}};
  ASSERT_EQ(told.size(), expected.size()) << testing::PrintToString(told);
  for (std::size_t i = 0; i < told.size(); ++i)
    EXPECT_TRUE(told[i].starts_with(expected[i].first + ": " + expected[i].second)) << told[i];
  EXPECT_EQ(violations_of("").size(), 3U) << "each statement that must be";
  EXPECT_EQ(violations_of("compute level= flops_per_second=1\n" + Machine::shipped().to_text()).size(), 1U);
  EXPECT_EQ(violations_of(std::string(sound) + "link").front().message, "stands a second time, after line 2");
  EXPECT_EQ(violations_of("compute call_seconds=0\n" + Machine::shipped().to_text()).size(), 2U);
}

/// A calibration on several ranks leaves more than a MiB.
TEST(Machine, OfManyKernelsIsReadFromAFile) {
  auto machine = parse(sound);
  for (std::int64_t n = 0; n < 8000; ++n)
    machine.kernels.push_back({.key = {.implementation = "cpu",
                                       .kernel = "linear+relu",
                                       .phase = "backward-parameters+add",
                                       .type = "float32",
                                       .layout = "nhwc",
                                       .shape = {n + 1, 1024, 4096}},
                               .runs = 40,
                               .median_seconds = 1.25e-5,
                               .lower_quartile_seconds = 1e-5,
                               .upper_quartile_seconds = 1.5e-5});
  const auto path =
      std::filesystem::temp_directory_path() / ("partita-large-machine-" + std::to_string(getpid()));
  std::ofstream(path) << machine.to_text();
  EXPECT_GT(std::filesystem::file_size(path), 1U << 20);
  std::vector<base::Violation> violations;
  EXPECT_EQ(Machine::read(path, "machine", violations), machine);
  EXPECT_TRUE(violations.empty());
  std::filesystem::remove(path);
}

TEST(Machine, ThatCannotBeReadSaysWhichOptionNamesIt) {
  const auto path = std::filesystem::temp_directory_path() / ("partita-machine-" + std::to_string(getpid()));
  std::ofstream(path) << sound;
  std::vector<base::Violation> violations;
  EXPECT_EQ(Machine::read(path, "machine", violations), parse(sound));
  EXPECT_TRUE(violations.empty());
  std::ofstream(path) << "compute\n";
  Machine::read(path, "machine", violations);
  ASSERT_EQ(violations.size(), 3U);
  EXPECT_EQ(violations[0].key, path.string() + ", line 1");
  std::filesystem::remove(path);
  violations.clear();
  EXPECT_EQ(Machine::read(path, "machine", violations), Machine::shipped());
  EXPECT_EQ(violations, (std::vector<base::Violation>{
                            {"machine", path.string(), "cannot be read: No such file or directory"}}));
}

}  // namespace
}  // namespace partita::machine
