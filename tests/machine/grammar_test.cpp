/// The statements of machine files beyond one rank and one link: read, written, and refused with all that is
/// wrong.
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "partita/machine/machine.hpp"

namespace partita::machine {
namespace {

using kernels::Bytes;
using Told = std::vector<std::string>;

const std::string rank =
    "compute flops_per_second=2e9\n"
    "memory level=main bytes_per_second=4e9\n"
    "link latency_seconds=1e-6 bytes_per_second=1e9\n";

const std::string whole = rank +
                          R"(version schema=1
provenance origin=measured host=alpha cpu="Some CPU @ 2.0 GHz \x23 2" date=2026-01-02 versions="a 1, b 2" load=0.1
memory bytes_per_second=3e9 active_ranks=2 level=main
cores number=32 yield_seconds=2e-6
cache bytes=1048576
cache bytes=49152
cache bytes=33554432 cores=8
level name=node ranks=64
level name=cluster
topology level=cluster kind=fat-tree extents=32x16 link_bytes_per_second=12.5e9 taper=2
topology level=node kind=crossbar link_bytes_per_second=5e9
message level=cluster min_bytes=8192 latency_seconds=4e-6 byte_seconds=1e-10 rendezvous=1
message level=cluster min_bytes=0 latency_seconds=3e-6 byte_seconds=2e-10 send_seconds=5e-7
message level=node min_bytes=0 send_seconds=1e-7 send_byte_seconds=1e-11 latency_seconds=2e-7 byte_seconds=3e-11 receive_seconds=4e-8 receive_byte_seconds=5e-11 gap_seconds=6e-8 rendezvous=0
window min_bytes=65536 stage_byte_seconds=1e-10 load_byte_seconds=2e-10 store_byte_seconds=3e-10
window min_bytes=0 stage_byte_seconds=4e-10 load_byte_seconds=5e-10 store_byte_seconds=6e-10
flag seconds=7e-8
overhead start_seconds=1e-6 wait_seconds=2e-6 poll_seconds=3e-7 step_seconds=4e-6
progress mode=polled
variance within_run=0.03 between_runs=0.02 between_ranks=0.01
slowdown of=others beside=messages factor=1.25
slowdown of=products beside=messages factor=1
checkpoint bytes_per_second=1e9 seconds=0.002
kernel implementation=cpu kernel=linear+relu phase=forward type=float32 shape=100x784x128 beyond=100x40x0 threads=2 active_ranks=3 runs=40 median_seconds=2e-4 lower_quartile_seconds=1e-4 upper_quartile_seconds=3e-4
kernel implementation=cpu kernel=combine type=float32 shape=5 runs=1 median_seconds=1e-6 lower_quartile_seconds=1e-6 upper_quartile_seconds=1e-6
)";

Machine parse(const std::string& text) {
  std::vector<base::Violation> violations;
  auto machine = Machine::parse(text, violations);
  for (const auto& violation : violations)
    ADD_FAILURE() << to_string(violation);
  return machine;
}

/// "line N: what", of a file that begins with the statements that must be there (three lines).
Told told_of(const std::string& rest) {
  std::vector<base::Violation> violations;
  Machine::parse(rank + rest, violations);
  Told told;
  for (const auto& violation : violations)
    told.push_back(violation.key + ": " + violation.message);
  return told;
}

void expect_told(const std::string& rest, const Told& expected) {
  const auto told = told_of(rest);
  ASSERT_EQ(told.size(), expected.size()) << testing::PrintToString(told);
  for (std::size_t i = 0; i < told.size(); ++i) {
    const auto gap = expected[i].find(" … ");
    EXPECT_TRUE(told[i].starts_with(expected[i].substr(0, gap))) << told[i] << "\nwanted " << expected[i];
    const auto ending = gap == std::string::npos ? "" : expected[i].substr(gap + std::string(" … ").size());
    EXPECT_TRUE(told[i].ends_with(ending)) << told[i] << "\nwanted " << expected[i];
  }
}

TEST(MachineFile, SaysAllThatAMachineHas) {
  const auto machine = parse(whole);
  EXPECT_EQ(machine.provenance,
            (Provenance{"measured", "alpha", "Some CPU @ 2.0 GHz # 2", "2026-01-02", "a 1, b 2", "0.1"}));
  EXPECT_EQ(machine.shared_memory, (std::vector<SharedMemory>{{2, 3e9}}));
  EXPECT_EQ(machine.cores, (Cores{32, 2e-6}));
  ASSERT_EQ(machine.levels.size(), 2U);
  EXPECT_EQ(machine.levels[0].name, "node");
  EXPECT_EQ(machine.levels[0].ranks, 64);
  EXPECT_EQ(machine.levels[0].protocols, (std::vector<Protocol>{{.min_bytes = Bytes(0),
                                                                 .send_seconds = 1e-7,
                                                                 .send_byte_seconds = 1e-11,
                                                                 .latency_seconds = 2e-7,
                                                                 .byte_seconds = 3e-11,
                                                                 .receive_seconds = 4e-8,
                                                                 .receive_byte_seconds = 5e-11,
                                                                 .gap_seconds = 6e-8,
                                                                 .rendezvous = false}}));
  EXPECT_EQ(machine.levels[0].topology, (Topology{"crossbar", {}, 5e9, 1}));
  EXPECT_EQ(machine.levels[1].topology, (Topology{"fat-tree", {32, 16}, 12.5e9, 2}));
  ASSERT_EQ(machine.levels[1].protocols.size(), 2U) << "by their bytes, in whatever order they stand";
  EXPECT_EQ(machine.levels[1].protocols[0].send_seconds, 5e-7);
  EXPECT_EQ(machine.levels[1].protocols[1].min_bytes, Bytes(8192));
  EXPECT_TRUE(machine.levels[1].protocols[1].rendezvous);
  EXPECT_EQ(machine.windows, (std::vector<WindowAccess>{{Bytes(0), 4e-10, 5e-10, 6e-10},
                                                        {Bytes(65536), 1e-10, 2e-10, 3e-10}}));
  EXPECT_EQ(machine.flag_seconds, 7e-8);
  EXPECT_EQ(machine.overheads, (Overheads{1e-6, 2e-6, 3e-7, 4e-6}));
  EXPECT_EQ(machine.progress, Progress::polled);
  EXPECT_EQ(machine.variance, (Variance{.within_run = 0.03, .between_runs = 0.02, .between_ranks = 0.01}));
  EXPECT_EQ(machine.slowdowns,
            (std::vector<Slowdown>{{"others", "messages", 1.25}, {"products", "messages", 1}}));
  EXPECT_EQ(machine.checkpoint, (Checkpoint{.bytes_per_second = 1e9, .seconds = 0.002}));
  EXPECT_DOUBLE_EQ(machine.checkpoint.seconds_for(Bytes(3'000'000)), 0.005);
  EXPECT_EQ(machine.caches,
            (std::vector<Cache>{{Bytes(49152), 1}, {Bytes(1 << 20), 1}, {Bytes(1 << 25), 8}}));
  ASSERT_EQ(machine.kernels.size(), 2U);
  EXPECT_EQ(machine.kernels[0],
            (KernelTime{{"cpu", "linear+relu", "forward", "float32", "", {100, 784, 128}, {100, 40, 0}, 2, 3},
                        40,
                        2e-4,
                        1e-4,
                        3e-4}));
  EXPECT_EQ(machine.kernels[1].key, (KernelKey{"cpu", "combine", "", "float32", "", {5}, {}, 1, 1}));
}

/// What one machine has that others need not goes to the end of theirs, and once only.
TEST(MachineFile, TakesTheOptionalStatementsOfAnother) {
  auto machine = parse(whole);
  EXPECT_EQ(machine.optional_text().find("compute"), std::string::npos);
  const auto joined = parse(rank + machine.optional_text());
  machine.provenance = {};
  EXPECT_EQ(joined, machine);
  machine.caches.clear();
  for (auto& kernel : machine.kernels)
    kernel.key.beyond.clear();
  const auto told = told_of(machine.optional_text() + "flag seconds=1\n" + machine.optional_text());
  const auto lines = static_cast<std::size_t>(std::ranges::count(machine.optional_text(), '\n'));
  EXPECT_EQ(told.size(), lines + 1) << "each of them a second time";
  for (const auto& line : told)
    EXPECT_NE(line.find("stands a second time, after line "), std::string::npos) << line;
}

TEST(MachineFile, IsWrittenAsItIsRead) {
  const auto machine = parse(whole);
  EXPECT_EQ(parse(machine.to_text()), machine);
  EXPECT_EQ(parse(machine.to_text()).to_text(), machine.to_text());
  EXPECT_TRUE(machine.to_text().starts_with("version schema=1\n"));
}

/// Results of earlier versions name machines by their hash.
TEST(MachineFile, OfEarlierVersionsKeepsItsTextAndHash) {
  EXPECT_EQ(parse(rank).to_text(),
            "compute flops_per_second=2e+09 call_seconds=0\n"
            "memory level=main bytes_per_second=4e+09\n"
            "link latency_seconds=1e-06 bytes_per_second=1e+09\n");
  EXPECT_EQ(parse(rank + "version schema=1\nflag seconds=0\nprogress mode=independent\noverhead\n").hash(),
            parse(rank).hash());
}

/// Each statement changes the text: nothing is lost on the way.
TEST(MachineFile, HasAHashOfItsOwnForEachStatement) {
  std::set<std::string> hashes{parse(rank).hash()};
  Machine machine = parse(rank);
  const auto differs = [&] { return hashes.insert(machine.hash()).second; };
  machine.provenance.origin = "described";
  EXPECT_TRUE(differs());
  machine.shared_memory.push_back({2, 1e9});
  EXPECT_TRUE(differs());
  machine.cores.number = 2;
  EXPECT_TRUE(differs());
  machine.cores.yield_seconds = 1e-6;
  EXPECT_TRUE(differs());
  machine.levels.push_back({.name = "node", .protocols = {{}}});
  EXPECT_TRUE(differs());
  machine.levels[0].topology = {"rails", {8}, 1e9, 1};
  EXPECT_TRUE(differs());
  machine.levels[0].protocols[0].gap_seconds = 1e-6;
  EXPECT_TRUE(differs());
  machine.windows.push_back({});
  EXPECT_TRUE(differs());
  machine.flag_seconds = 1e-6;
  EXPECT_TRUE(differs());
  machine.overheads.poll_seconds = 1e-6;
  EXPECT_TRUE(differs());
  machine.progress = Progress::polled;
  EXPECT_TRUE(differs());
  machine.variance.between_ranks = 0.1;
  EXPECT_TRUE(differs());
  machine.slowdowns.push_back({"others", "messages", 1});
  EXPECT_TRUE(differs());
  machine.slowdowns[0].factor = 1.5;
  EXPECT_TRUE(differs());
  machine.checkpoint.bytes_per_second = 1e9;
  EXPECT_TRUE(differs());
  machine.kernels.push_back({.key = {.kernel = "relu", .shape = {3}}});
  EXPECT_TRUE(differs());
}

TEST(MachineFile, TakesAnyTextInQuotationMarks) {
  auto machine = parse(rank);
  machine.provenance.origin = "described";
  for (const std::string text :
       {"two words", "a \"quoted\" one", "# no comment", "back\\slash", "\\x41", "\\", "line\nbreak", "tab\t",
        "=", "caf\xc3\xa9", "\xff", " ", "a=\"b", "\\\"#\\x22"}) {
    machine.provenance.cpu = text;
    EXPECT_EQ(parse(machine.to_text()).provenance.cpu, text);
  }
}

TEST(MachineFile, NamesTheNearestWord) {
  expect_told("mesage level=node min_bytes=0\n", {"line 4: is none of: … ; the nearest is message"});
  expect_told("memory level=cahce bytes_per_second=1\n",
              {"line 4: is none of: memory level=main … ; the nearest is cache"});
  expect_told("flag second=1e-6\n",
              {"line 4: has no seconds", "line 4: knows no second: … ; the nearest is seconds"});
  expect_told("progress mode=poled\n", {"line 4: mode must be independent or polled; the nearest is polled"});
  expect_told("provenance origin=guessed\n", {"line 4: origin must be measured or described"});
  expect_told(
      "level name=node\nmessage level=node min_bytes=0 latency_seconds=0 byte_seconds=0\n"
      "message level=nodes min_bytes=0 latency_seconds=0 byte_seconds=0\n",
      {"line 6: is of a level that no line names: level=nodes; the nearest is node"});
}

TEST(MachineFile, RefusesFiguresThatCannotBe) {
  expect_told("level name=node ranks=0\n", {"line 4: ranks must be a whole number from 1"});
  expect_told(
      "level name=n\nmessage level=n min_bytes=-1 latency_seconds=inf byte_seconds=nan rendezvous=yes\n",
      {"line 5: min_bytes must be a whole number from 0", "line 5: latency_seconds must be a number",
       "line 5: byte_seconds must be a number", "line 5: rendezvous must be 0 or 1"});
  expect_told("window min_bytes=0 stage_byte_seconds=-1 load_byte_seconds=1e-9\n",
              {"line 4: stage_byte_seconds must be a number from 0", "line 4: has no store_byte_seconds"});
  expect_told("cores number=0 yield_seconds=-1\n", {"line 4: number must be a whole number from 1",
                                                    "line 4: yield_seconds must be a number from 0"});
  expect_told("cores number=1 yield_seconds=1001\n",
              {"line 4: yield_seconds must be a number from 0 to 1000"});
  expect_told("cores yield_second=1e-6\ncores number=2\n",
              {"line 4: has no number", "line 4: knows no yield_second … the nearest is yield_seconds",
               "line 5: stands a second time"});
  expect_told(
      "flag seconds=-1\noverhead poll_seconds=soon\nmemory level=main active_ranks=0 bytes_per_second=0\n",
      {"line 4: seconds must be", "line 5: poll_seconds must be",
       "line 6: active_ranks must be a whole number from 1",
       "line 6: bytes_per_second must be a number above 0"});
  const std::string kernel = "kernel implementation=cpu kernel=relu type=float32 ";
  expect_told(kernel + "shape=3x runs=0 median_seconds=1 lower_quartile_seconds=1\n",
              {"line 4: shape must be whole numbers", "line 4: runs must be a whole number from 1",
               "line 4: has no upper_quartile_seconds"});
  expect_told(kernel + "shape=3 runs=1 median_seconds=1 lower_quartile_seconds=2 upper_quartile_seconds=3\n",
              {"line 4: must have lower_quartile_seconds ≤ median_seconds ≤ upper_quartile_seconds"});
  expect_told(kernel + "shape=3 runs=1 median_seconds=0 lower_quartile_seconds=0 upper_quartile_seconds=3\n",
              {"line 4: median_seconds must be above 0"});
  const std::string times = " runs=1 median_seconds=1 lower_quartile_seconds=1 upper_quartile_seconds=1\n";
  expect_told("kernel implementation=cpuu kernel=gem phase=forwrd type=flot32 layout=nchv shape=4" + times,
              {"line 4: implementation must be cpu or reference or cuda; the nearest is cpu",
               "line 4: kernel must be linear or conv", "line 4: phase must be forward",
               "line 4: type must be float32 or float64; the nearest is float32",
               "line 4: layout must be nchw or nhwc; the nearest is nch"});
  expect_told("kernel implementation=cpu kernel=linear+rellu phase=forward type=float32 shape=4" + times,
              {"line 4: kernel what follows a '+' must be relu or plain or running; the nearest is relu"});
  expect_told("provenance origin=described cpu=\"no end\n",
              {"line 4: has a quotation mark that none closes"});
}

TEST(MachineFile, RefusesLevelsThatDoNotGrowOutward) {
  const auto messages = [](const std::string& name) {
    return "message level=" + name + " min_bytes=0 latency_seconds=0 byte_seconds=0\n";
  };
  expect_told("level name=a ranks=8\nlevel name=b ranks=8\n" + messages("a") + messages("b"),
              {"line 5: must hold more ranks than level a inside it"});
  expect_told("level name=a\nlevel name=b ranks=8\n" + messages("a") + messages("b"),
              {"line 5: must hold more ranks than level a inside it"});
  expect_told("level name=a ranks=8\nlevel name=b ranks=12\n" + messages("a") + messages("b"),
              {"line 5: must hold a whole number of units of level a; the nearest is ranks=16"});
}

TEST(MachineFile, RefusesTopologiesThatDoNotFit) {
  const std::string level =
      "level name=a ranks=8\nmessage level=a min_bytes=0 latency_seconds=0 byte_seconds=0\n";
  const auto refused = [&](const std::string& rest, const std::string& why) {
    expect_told(level + "topology level=a link_bytes_per_second=1 " + rest + "\n", {"line 6: " + why});
  };
  refused("kind=torus extents=8", "must have 2 to 3 extents, a torus");
  refused("kind=torus extents=3x2", "joins fewer units than its level has, which are 8");
  refused("kind=dragonfly extents=2x2", "must have 3 extents, a dragonfly");
  refused("kind=crossbar extents=8", "must have 0 extents, a crossbar");
  refused("kind=rails extents=0", "must have extents from 1");
  refused("kind=fat-tree extents=9007199254740992x2", "must join fewer units");
  refused("kind=fat-tree extents=4 taper=0", "taper must be a number above 0");
  refused("kind=fattree extents=4", "kind must be crossbar or fat-tree … ; the nearest is fat-tree");
  expect_told(level + "topology level=b kind=crossbar link_bytes_per_second=1\n",
              {"line 6: is of a level that no line names: level=b"});
  expect_told(level +
                  "topology level=a kind=crossbar link_bytes_per_second=1\n"
                  "topology level=a kind=rails extents=2 link_bytes_per_second=1\n",
              {"line 7: stands a second time"});
}

TEST(MachineFile, RefusesProtocolsWithoutOneFromZeroBytes) {
  expect_told("level name=a\nmessage level=a min_bytes=1 latency_seconds=0 byte_seconds=0\n",
              {"line 4: has no message level=a min_bytes=0"});
  expect_told("level name=a\n", {"line 4: has no message level=a min_bytes=0"});
  expect_told("window min_bytes=1 stage_byte_seconds=0 load_byte_seconds=0 store_byte_seconds=0\n",
              {"line 4: needs another with min_bytes=0"});
}

TEST(MachineFile, RefusesWhatNoCacheCanBe) {
  const std::string kernel = "kernel implementation=cpu kernel=relu type=float32 shape=3 runs=1 ",
                    times = " median_seconds=1 lower_quartile_seconds=1 upper_quartile_seconds=1\n",
                    caches = "cache bytes=1\ncache bytes=2\n";
  const std::string why = "beyond must have a number from 0 to 100 for each of the ";
  expect_told("cache bytes=0\n", {"line 4: bytes must be a whole number from 1, such as 1048576"});
  expect_told("cache bytes=1\ncache bytes=1\n", {"line 5: stands a second time"});
  expect_told("cache cores=2\n", {"line 4: has no bytes: cache bytes=BYTES [cores=NUMBER]"});
  expect_told(caches + kernel + "beyond=100x101" + times, {"line 6: " + why + "2 caches of the file"});
  expect_told(caches + kernel + "beyond=100" + times, {"line 6: " + why + "2 caches of the file"});
  expect_told(kernel + "beyond=0" + times, {"line 4: " + why + "0 caches of the file"});
  expect_told(caches + kernel + "beyond=10x0" + times + kernel + times, {});
}

TEST(MachineFile, RefusesScatterSlowdownsAndCheckpointsThatCannotBe) {
  const std::string deviation = " must be a number from 0 to 2, such as 0.05";
  expect_told("variance within_run=-0.1 between_runs=2.5 between_rank=0.1\n",
              {"line 4: within_run" + deviation, "line 4: between_runs" + deviation,
               "line 4: knows no between_rank: … ; the nearest is between_ranks"});
  expect_told("variance within_run=0.1\nvariance within_run=0.1\n",
              {"line 5: stands a second time, after line 4"});
  expect_told("slowdown of=product beside=message factor=0.9\n",
              {"line 4: of must be products or others; the nearest is products",
               "line 4: beside must be messages; the nearest is messages",
               "line 4: factor must be a number from 1, such as 1.2"});
  expect_told("slowdown of=others beside=messages\n", {"line 4: has no factor: slowdown of=products|others"});
  const std::string slowdown = "slowdown of=others beside=messages factor=";
  expect_told(slowdown + "1.5\n" + slowdown + "2\n", {"line 5: stands a second time, after line 4"});
  expect_told(
      "checkpoint bytes_per_second=0 seconds=-1\n",
      {"line 4: bytes_per_second must be a number above 0", "line 4: seconds must be a number from 0"});
  expect_told("checkpoint seconds=1\n", {"line 4: has no bytes_per_second"});
}

TEST(MachineFile, RefusesASecondOfTheSameRow) {
  const std::string window =
      "window min_bytes=0 stage_byte_seconds=0 load_byte_seconds=0 store_byte_seconds=0\n";
  expect_told(window + window, {"line 5: stands a second time"});
  expect_told("flag seconds=1\nflag seconds=1\n", {"line 5: stands a second time"});
  expect_told(
      "memory level=main bytes_per_second=1 active_ranks=2\nmemory level=main active_ranks=2 "
      "bytes_per_second=5\n",
      {"line 5: stands a second time"});
  const std::string message = "message level=a min_bytes=0 latency_seconds=0 byte_seconds=0\n";
  expect_told("level name=a ranks=2\n" + message + message + "level name=a ranks=4\n",
              {"line 6: stands a second time", "line 7: stands a second time"});
  const std::string kernel = "kernel implementation=cpu kernel=relu type=float32 shape=3 runs=1 ",
                    times = "median_seconds=1 lower_quartile_seconds=1 upper_quartile_seconds=1\n";
  expect_told(kernel + times + kernel + "threads=2 " + times + kernel + "threads=1 " + times,
              {"line 6: stands a second time"});
}

TEST(MachineFile, RefusesAnotherSchema) {
  expect_told("version schema=2\n", {"line 4: is of another version: schema must be 1"});
  expect_told("version\n", {"line 4: has no schema"});
}

/// Machines that ship say whether they were measured, and a message takes longer the farther it goes.
TEST(MachineFile, ThatShipsIsSound) {
  for (const std::string name : {"fat-tree", "gpu-cluster"}) {
    std::vector<base::Violation> violations;
    const auto machine = Machine::read(INPUTS "/machines/" + name + ".machine", "machine", violations);
    for (const auto& violation : violations)
      ADD_FAILURE() << to_string(violation);
    EXPECT_EQ(machine.provenance.origin, "described");
    EXPECT_EQ(machine.levels.size(), 2U);
    const int outside = static_cast<int>(machine.levels[0].ranks);
    for (const std::int64_t bytes : {0, 1 << 10, 1 << 20, 1 << 30}) {
      const auto near = machine.message(0, 1, Bytes(bytes)), far = machine.message(0, outside, Bytes(bytes));
      EXPECT_LT(near.send + near.latency + near.bytes + near.receive,
                far.send + far.latency + far.bytes + far.receive)
          << name << ' ' << bytes;
    }
    EXPECT_GT(machine.window(Bytes(1 << 20), Bytes(1 << 20), Bytes(0)).access, 0);
    EXPECT_TRUE(check_ranks(machine, 65536).empty());
    EXPECT_FALSE(check_ranks(machine, 1 << 20).empty());
  }
}

TEST(MachineFile, HoldsSoManyRanks) {
  EXPECT_TRUE(check_ranks(parse(rank), 1 << 20).empty()) << "without levels nobody counts";
  EXPECT_TRUE(check_ranks(parse(whole), 1 << 20).empty()) << "the outermost has all";
  const auto machine = parse(rank +
                             "level name=node ranks=64\n"
                             "message level=node min_bytes=0 latency_seconds=0 byte_seconds=0\n");
  EXPECT_TRUE(check_ranks(machine, 64).empty());
  EXPECT_EQ(
      check_ranks(machine, 65),
      (std::vector<base::Violation>{
          {"ranks", "65", "is more than the machine holds: its level node has 64, which is the nearest"}}));
}

}  // namespace
}  // namespace partita::machine
