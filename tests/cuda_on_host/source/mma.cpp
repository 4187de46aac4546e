#include "ptx/mma.hpp"

#include <bit>
#include <cstring>

#include "machine.hpp"

namespace cuda_on_host {
namespace {

struct Matrices {
  std::uint32_t* r;
  int count;
  bool transposed;
  const void* row;
};

/// Lane 8·i + j gives row j of matrix i; lane l gets of each matrix the pair at row l / 4, columns 2·(l % 4)
/// and the next, of its transpose where asked.
void load_matrices(void* const* lanes) {
  const auto& of = [&](int l) -> const Matrices& { return *static_cast<const Matrices*>(lanes[l]); };
  const int count = of(0).count;
  std::uint16_t m[4][8][8];
  for (int i = 0; i < count; ++i)
    for (int row = 0; row < 8; ++row)
      std::memcpy(m[i][row], of(8 * i + row).row, 16);
  for (int l = 0; l < 32; ++l)
    for (int i = 0; i < count; ++i) {
      const int row = l / 4, column = 2 * (l % 4);
      const auto at = [&](int r, int c) { return of(l).transposed ? m[i][c][r] : m[i][r][c]; };
      of(l).r[i] = at(row, column) | static_cast<std::uint32_t>(at(row, column + 1)) << 16;
    }
}

struct Fragments {
  float* d;
  const std::uint32_t *a, *b;
};
const Fragments& fragments(void* const* lanes, int l) { return *static_cast<const Fragments*>(lanes[l]); }

/// D [16, 8]: d0 d1 at row l / 4, columns 2·(l % 4) and the next; d2 d3 eight rows below.
template <int K>
void add_product(void* const* lanes, const float (&a)[16][K], const float (&b)[K][8]) {
  for (int l = 0; l < 32; ++l)
    for (int i = 0; i < 4; ++i) {
      const int row = l / 4 + i / 2 * 8, column = 2 * (l % 4) + i % 2;
      float sum = 0;
      for (int k = 0; k < K; ++k)
        sum += a[row][k] * b[k][column];
      fragments(lanes, l).d[i] += sum;
    }
}

/// A tf32 operand's lower 13 bits are not looked at.
float truncated(std::uint32_t bits) { return std::bit_cast<float>(bits & 0xFFFFE000U); }

void multiply_tf32(void* const* lanes) {
  float a[16][8], b[8][8];
  for (int l = 0; l < 32; ++l) {
    const Fragments& f = fragments(lanes, l);
    const int group = l / 4, in_group = l % 4;
    for (int i = 0; i < 4; ++i)
      a[group + i % 2 * 8][in_group + i / 2 * 4] = truncated(f.a[i]);
    for (int i = 0; i < 2; ++i)
      b[in_group + 4 * i][group] = truncated(f.b[i]);
  }
  add_product<8>(lanes, a, b);
}

float half_of(std::uint32_t pair, int which) {
  return std::bit_cast<float>(which == 0 ? pair << 16 : pair & 0xFFFF0000U);
}

void multiply_bf16(void* const* lanes) {
  float a[16][16], b[16][8];
  for (int l = 0; l < 32; ++l) {
    const Fragments& f = fragments(lanes, l);
    const int group = l / 4, in_group = l % 4;
    for (int half = 0; half < 2; ++half) {
      for (int i = 0; i < 4; ++i)
        a[group + i % 2 * 8][2 * in_group + half + i / 2 * 8] = half_of(f.a[i], half);
      for (int i = 0; i < 2; ++i)
        b[2 * in_group + half + 8 * i][group] = half_of(f.b[i], half);
    }
  }
  add_product<16>(lanes, a, b);
}

void need_whole_warp() {
  const Thread& thread = this_thread();
  if (thread.linear / 32 * 32 + 32 > thread.block->threads.size())
    fault("a warp's instruction in an incomplete warp");
}

}  // namespace

void load_matrix(std::uint32_t* r, int count, bool transposed, const void* shared_row) {
  need_whole_warp();
  if (static_cast<int>(lane()) < 8 * count && reinterpret_cast<std::uintptr_t>(shared_row) % 16 != 0)
    fault("ldmatrix from a row that does not lie on a boundary of 16 bytes");
  Matrices m{r, count, transposed, shared_row};
  warp_collective(~0U, transposed ? "ldmatrix.trans" : "ldmatrix", &m, load_matrices);
}

void product_tf32(float* d, const std::uint32_t* a, const std::uint32_t* b) {
  need_whole_warp();
  Fragments f{d, a, b};
  warp_collective(~0U, "mma.m16n8k8.tf32", &f, multiply_tf32);
}

void product_bf16(float* d, const std::uint32_t* a, const std::uint32_t* b) {
  need_whole_warp();
  Fragments f{d, a, b};
  warp_collective(~0U, "mma.m16n8k16.bf16", &f, multiply_bf16);
}

std::uint32_t round_to_tf32(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  if ((bits & 0x7F800000U) == 0x7F800000U) return (bits & 0x7FFFFFU) != 0 ? 0x7FFFFFFFU : bits;
  return (bits + 0x1000U) & 0xFFFFE000U;  // to nearest, ties away from zero
}

}  // namespace cuda_on_host
