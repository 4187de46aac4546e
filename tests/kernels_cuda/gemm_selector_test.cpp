/// Which kernel is chosen: over many shapes, by tables good and bad, by name.
#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <sstream>
#include <stdexcept>

#include "selector.hpp"

namespace partita::kernels::cuda::gemm {
namespace {

bool any(const Arguments&) { return true; }
bool without_row_sums(const Arguments& p) { return p.row_sums == nullptr; }
bool on_sixteen_bytes(const Arguments& p) {
  return p.k > 0 && p.row_a % 8 == 0 && p.row_b % 8 == 0 && p.row_c % 8 == 0 && p.row_sums == nullptr;
}
bool never(const Arguments&) { return false; }
Bytes nothing(const Arguments&, const Chip&) { return Bytes(0); }
void run(const Arguments&, std::byte*, const Chip&, cudaStream_t) {}

/// A ladder with the properties that choices depend on.
const Kernel ladder[] = {
    {"plain", Arithmetic::fp32, 50, any, nothing, run},
    {"tile", Arithmetic::fp32, 80, without_row_sums, nothing, run},
    {"split_k", Arithmetic::fp32, 80, any, nothing, run},
    {"cores", Arithmetic::bf16, 80, any, nothing, run},
    {"hopper", Arithmetic::bf16, 90, on_sixteen_bytes, nothing, run, 90},
    {"broken", Arithmetic::tf32, 80, never, nothing, run},
    {"cublas", Arithmetic::fp32, 50, any, nothing, run},
};

const std::string header = "architecture,arithmetic,m,n,k,transpositions,kernel,microseconds\n";
const Table empty_table = Table::parse(header, "empty");
constexpr Chip h200{.architecture = 90, .multiprocessors = 132},
    a100{.architecture = 80, .multiprocessors = 108}, b200{.architecture = 100, .multiprocessors = 148};

Arguments product(std::int64_t m, std::int64_t n, std::int64_t k) {
  return {.m = m, .n = n, .k = k, .row_a = k, .row_b = n, .row_c = n};
}

std::string_view chosen(const Arguments& p, Arithmetic arithmetic, const Chip& chip, const Table& table,
                        std::string_view wanted = "auto") {
  return select(p, arithmetic, chip, wanted, table, ladder).name;
}

TEST(GemmSelector, WhateverTheShapeTheChosenKernelFits) {
  std::mt19937 random(7);
  std::uniform_int_distribution<int> exponent(0, 13), ragged(-3, 3), coin(0, 1);
  const auto extent = [&] {
    return std::max<std::int64_t>(0, (std::int64_t{1} << exponent(random)) + ragged(random));
  };
  const Table table =
      Table::parse(header + "90,bf16,4096,4096,4096,nn,hopper,9\n80,fp32,64,64,64,nt,tile,2\n", "test");
  float sums = 0;
  for (int i = 0; i < 600; ++i) {
    Arguments p = product(extent(), extent(), extent());
    p.transpose_a = coin(random);
    p.transpose_b = coin(random);
    p.row_sums = coin(random) ? &sums : nullptr;
    for (const Chip& chip : {a100, h200, b200})
      for (const auto arithmetic : {Arithmetic::fp32, Arithmetic::bf16}) {
        const Kernel& kernel = select(p, arithmetic, chip, "auto", table, ladder);
        EXPECT_TRUE(fits(kernel, p, arithmetic, chip)) << kernel.name << p.m << " " << p.n << " " << p.k;
        EXPECT_NE(kernel.name, "cublas");
      }
  }
}

TEST(GemmSelector, KernelsOfOneArchitectureStayThere) {
  const auto p = product(4096, 4096, 4096);
  EXPECT_EQ(chosen(p, Arithmetic::bf16, h200, empty_table), "hopper");
  EXPECT_EQ(chosen(p, Arithmetic::bf16, a100, empty_table), "cores");
  EXPECT_EQ(chosen(p, Arithmetic::bf16, b200, empty_table), "cores");
  EXPECT_EQ(chosen(p, Arithmetic::bf16, b200, empty_table, "hopper"), "cores");
}

TEST(GemmSelector, RulesSplitLongThinProductsOnly) {
  EXPECT_EQ(chosen(product(128, 10, 65536), Arithmetic::fp32, h200, empty_table), "split_k");
  EXPECT_EQ(chosen(product(128, 10, 256), Arithmetic::fp32, h200, empty_table), "tile");
  EXPECT_EQ(chosen(product(100, 128, 784), Arithmetic::fp32, h200, empty_table), "split_k");
  EXPECT_EQ(chosen(product(1024, 128, 784), Arithmetic::fp32, h200, empty_table), "tile");
  EXPECT_EQ(chosen(product(4096, 4096, 4096), Arithmetic::fp32, h200, empty_table), "tile");
}

TEST(GemmSelector, TheNearestRowWithAFittingKernelDecides) {
  const Table table = Table::parse(header +
                                       "80,fp32,64,64,64,nn,plain,1\n"
                                       "80,fp32,64,64,64,nn,tile,2\n"
                                       "80,fp32,4096,4096,4096,nn,plain,90\n"
                                       "80,fp32,4096,4096,4096,nn,tile,50\n"
                                       "80,fp32,4096,4096,4096,nn,unknown,1\n",
                                   "test");
  EXPECT_EQ(chosen(product(100, 50, 64), Arithmetic::fp32, a100, table), "plain");
  EXPECT_EQ(chosen(product(3000, 5000, 4096), Arithmetic::fp32, a100, table), "tile");
  auto with_sums = product(3000, 5000, 4096);
  float sums = 0;
  with_sums.row_sums = &sums;  // the fastest cannot
  EXPECT_EQ(chosen(with_sums, Arithmetic::fp32, a100, table), "plain");
}

TEST(GemmSelector, TimesCountBeforePreferencesAndOwnArchitectureBeforeOlder) {
  const Table table = Table::parse(header +
                                       "80,fp32,64,64,64,nn,plain,-\n80,fp32,64,64,64,nn,split_k,-\n"
                                       "90,fp32,64,64,64,nn,tile,-\n90,fp32,64,64,64,nn,plain,-\n"
                                       "90,fp32,64,64,64,tn,plain,3\n90,fp32,64,64,64,tn,split_k,2.5\n"
                                       "90,fp32,64,64,64,tn,tile,-\n",
                                   "test");
  EXPECT_EQ(chosen(product(64, 64, 64), Arithmetic::fp32, a100, table), "plain");
  EXPECT_EQ(chosen(product(64, 64, 64), Arithmetic::fp32, h200, table), "tile");
  EXPECT_EQ(chosen(product(64, 64, 64), Arithmetic::fp32, b200, table), "tile");
  auto transposed = product(64, 64, 64);
  transposed.transpose_a = true;
  EXPECT_EQ(chosen(transposed, Arithmetic::fp32, h200, table), "split_k");
}

TEST(GemmSelector, ANameIsTakenWhereItCanBe) {
  EXPECT_EQ(chosen(product(64, 64, 64), Arithmetic::bf16, h200, empty_table, "cores"), "cores");
  EXPECT_EQ(chosen(product(64, 10, 64), Arithmetic::bf16, h200, empty_table, "hopper"), "cores");
  try {
    (void)chosen(product(1, 1, 1), Arithmetic::bf16, h200, empty_table, "tile");
    FAIL();
  } catch (const std::invalid_argument& error) {
    EXPECT_STREQ(error.what(), "there is no bf16 product named tile; there are auto, cores, hopper");
  }
}

std::string ran;
bool on_boundary(const Arguments& p) { return reinterpret_cast<std::uintptr_t>(p.c) % 16 == 0; }
template <char name>
void note(const Arguments&, std::byte*, const Chip&, cudaStream_t) {
  ran += name;
}
Bytes much(const Arguments&, const Chip&) { return Bytes(4096); }

TEST(GemmSelector, AChoiceBeforeOperandsAreKnownServesAnyOfThem) {
  const Kernel two[] = {{"any", Arithmetic::fp32, 80, any, much, note<'a'>},
                        {"boundary", Arithmetic::fp32, 80, on_boundary, nothing, note<'b'>}};
  auto p = planned({.m = 5, .n = 6, .k = 7, .transpose_b = true, .row_a = 9, .row_sums = true});
  EXPECT_TRUE(p.row_sums != nullptr && p.bias == nullptr && p.mask == nullptr && p.a != nullptr);
  EXPECT_TRUE(p.row_a == 9 && p.row_b == 7 && p.row_c == 6);
  const Choice choice = choose(p, Arithmetic::fp32, h200, "auto", empty_table, two);
  EXPECT_EQ(choice.workspace, Bytes(4096));
  alignas(16) static float memory[8];
  p.c = memory;
  choice.run(p, nullptr, h200, nullptr);
  p.c = memory + 1;
  choice.run(p, nullptr, h200, nullptr);
  EXPECT_EQ(ran, "ba");
}

TEST(GemmSelector, SaysWhenNoKernelCan) {
  EXPECT_THROW((void)chosen(product(5, 6, 7), Arithmetic::tf32, h200, empty_table), std::runtime_error);
}

TEST(GemmTable, IsReadAsItIsPrinted) {
  Table table;
  table.add({.architecture = 90,
             .arithmetic = Arithmetic::bf16,
             .m = 1,
             .n = 2,
             .k = 3,
             .transpose_b = true,
             .kernel = "hopper",
             .microseconds = 0.1 + 0.2});
  table.add({.architecture = 80, .arithmetic = Arithmetic::tf32, .m = 4, .n = 5, .k = 6, .kernel = "x"});
  std::ostringstream text;
  table.print(text);
  const Table again = Table::parse("# written by a test\n" + text.str(), "again");
  ASSERT_EQ(again.rows().size(), 2u);
  EXPECT_EQ(again.rows()[0], table.rows()[0]);
  EXPECT_EQ(again.rows()[1], table.rows()[1]);
}

TEST(GemmTable, NamesEachBadLine) {
  const std::string text = "# a table\n" + header +
                           "90,bf16,1,1,1,nn,hopper,1\n"
                           "ninety,bf16,1,1,1,nn,hopper,1\n"
                           "90,fp64,1,0,1,nn,hopper,1\n"
                           "90,bf16,1,1,1,n,,0\n"
                           "90,bf16,1,1,1\n";
  try {
    (void)Table::parse(text, "bad.csv");
    FAIL();
  } catch (const std::runtime_error& error) {
    EXPECT_STREQ(
        error.what(),
        "this is no table of matrix products:"
        "\nbad.csv:4: architecture must be a compute capability times 10, as 90"
        "\nbad.csv:5: arithmetic must be fp32, tf32 or bf16; n must be a positive number"
        "\nbad.csv:6: transpositions must be nn, nt, tn or tt; kernel must be a name; microseconds must be a "
        "positive number or -"
        "\nbad.csv:7: has 5 fields instead of 8");
  }
  EXPECT_THROW((void)Table::parse("", "none"), std::runtime_error);
  EXPECT_THROW((void)Table::parse("m,n,k\n", "other"), std::runtime_error);
  EXPECT_THROW((void)Table::read("/no/such/table.csv"), std::runtime_error);
}

TEST(GemmTable, OddTimesAreRefused) {
  for (const std::string time : {"nan", "inf", "-1", "1e300", "1 2", "0x1", "", "1e-400"})
    EXPECT_THROW((void)Table::parse(header + "90,bf16,1,1,1,nn,hopper," + time + "\n", "odd"),
                 std::runtime_error)
        << time;
}

TEST(GemmTable, TheShippedOneIsMeasuredInEachArithmetic) {
  for (const auto arithmetic : {Arithmetic::fp32, Arithmetic::tf32, Arithmetic::bf16})
    EXPECT_GE(std::ranges::count(Table::shipped().rows(), arithmetic, &Measurement::arithmetic), 30);
  for (const auto& row : Table::shipped().rows())
    EXPECT_TRUE(row.microseconds) << row.kernel << " for " << row.m << " x " << row.n << " x " << row.k;
}

}  // namespace
}  // namespace partita::kernels::cuda::gemm
