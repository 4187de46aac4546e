/// The formats, each against a text written out by hand: two ranks compute, exchange a round of 8 bytes that
/// is added up beside what the core does, and wait for it.
#include "partita/predict/export.hpp"

#include <gtest/gtest.h>

#include "partita/machine/machine.hpp"

namespace partita::predict {
namespace {

std::vector<Task> tasks_of(int peer) {
  const Message half{.peer = peer, .bytes = kernels::Bytes(8), .core = 250'000};
  return {
      {.name = "forward fc", .compute = 1'500'400},
      {.name = "start", .after = {0}},
      {.name = "all-reduce gradient", .lane = 1, .sends = {half}, .receives = {half}, .tag = 7, .after = {1}},
      {.name = "addition", .lane = 1, .compute = 100'000, .after = {2}},
      {.name = "update", .compute = 400'000, .after = {1}},
      {.name = "wait", .after = {4, 3}}};
}

const Schedule two{tasks_of(1), tasks_of(0)};
const machine::Machine at_a_gigaflop{.flops_per_second = 1e9};

TEST(Export, Goal) {
  const std::string rank_0 =
      "l1: calc 1500 cpu 0\n"
      "l2: calc 0 cpu 0\n"
      "l2 requires l1\n"
      "l3: recv 8b from 1 tag 7 cpu 1\n"
      "l3 requires l2\n"
      "l4: send 8b to 1 tag 7 cpu 1\n"
      "l4 requires l2\n"
      "l5: calc 100 cpu 1\n"
      "l5 requires l3\n"
      "l5 requires l4\n"
      "l6: calc 400 cpu 0\n"
      "l6 requires l2\n"
      "l7: calc 0 cpu 0\n"
      "l7 requires l6\n"
      "l7 requires l5\n";
  auto rank_1 = rank_0;
  rank_1.replace(rank_1.find("from 1"), 6, "from 0").replace(rank_1.find("to 1"), 4, "to 0");
  EXPECT_EQ(texts_of(Format::goal, two, at_a_gigaflop).at(""),
            "num_ranks 2\n\nrank 0 {\n" + rank_0 + "}\n\nrank 1 {\n" + rank_1 + "}\n");
}

TEST(Export, Smpi) {
  const auto texts = texts_of(Format::smpi, two, at_a_gigaflop);
  EXPECT_EQ(texts.size(), 6U);
  EXPECT_EQ(texts.at("index.txt"),
            "rank-0.txt\nrank-1.txt\nrank-0-transfers-1.txt\nrank-1-transfers-1.txt\n");
  EXPECT_EQ(texts.at("hosts.txt"), "rank-0\nrank-1\nrank-0\nrank-1\n");
  EXPECT_EQ(texts.at("rank-1.txt"),
            "1 init\n1 compute 1500.4\n1 send 3 0 0\n1 compute 400\n1 recv 3 0 0\n1 finalize\n");
  EXPECT_EQ(texts.at("rank-1-transfers-1.txt"),
            "3 init\n3 recv 1 0 0\n3 irecv 2 7 8\n3 compute 250\n3 send 2 7 8\n3 wait 2 3 7\n3 compute 250\n"
            "3 compute 100\n3 send 1 0 0\n3 finalize\n");
}

/// Microseconds are rounded so that their sum is right: 1.5004 + 0 + 0.4 + 0 is 2.
TEST(Export, Chakra) {
  const auto texts = texts_of(Format::chakra, two, at_a_gigaflop);
  EXPECT_EQ(texts.size(), 2U);
  const std::string compute = "\"NodeType\": 4, \"is_cpu_op\": true, \"data_deps\": ";
  const std::string ends = "\"is_cpu_op\": false, \"data_deps\": [1], \"comm_size\": 8, \"comm_src\": ";
  EXPECT_EQ(texts.at("rank.0.json"),
            "{\"workload_graph\": [\n"
            "{\"Id\": 0, \"Name\": \"forward fc\", " +
                compute +
                "[], \"runtime\": 2},\n"
                "{\"Id\": 1, \"Name\": \"start\", " +
                compute +
                "[0], \"runtime\": 0},\n"
                "{\"Id\": 2, \"Name\": \"all-reduce gradient\", \"NodeType\": 6, " +
                ends +
                "1, \"comm_dst\": 0, \"comm_tag\": 7},\n"
                "{\"Id\": 3, \"Name\": \"all-reduce gradient\", \"NodeType\": 5, " +
                ends +
                "0, \"comm_dst\": 1, \"comm_tag\": 7},\n"
                "{\"Id\": 4, \"Name\": \"addition\", " +
                compute +
                "[2, 3], \"runtime\": 0},\n"
                "{\"Id\": 5, \"Name\": \"update\", " +
                compute +
                "[1], \"runtime\": 0},\n"
                "{\"Id\": 6, \"Name\": \"wait\", " +
                compute + "[5, 4], \"runtime\": 0}\n]}\n");
}

std::size_t count(const std::string& text, const std::string& part) {
  std::size_t n = 0;
  for (auto at = text.find(part); at != std::string::npos; at = text.find(part, at + 1))
    ++n;
  return n;
}

TEST(Export, APlatformHasTheLinksOfItsLevels) {
  std::vector<base::Violation> violations;
  const auto machine = machine::Machine::parse(
      "version schema=1\ncompute flops_per_second=1e9 call_seconds=0\nmemory level=main "
      "bytes_per_second=1e9\n"
      "link latency_seconds=1e-6 bytes_per_second=1e9\nlevel name=node ranks=2\nlevel name=cluster ranks=4\n"
      "topology level=cluster kind=crossbar link_bytes_per_second=2e9\n"
      "message level=node min_bytes=0 send_seconds=0 latency_seconds=5e-7 byte_seconds=0 receive_seconds=0\n"
      "message level=cluster min_bytes=0 send_seconds=0 latency_seconds=3e-6 byte_seconds=1e-9 "
      "receive_seconds=0\n"
      "message level=cluster min_bytes=4096 send_seconds=0 latency_seconds=2e-6 byte_seconds=0.5 "
      "receive_seconds=0 rendezvous=1\n",
      violations);
  ASSERT_TRUE(violations.empty()) << violations.front().key << violations.front().message;
  const auto text = platform_of(machine, 4);
  EXPECT_EQ(count(text, "<host id"), 4U);
  EXPECT_EQ(count(text, "<route src"), 16U);
  EXPECT_EQ(count(text, "sharing_policy=\"SHARED\""), 4U) << "each node's link, both ways";
  EXPECT_NE(text.find("send-is-detached-thresh\" value=\"4096\""), std::string::npos);
  EXPECT_NE(text.find("<link id=\"level-1\" bandwidth=\"2Bps\" latency=\"2e-06s\""), std::string::npos)
      << text;
  EXPECT_NE(text.find("src=\"rank-0\" dst=\"rank-1\" symmetrical=\"NO\"><link_ctn id=\"level-0\"/></route>"),
            std::string::npos);
  EXPECT_EQ(count(text, "<link_ctn id=\"level-1\"/><link_ctn id=\"link-"), 8U);
  EXPECT_EQ(count(text, "<link_ctn id=\"link-"), 16U);
}

}  // namespace
}  // namespace partita::predict
