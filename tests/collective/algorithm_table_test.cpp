/// The table from which `automatic` chooses: what it says is what is chosen, and what is wrong in it is
/// named.
#include "partita/collective/algorithm_table.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

namespace partita::collective {
namespace {

constexpr const char* sound = R"(# a comment
reach=window ranks=2 bytes=any algorithm=window
reach=node ranks=4 bytes=any algorithm=ring        # listed before 2 on purpose
reach=node ranks=2 bytes=any algorithm=mpi
reach=node ranks=2 bytes=100 algorithm=window
reach=mixed ranks=4 bytes=any algorithm=hierarchical
reach=spread ranks=2 bytes=any algorithm=halving-doubling
)";

AlgorithmTable parse(std::string_view text) {
  std::vector<base::Violation> violations;
  auto table = AlgorithmTable::parse(text, violations);
  EXPECT_TRUE(violations.empty()) << to_string(violations.front());
  return table;
}

std::vector<base::Violation> violations_of(std::string_view text) {
  std::vector<base::Violation> violations;
  AlgorithmTable::parse(text, violations);
  return violations;
}

TEST(AlgorithmTable, chooses_by_reach_then_ranks_then_bytes) {
  const auto table = parse(sound);
  EXPECT_EQ(table.choose(Reach::node, 2, Bytes(0)), Algorithm::window);
  EXPECT_EQ(table.choose(Reach::node, 2, Bytes(100)), Algorithm::window);
  EXPECT_EQ(table.choose(Reach::node, 2, Bytes(101)), Algorithm::mpi);
  EXPECT_EQ(table.choose(Reach::node, 3, Bytes(101)), Algorithm::mpi) << "the next lower listed count";
  EXPECT_EQ(table.choose(Reach::node, 4, Bytes(1)), Algorithm::ring);
  EXPECT_EQ(table.choose(Reach::node, 1000, Bytes(1)), Algorithm::ring);
  EXPECT_EQ(table.choose(Reach::node, 1, Bytes(1)), Algorithm::window)
      << "below all listed counts the lowest";
  EXPECT_EQ(table.choose(Reach::mixed, 3, Bytes(1)), Algorithm::hierarchical);
  EXPECT_EQ(table.choose(Reach::spread, 9, Bytes(1) * (std::int64_t{1} << 40)), Algorithm::halving_doubling);
}

TEST(AlgorithmTable, shipped_rules_are_possible_wherever_they_are_chosen) {
  const auto& table = AlgorithmTable::shipped();
  for (const Reach reach : all_reaches)
    for (const int ranks : {1, 2, 3, 4, 5, 8, 64, 4096})
      for (const std::int64_t bytes : {0L, 4L, 4096L, 1L << 20, 1L << 40}) {
        const auto those = candidates(reach);
        EXPECT_NE(std::find(those.begin(), those.end(), table.choose(reach, ranks, Bytes(bytes))),
                  those.end());
      }
}

TEST(AlgorithmTable, text_and_hash_do_not_depend_on_order_or_comments) {
  const auto table = parse(sound), again = parse(table.to_text());
  EXPECT_TRUE(
      std::equal(table.rules().begin(), table.rules().end(), again.rules().begin(), again.rules().end()));
  EXPECT_EQ(table.hash(), again.hash());
  EXPECT_NE(table.hash(), AlgorithmTable::shipped().hash());
}

TEST(AlgorithmTable, new_rules_replace_those_of_their_reach_and_ranks_only) {
  const AlgorithmRule rule{.reach = Reach::node, .ranks = 2, .algorithm = Algorithm::ring};
  const auto table = parse(sound).with({&rule, 1});
  EXPECT_EQ(table.choose(Reach::node, 2, Bytes(1)), Algorithm::ring);
  EXPECT_EQ(table.choose(Reach::window, 2, Bytes(1)), Algorithm::window);
  EXPECT_EQ(table.rules().size(), 5U);
}

TEST(AlgorithmTable, names_every_wrong_line) {
  const auto wrong = violations_of(
      "reach=moon ranks=2 bytes=any algorithm=ring\n\nreach=node ranks=0 bytes=any algorithm=ring\n"
      "reach=node ranks=2 bytes=-1 algorithm=ring\nreach=spread ranks=2 bytes=any algorithm=window\n"
      "reach=node ranks=2 ranks=2 bytes=any algorithm=ring\nreach=node ranks=2 bytes=any algorithm=ring "
      "extra=1\n");
  ASSERT_EQ(wrong.size(), 6U);
  EXPECT_EQ(wrong[0].key, "line 1");
  EXPECT_EQ(wrong[1].key, "line 3");
}

TEST(AlgorithmTable, is_read_whatever_editor_wrote_it) {
  const auto path = std::filesystem::temp_directory_path() / ("partita-table-" + std::to_string(getpid()));
  const auto read = [&](const std::string& bytes, std::vector<base::Violation>& violations) {
    std::ofstream(path, std::ios::binary) << bytes;
    return AlgorithmTable::read(path, "sync.table", violations);
  };
  std::string carriage_returns = "\xEF\xBB\xBF";
  for (const char c : std::string(sound))
    carriage_returns += c == '\n' ? std::string("\r\n") : std::string(1, c);
  std::vector<base::Violation> violations;
  EXPECT_EQ(read(carriage_returns, violations).hash(), read(std::string(sound), violations).hash());
  EXPECT_TRUE(violations.empty());
  read("\xFF\xFEr", violations);
  ASSERT_EQ(violations.size(), 1U);
  EXPECT_NE(violations[0].message.find("UTF-16"), std::string::npos);
  std::filesystem::remove(path);
}

TEST(AlgorithmTable, needs_every_reach_and_an_end_for_each_rank_count) {
  EXPECT_EQ(violations_of("").size(), 4U);
  EXPECT_EQ(violations_of(std::string(sound) + "reach=spread ranks=8 bytes=10 algorithm=ring\n").size(), 1U);
  EXPECT_EQ(violations_of(std::string(sound) + "reach=spread ranks=2 bytes=any algorithm=ring\n").size(), 1U);
}

TEST(AlgorithmTable, that_cannot_be_read_says_which_option_names_it_and_why) {
  const std::pair<const char*, const char*> paths[] = {{"/nonexistent.table", "No such file or directory"},
                                                       {"/etc/passwd/my.table", "Not a directory"},
                                                       {"/tmp", "it is a folder"},
                                                       {"/dev/zero", "it is a device or a pipe"}};
  for (const auto& [path, why] : paths) {
    std::vector<base::Violation> violations;
    AlgorithmTable::read(path, "sync.table", violations);
    EXPECT_EQ(violations,
              (std::vector<base::Violation>{{"sync.table", path, std::string("cannot be read: ") + why}}));
  }
}

TEST(AlgorithmTable, reach_follows_from_nodes_and_window) {
  const std::vector<int> one{0, 0, 0}, some{0, 0, 1}, none{0, 1, 2};
  EXPECT_EQ(reach_of({.node_of = one, .in_window = true}), Reach::window);
  EXPECT_EQ(reach_of({.node_of = one}), Reach::node);
  EXPECT_EQ(reach_of({.node_of = some}), Reach::mixed);
  EXPECT_EQ(reach_of({.node_of = none}), Reach::spread);
}

}  // namespace
}  // namespace partita::collective
