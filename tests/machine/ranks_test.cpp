/// Ranks that are another machine: read from the lines behind and from files, written, and refused.
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <map>
#include <set>

#include "partita/machine/machine.hpp"

namespace partita::machine {
namespace {

using kernels::Bytes;
using Told = std::vector<std::string>;

const std::string own =
    "compute flops_per_second=2e9\n"
    "memory level=main bytes_per_second=4e9\n"
    "link latency_seconds=1e-6 bytes_per_second=1e9\n";
const std::string fast =
    "compute flops_per_second=8e9\n"
    "memory level=main bytes_per_second=9e9\n"
    "cache bytes=1024\n"
    "window min_bytes=0 stage_byte_seconds=1e-9 load_byte_seconds=2e-9 store_byte_seconds=3e-9\n"
    "overhead wait_seconds=5e-6\n"
    "progress mode=polled\n"
    "kernel implementation=cpu kernel=relu type=float32 shape=3 beyond=7 runs=1 median_seconds=1e-6 "
    "lower_quartile_seconds=1e-6 upper_quartile_seconds=1e-6\n";
const std::string cluster =
    "level name=all ranks=16\nmessage level=all min_bytes=0 latency_seconds=3e-6 byte_seconds=0\n";

/// A folder of its own for the files of a test.
class Folder {
 public:
  Folder() {
    std::string name = testing::TempDir() + "/ranks-XXXXXX";
    path_ = ::mkdtemp(name.data());
  }
  ~Folder() { std::filesystem::remove_all(path_); }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;

  std::filesystem::path write(const std::string& name, const std::string& text) const {
    std::filesystem::create_directories((path_ / name).parent_path());
    std::ofstream(path_ / name) << text;
    return path_ / name;
  }

