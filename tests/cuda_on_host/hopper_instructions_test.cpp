/// Transaction barriers, tensor copies, warpgroup products and clusters: whole products with every swizzle
/// and both majors against plain sums, and mistakes that must be found.
#include <cuda.h>
#include <cuda_bf16.h>

#include "device.hpp"
#include "ptx/barrier.hpp"
#include "ptx/cluster.hpp"
#include "ptx/shared_memory.hpp"
#include "ptx/tensor_copy.hpp"
#include "ptx/warpgroup.hpp"

namespace {

using namespace partita;
using namespace cuda_on_host::testing;

constexpr int m_of = 64, n_of = 128, k_of = 64;
constexpr unsigned operand_a = 0, operand_b = 8192, result = operand_b + 16384, barriers = result + 32768,
                   shared_bytes = barriers + 64;

/// How an operand of `extent` × 64 (k) lies in shared memory: panels, each one box of rows of `row` bytes.
struct Operand {
  int extent, row, swizzle;  ///< swizzle: the descriptor's number
  bool k_innermost;

  __host__ __device__ int box_x() const { return row / 2; }
  __host__ __device__ int box_y() const { return k_innermost ? extent : k_of; }
  __host__ __device__ int panel_bytes() const { return box_y() * row; }
  __host__ __device__ int panels() const { return (k_innermost ? k_of : extent) / box_x(); }
  /// Of the 16 of k from `k` on.
  __host__ __device__ std::uint64_t descriptor(std::uint32_t address, int k) const {
    std::uint64_t leading = 1, stride = 8 * row;
    if (k_innermost)
      address += k / box_x() * panel_bytes() + k % box_x() * 2;
    else
      address += k * row;
    if (k_innermost && swizzle == 0) leading = panel_bytes();
    if (!k_innermost) leading = swizzle == 0 ? 8 * row : panel_bytes();
    if (!k_innermost && swizzle == 0) stride = panel_bytes();
    return address >> 4 | (leading >> 4 & 0x3FFF) << 16 | (stride >> 4) << 32 | std::uint64_t(swizzle) << 62;
  }
};

__device__ void load_operand(const Operand& o, const ptx::TensorMap& map, unsigned to, ptx::Barrier* full) {
  for (int p = 0; p < o.panels(); ++p)
    ptx::tensor_load(ptx::shared_memory<char>() + to + p * o.panel_bytes(), map, full, p * o.box_x(), 0);
}

/// C [m, 128] = A·B by one consumer warpgroup and one producer thread. `skip` leaves something out.
enum Skip { nothing, init_fence, product_fence, product_wait, store_wait, expect };
template <bool TransposeA, bool TransposeB>
__global__ void product(Operand a, Operand b, const __grid_constant__ ptx::TensorMap map_a,
                        const __grid_constant__ ptx::TensorMap map_b,
                        const __grid_constant__ ptx::TensorMap map_c, Skip skip) {
  auto* const shared = ptx::shared_memory<char>();
  auto* const full = reinterpret_cast<ptx::Barrier*>(shared + barriers);
  if (threadIdx.x == 0) {
    ptx::barrier_init(full, 1);
    if (skip != init_fence) ptx::barrier_init_fence();
  }
  __syncthreads();
  if (threadIdx.x == 128) {
    if (skip != expect) ptx::barrier_expect(full, (m_of + n_of) * k_of * 2);
    load_operand(a, map_a, operand_a, full);
    load_operand(b, map_b, operand_b, full);
  }
  if (threadIdx.x >= 128) return;
  float sums[n_of / 2];
  ptx::barrier_wait(full, 0);
  if (skip != product_fence) ptx::warpgroup_fence();
  for (int k = 0; k < k_of; k += 16)
    ptx::warpgroup_mma<n_of, TransposeA, TransposeB>(
        sums, a.descriptor(ptx::shared_address(shared + operand_a), k),
        b.descriptor(ptx::shared_address(shared + operand_b), k), k > 0);
  ptx::warpgroup_commit();
  if (skip != product_wait) ptx::warpgroup_wait<0>();
  const int t = threadIdx.x;
  for (int i = 0; i < n_of / 2; ++i) {
    const int row = 16 * (t / 32) + 8 * (i / 2 % 2) + t % 32 / 4, column = 8 * (i / 4) + 2 * (t % 4) + i % 2;
    // Panels of 32 columns: rows of 128 bytes whose 16-byte pieces are exchanged.
    const int piece = (column % 32 / 4) ^ (row % 8);
    reinterpret_cast<float*>(shared + result)[column / 32 * 2048 + row * 32 + piece * 4 + column % 4] =
        sums[i];
  }
  ptx::async_shared_fence();
  ptx::named_barrier(1, 128);
  if (t != 0) return;
  for (int p = 0; p < n_of / 32; ++p)
    ptx::tensor_store(map_c, shared + result + p * 8192, p * 32, 0);
  ptx::tensor_store_commit();
  if (skip != store_wait) ptx::tensor_store_wait<0>();
}

ptx::TensorMap encode(CUtensorMapDataType type, void* data, int columns, int rows, int row_bytes, int box_x,
                      int box_y, int swizzle_bytes) {
  const cuuint64_t extents[] = {static_cast<cuuint64_t>(columns), static_cast<cuuint64_t>(rows)};
  const cuuint64_t strides[] = {static_cast<cuuint64_t>(row_bytes)};
  const cuuint32_t box[] = {static_cast<cuuint32_t>(box_x), static_cast<cuuint32_t>(box_y)}, every[] = {1, 1};
  const auto swizzle = swizzle_bytes == 128  ? CU_TENSOR_MAP_SWIZZLE_128B
                       : swizzle_bytes == 64 ? CU_TENSOR_MAP_SWIZZLE_64B
                       : swizzle_bytes == 32 ? CU_TENSOR_MAP_SWIZZLE_32B
                                             : CU_TENSOR_MAP_SWIZZLE_NONE;
  ptx::TensorMap map{};
  EXPECT_EQ(
      CUDA_SUCCESS,
      cuTensorMapEncodeTiled(&map, type, 2, data, extents, strides, box, every, CU_TENSOR_MAP_INTERLEAVE_NONE,
                             swizzle, CU_TENSOR_MAP_L2_PROMOTION_NONE, CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE));
  return map;
}

/// One product of ragged extents: rows and columns beyond them must count as zeros and never be written.
struct Case {
  int m = 50, k = 56;
  int row = 128;  ///< bytes of a panel's row: 16 (no swizzle), 32, 64, 128
  bool a_k_innermost = true, b_k_innermost = true;
  Skip skip = nothing;
};

std::vector<float> plain_product(const Case& c, const std::vector<float>& a, const std::vector<float>& b) {
  std::vector<float> expected(m_of * n_of, -1);
  for (int i = 0; i < c.m; ++i)
    for (int j = 0; j < n_of; ++j) {
      float sum = 0;
      for (int l = 0; l < c.k; ++l)
        sum += a[i * c.k + l] * b[l * n_of + j];
      expected[i * n_of + j] = sum;
    }
  return expected;
}

using Kernel = void (*)(Operand, Operand, ptx::TensorMap, ptx::TensorMap, ptx::TensorMap, Skip);

void check_product(const Case& c) {
  const int swizzle = c.row == 128 ? 1 : c.row == 64 ? 2 : c.row == 32 ? 3 : 0;
  const Operand oa{m_of, c.row, swizzle, c.a_k_innermost}, ob{n_of, c.row, swizzle, c.b_k_innermost};
  const auto a = whole_numbers(c.m * c.k, 5), b = whole_numbers(c.k * n_of, 6);
  // A is [m, k] or its transpose; B is [k, n], whose transpose has k innermost. Rows of n_of elements
  // throughout.
  std::vector<__nv_bfloat16> ma(n_of * n_of, 100.0F), mb(n_of * n_of, 100.0F);
  for (int i = 0; i < c.m; ++i)
    for (int l = 0; l < c.k; ++l)
      ma[c.a_k_innermost ? i * n_of + l : l * n_of + i] = a[i * c.k + l];
  for (int l = 0; l < c.k; ++l)
    for (int j = 0; j < n_of; ++j)
      mb[c.b_k_innermost ? j * n_of + l : l * n_of + j] = b[l * n_of + j];
  const Array<__nv_bfloat16> da(ma), db(mb);
  const Floats dc(std::vector<float>(m_of * n_of, -1));
  const int row_bytes = n_of * 2;
  const auto operand_map = [&](const Operand& o, const Array<__nv_bfloat16>& data, int extent) {
    return encode(CU_TENSOR_MAP_DATA_TYPE_BFLOAT16, data.data, o.k_innermost ? c.k : extent,
                  o.k_innermost ? extent : c.k, row_bytes, o.box_x(), o.box_y(), c.row == 16 ? 0 : c.row);
  };
  const Kernel kernel = c.a_k_innermost ? (c.b_k_innermost ? product<false, false> : product<false, true>)
                                        : (c.b_k_innermost ? product<true, false> : product<true, true>);
  const auto map_c = encode(CU_TENSOR_MAP_DATA_TYPE_FLOAT32, dc.data, n_of, c.m, n_of * 4, 32, 64, 128);
  run(kernel, {1, 160, shared_bytes}, oa, ob, operand_map(oa, da, c.m), operand_map(ob, db, n_of), map_c,
      c.skip);
  EXPECT_EQ(plain_product(c, a, b), dc.get()) << "rows of " << c.row << " bytes, k innermost in A "
                                              << c.a_k_innermost << ", in B " << c.b_k_innermost;
}

TEST(HopperInstructions, ProductsWithEverySwizzleAndBothMajors) {
  for (const int row : {16, 32, 64, 128})
    for (const bool a : {true, false})
      for (const bool b : {true, false})
        check_product({.row = row, .a_k_innermost = a, .b_k_innermost = b});
  check_product({.m = 64, .k = 64});
}

TEST(HopperInstructions, MistakesAreFound) {
  cuda_on_host::set_order(cuda_on_host::Order::forward);
  const auto with = [](Skip skip) { return fault_of([=] { check_product({.skip = skip}); }); };
  EXPECT_NE(std::string::npos, with(init_fence).find("without barrier_init_fence"));
  EXPECT_NE(std::string::npos, with(product_fence).find("without warpgroup_fence"));
  EXPECT_NE(std::string::npos, with(product_wait).find("before its products were complete"));
  EXPECT_NE(std::string::npos, with(store_wait).find("before its tensor stores"));
  EXPECT_NE(std::string::npos, with(expect).find("deadlock: 128 threads wait"));
}

/// Each block of a cluster of two loads one row of the matrix for both of them, twice through one stage that
/// a block may fill again only when both have read it.
template <bool Wait>
__global__ void shared_rows(const __grid_constant__ ptx::TensorMap map, float* to) {
  auto* const rows = ptx::shared_memory<float>();
  auto* const full = reinterpret_cast<ptx::Barrier*>(rows + 64);
  auto* const empty = full + 1;
  const unsigned rank = ptx::cluster_rank();
  if (threadIdx.x == 0) {
    ptx::barrier_init(full, 1);
    ptx::barrier_init(empty, 2 * 32);
    ptx::barrier_init_fence();
  }
  ptx::cluster_sync();
  float sum = 0;
  for (int round = 0; round < 3; ++round) {
    if (threadIdx.x == 32) {
      if (Wait) ptx::barrier_wait(empty, (round & 1) ^ 1);
      ptx::barrier_expect(full, 256);
      ptx::tensor_load_multicast(rows + rank * 32, map, full, 0, 2 * round + static_cast<int>(rank), 3);
    }
    if (threadIdx.x < 32) {
      ptx::barrier_wait(full, round & 1);
      sum += rows[threadIdx.x] + 2 * rows[32 + threadIdx.x];
      for (unsigned other = 0; other < 2; ++other)
        ptx::barrier_arrive_at(empty, other);
    }
  }
  if (threadIdx.x < 32) to[rank * 32 + threadIdx.x] = sum;
  ptx::cluster_sync();
}

TEST(HopperInstructions, BlocksOfAClusterLoadForEachOther) {
  const auto values = whole_numbers(6 * 32, 7);
  const Floats from(values), to(std::vector<float>(64, -1));
  const auto map = encode(CU_TENSOR_MAP_DATA_TYPE_FLOAT32, from.data, 32, 6, 128, 32, 1, 0);
  std::vector<float> expected(64, 0);
  for (int i = 0; i < 64; ++i)
    for (int r = 0; r < 6; ++r)
      expected[i] += values[r * 32 + i % 32] * (r % 2 + 1);
  run(shared_rows<true>, {2, 64, 512, 2}, map, to.data);
  EXPECT_EQ(expected, to.get());
  std::string found = fault_of([&] { run(shared_rows<false>, {2, 64, 512, 2}, map, to.data); });
  if (found.empty() && expected != to.get()) found = "wrong sums";
  EXPECT_NE("", found) << "a stage that is filled while it is read";
}

__global__ void store_row(const __grid_constant__ ptx::TensorMap map) {
  auto* const row = ptx::shared_memory<float>();
  for (int i = 0; i < 8; ++i)
    row[i] = static_cast<float>(i);
  ptx::async_shared_fence();
  ptx::tensor_store(map, row, 0, 0);
  ptx::tensor_store_commit();
  ptx::tensor_store_wait<0>();
}

/// As an H200 does: a row of five floats ends within the second 16 bytes, which are written whole.
TEST(HopperInstructions, ATensorStoreEndsWithAPieceOf16Bytes) {
  const Floats to(std::vector<float>(12, -1));
  run(store_row, {1, 1, 512}, encode(CU_TENSOR_MAP_DATA_TYPE_FLOAT32, to.data, 5, 1, 48, 8, 1, 0));
  EXPECT_EQ(to.get(), (std::vector<float>{0, 1, 2, 3, 4, 5, 6, 7, -1, -1, -1, -1}));
  run(store_row, {1, 1, 512}, encode(CU_TENSOR_MAP_DATA_TYPE_FLOAT32, to.data, 4, 1, 48, 8, 1, 0));
  EXPECT_EQ(to.get()[4], 4) << "a piece that begins outside is not touched";
}

__global__ void sums_too_early(float* to) {
  float sums[4] = {};
  const std::uint64_t descriptor =
      ptx::shared_address(ptx::shared_memory<char>()) >> 4 | std::uint64_t{8} << 16 | std::uint64_t{8} << 32;
  ptx::warpgroup_fence();
  ptx::warpgroup_mma<8, false, false>(sums, descriptor, descriptor, false);
  ptx::warpgroup_commit();
  to[threadIdx.x] = sums[0];
  ptx::warpgroup_wait<0>();
}

TEST(HopperInstructions, SumsBeforeTheWaitAreNaN) {
  const Floats to(std::vector<float>(128, 0));
  run(sums_too_early, {1, 128, 4096}, to.data);
  for (const float x : to.get())
    ASSERT_TRUE(std::isnan(x));
}

}  // namespace