 private:
  std::filesystem::path path_;
};

Machine expect_sound(const Machine& machine, const std::vector<base::Violation>& violations) {
  for (const auto& violation : violations)
    ADD_FAILURE() << to_string(violation);
  return machine;
}

Machine parse(const std::string& text) {
  std::vector<base::Violation> violations;
  auto machine = Machine::parse(text, violations);
  return expect_sound(machine, violations);
}

Machine read(const std::filesystem::path& path) {
  std::vector<base::Violation> violations;
  auto machine = Machine::read(path, "machine", violations);
  return expect_sound(machine, violations);
}

Told told_of(const std::vector<base::Violation>& violations) {
  Told told;
  for (const auto& violation : violations)
    told.push_back(violation.key + ": " + violation.message);
  return told;
}

Told told_of(const std::string& text) {
  std::vector<base::Violation> violations;
  Machine::parse(text, violations);
  return told_of(violations);
}

TEST(Ranks, AreWhatStandsBehindTheirLine) {
  const auto machine =
      parse(own + cluster + "ranks first=4 last=7 name=fast\n" + fast + "ranks last=0 first=0\n" +
            "memory level=main bytes_per_second=1\ncompute flops_per_second=1\n");
  ASSERT_EQ(machine.parts.size(), 2U);
  EXPECT_EQ(machine.parts[0].first, 0) << "in order of ranks";
  EXPECT_EQ(machine.parts[1].name, "fast");
  for (const auto& [rank, part] :
       std::map<int, int>{{0, 1}, {1, 0}, {3, 0}, {4, 2}, {7, 2}, {8, 0}, {900, 0}})
    EXPECT_EQ(machine.part_of(rank), part) << rank;
  EXPECT_EQ(machine.of_rank(3).flops_per_second, 2e9);
  const auto& of_fast = machine.of_rank(5);
  EXPECT_EQ(of_fast.flops_per_second, 8e9);
  EXPECT_EQ(of_fast.main_bytes_per_second, 9e9);
  EXPECT_EQ(of_fast.overheads.wait_seconds, 5e-6);
  EXPECT_EQ(of_fast.progress, Progress::polled);
  EXPECT_EQ(of_fast.kernels.size(), 1U);
  EXPECT_EQ(machine.progress, Progress::independent);
  EXPECT_EQ(machine.message(5, 3, Bytes(8)).latency, 3'000'000) << "one network";
  EXPECT_EQ(machine.combine(Bytes(1000), 2), 2'000'000);
  EXPECT_EQ(machine.combine(Bytes(1000), 1), 0) << "nobody says how long";
  EXPECT_EQ(machine.window(Bytes(1000), Bytes(0), Bytes(0), 2).stage, 1'000'000);
  EXPECT_EQ(machine.window(Bytes(1000), Bytes(0), Bytes(0), 2).flag, 1'000'000) << "by the link, as others'";
  EXPECT_EQ(machine.window(Bytes(1), Bytes(1), Bytes(1), 1).access,
            machine.window(Bytes(1), Bytes(1), Bytes(1)).access);
}

/// A job whose ranks all have windows of their own need not have some, but its flags hold.
TEST(Ranks, SeeTheFlagsOfTheJobWhoeverHasWindows) {
  const auto machine = parse(own + "flag seconds=7e-6\nranks first=0 last=1\n" + fast);
  for (const int part : {0, 1})
    EXPECT_EQ(machine.window(Bytes(8), Bytes(8), Bytes(8), part).flag, 7'000'000) << part;
  EXPECT_EQ(parse(own).window(Bytes(8), Bytes(8), Bytes(8)).flag, 1'000'000) << "by the link";
  const auto nodes = read(INPUTS "/machines/epyc-512-nodes.machine");
  EXPECT_EQ(nodes.window(Bytes(8), Bytes(8), Bytes(8), 1).flag, 60'000);
}

TEST(Ranks, AreThoseOfAJob) {
  const auto machine = parse(
      own + "level name=node ranks=4\nmessage level=node min_bytes=0 latency_seconds=0 byte_seconds=0\n" +
      "level name=all\nmessage level=all min_bytes=0 latency_seconds=0 byte_seconds=0\n" +
      "ranks first=1 last=2\n" + fast + "ranks first=6 last=11 name=slow\n" + fast);
  EXPECT_EQ(parts_in(machine, 1), (std::vector<int>{0}));
  EXPECT_EQ(parts_in(machine, 6), (std::vector<int>{0, 1}));
  EXPECT_EQ(parts_in(machine, 7), (std::vector<int>{0, 1, 2}));
  EXPECT_EQ(most_on_node(machine, 0, 12), 2);
  EXPECT_EQ(most_on_node(machine, 1, 12), 2);
  EXPECT_EQ(most_on_node(machine, 1, 2), 1);
  EXPECT_EQ(most_on_node(machine, 2, 12), 4);
  EXPECT_EQ(most_on_node(machine, 2, 9), 2);
  EXPECT_FALSE(polls(machine, 1));
  EXPECT_TRUE(polls(machine, 2));
  EXPECT_EQ(text_of_parts(machine, 14),
            "0 as the file says, 1-2 part 1, 3-5 as the file says, 6-11 slow, 12-13 as the file says");
  EXPECT_EQ(text_of_parts(machine, 7), "0 as the file says, 1-2 part 1, 3-5 as the file says, 6 slow");
  EXPECT_EQ(text_of_parts(parse(own), 7), "");
  EXPECT_EQ(parts_in(parse(own + "ranks first=0 last=3\n" + fast), 4), (std::vector<int>{1}))
      << "all of them";
}

TEST(Ranks, AreReadFromFilesBesideTheirOwn) {
  const Folder folder;
  folder.write("fast.machine", fast + own.substr(own.find("link")) + "flag seconds=5\ncores number=3\n" +
                                   "variance within_run=1\ncheckpoint bytes_per_second=1\n" + cluster);
  const auto path = folder.write("job.machine", "ranks file=fast.machine first=4 last=7\n" + own + cluster);
  const auto machine = read(path);
  EXPECT_EQ(machine, parse(own + cluster + "ranks first=4 last=7 name=fast\n" + fast))
      << "without its network, and what else is the job's";
  folder.write("machines/quick.machine", fast + own.substr(own.find("link")));
  const auto elsewhere = read(
      folder.write("other.machine", own + cluster + "ranks first=4 last=7 file=machines/quick.machine\n"));
  EXPECT_EQ(elsewhere.parts[0].name, "quick");
  EXPECT_NE(elsewhere, machine);
  EXPECT_EQ(elsewhere.hash(), machine.hash()) << "wherever files lie, and whatever they are called";
}

TEST(Ranks, AreWrittenAsTheyAreRead) {
  auto machine =
      parse(own + cluster + "ranks first=4 last=7 name=\"a b\"\n" + fast + "ranks first=0 last=0\n" + fast);
  EXPECT_EQ(parse(machine.to_text()), machine);
  EXPECT_TRUE(machine.to_text().starts_with("version schema=1\n"));
  std::set<std::string> hashes{machine.hash(), parse(own + cluster).hash()};
  EXPECT_EQ(hashes.size(), 2U);
  machine.parts[1].machine.overheads.start_seconds = 1;
  EXPECT_TRUE(hashes.insert(machine.hash()).second);
  machine.parts[1].last = 8;
  EXPECT_TRUE(hashes.insert(machine.hash()).second);
  machine.parts.erase(machine.parts.begin());
  EXPECT_TRUE(hashes.insert(machine.hash()).second);
}

TEST(Ranks, ThatCannotBeAreRefusedAllAtOnce) {
  const std::string figures = "compute flops_per_second=1\nmemory level=main bytes_per_second=1\n";
  const auto refused = [&](const std::string& lines, const Told& expected) {
    EXPECT_EQ(told_of(own + cluster + lines), expected) << lines;
  };
  const std::string form = "ranks first=RANK last=RANK [name=TEXT] [file=TEXT]";
  refused("ranks first=-1 last=x\n" + figures, {"line 6: first must be a rank from 0, such as 4",
                                                "line 6: last must be a rank from 0, such as 4"});
  refused("ranks first=3\n" + figures, {"line 6: has no last: " + form});
  refused("ranks first=3 last=2\n" + figures,
          {"line 6: last must not be below first; the nearest is last=3"});
  refused("ranks first=3 last=16\n" + figures,
          {"line 6: has ranks beyond those that level all holds; the nearest is last=15"});
  refused("ranks first=0 last=9\n" + figures + "ranks first=9 last=11\n" + figures +
              "ranks first=4 last=5\n" + figures,
          {"line 12: has ranks that line 6 has, too; the nearest is first=10",
           "line 9: has ranks that line 6 has, too; the nearest is first=10"});
  refused("ranks first=0 last=9\n", {"line 6: needs file=TEXT, or behind it what is said of these ranks"});
  refused(
      "ranks first=0 last=9\ncompute flops_per_second=1\nflag seconds=1\nrank first=1\n",
      {"line 8: holds for all ranks: it stands before the first ranks line",
       "line 9: is none of: " + told_of("rank\n").front().substr(std::string("line 1: is none of: ").size()),
       "line 6: has no memory level=main bytes_per_second=RATE behind it"});
  for (const std::string line :
       {"cores number=1", "variance within_run=0.1", "checkpoint bytes_per_second=1", "version schema=1"})
    refused("ranks first=0 last=9\n" + figures + line + "\n",
            {"line 9: holds for all ranks: it stands before the first ranks line"});
  refused("ranks first=0 last=9 file=fast.machine\n",
          {"line 6: names a file, which only a machine file can"});
}

TEST(Ranks, OfFilesThatCannotBeAreRefusedAllAtOnce) {
  const Folder folder;
  folder.write("fast.machine", fast + own.substr(own.find("link")));
  const auto wrong =
      folder.write("wrong.machine", "compute flops_per_second=0\n" + own.substr(own.find("memory")) +
                                        "ranks first=0 last=1 file=fast.machine\n");
  const auto path = folder.write("job.machine", own + cluster + "ranks first=0 last=1 file=fats.machine\n" +
                                                    "ranks first=2 last=3 file=wrong.machine\n");
  std::vector<base::Violation> violations;
  EXPECT_EQ(Machine::read(path, "machine", violations), Machine::shipped());
  const auto at = path.string() + ", ", in = at + wrong.string() + ", ";
  EXPECT_EQ(
      told_of(violations),
      (Told{
          at + "line 6: there is no file " + path.parent_path().string() +
              "/fats.machine; the nearest is fast.machine",
          in + "line 1: flops_per_second must be a number above 0, such as 10e9",
          in + "line 4: stands in a file whose machine ranks of another are: that one must name all files"}));
}

TEST(Ranks, OfTheMachineThatShipsAreSound) {
  const auto machine = read(INPUTS "/machines/cpu-beside-gpu.machine");
  EXPECT_EQ(machine.provenance.origin, "described");
  EXPECT_EQ(text_of_parts(machine, 8), "0-3 gpu, 4-7 as the file says");
  EXPECT_GT(machine.of_rank(0).flops_per_second, 10 * machine.of_rank(4).flops_per_second);
  EXPECT_GT(machine.of_rank(0).main_bytes_per_second, 10 * machine.of_rank(4).main_bytes_per_second);
}

}  // namespace
}  // namespace partita::machine
