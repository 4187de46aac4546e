#include "ptx/warpgroup.hpp"

#include <algorithm>
#include <bit>
#include <cstring>

#include "machine.hpp"

namespace cuda_on_host {
namespace {

constexpr int k_of = 16;  ///< of one product
constexpr unsigned group_size = 128;

/// A matrix descriptor's fields in bytes. Swizzle 0: none, 1: 128 bytes, 2: 64, 3: 32.
struct Descriptor {
  std::uint32_t start, leading, stride;
  unsigned span;

  explicit Descriptor(std::uint64_t bits)
      : start(static_cast<std::uint32_t>(bits & 0x3FFF) << 4),
        leading(static_cast<std::uint32_t>(bits >> 16 & 0x3FFF) << 4),
        stride(static_cast<std::uint32_t>(bits >> 32 & 0x3FFF) << 4) {
    constexpr unsigned spans[] = {0, 128, 64, 32};
    span = spans[bits >> 62];
    if ((bits >> 49 & 7) != 0) fault("a matrix descriptor with a base offset");
  }

  /// The 16 bytes that hold elements (mn, 8·piece …) of an operand whose k is innermost.
  std::uint32_t along_k(int mn, int piece) const {
    const auto group = static_cast<std::uint32_t>(mn / 8), row = static_cast<std::uint32_t>(mn % 8);
    const auto p = static_cast<std::uint32_t>(piece);
    const std::uint32_t in_group = span == 0 ? row * 16 + p * leading : row * span + p * 16;
    return swizzled(start + group * stride + in_group, span);
  }
  /// The 16 bytes that hold elements (8·piece …, k) of an operand whose M or N is innermost.
  std::uint32_t along_mn(int piece, int k) const {
    const auto group = static_cast<std::uint32_t>(k / 8), row = static_cast<std::uint32_t>(k % 8);
    const auto p = static_cast<std::uint32_t>(piece);
    if (span == 0) return start + p * stride + group * leading + row * 16;
    const std::uint32_t pieces = span / 16;
    return swizzled(start + p % pieces * 16 + p / pieces * leading + row * span + group * stride, span);
  }
};

/// Calls `put(i, value)` for the 8 bfloat16 at an address of shared memory.
template <class Put>
void read_piece(const Block& block, std::uint32_t address, Put&& put) {
  if (address < window_begin || address + 16 > window_begin + machine().launch->shared_bytes)
    fault("a matrix descriptor reaches beyond shared memory");
  std::uint16_t piece[8];
  std::memcpy(piece, block.window + (address - window_begin), 16);
  for (int i = 0; i < 8; ++i)
    put(i, std::bit_cast<float>(std::uint32_t{piece[i]} << 16));
}

/// to[k][mn]
void read_operand(const Block& block, std::uint64_t bits, bool transposed, int extent,
                  std::vector<float>& to) {
  const Descriptor descriptor(bits);
  to.resize(static_cast<std::size_t>(k_of * extent));
  if (transposed) {
    for (int piece = 0; piece < extent / 8; ++piece)
      for (int k = 0; k < k_of; ++k)
        read_piece(block, descriptor.along_mn(piece, k),
                   [&](int i, float v) { to[static_cast<std::size_t>(k * extent + 8 * piece + i)] = v; });
  } else {
    for (int mn = 0; mn < extent; ++mn)
      for (int piece = 0; piece < k_of / 8; ++piece)
        read_piece(block, descriptor.along_k(mn, piece),
                   [&](int i, float v) { to[static_cast<std::size_t>((8 * piece + i) * extent + mn)] = v; });
  }
}

void compute(const Block& block, const Product& p) {
  static std::vector<float> a, b;
  const int n = p.accumulator->n;
  read_operand(block, p.a, p.transpose_a, 64, a);
  read_operand(block, p.b, p.transpose_b, n, b);
  auto& sums = p.accumulator->sums;
  if (!p.accumulate) std::fill(sums.begin(), sums.end(), 0.0F);
  for (int m = 0; m < 64; ++m) {
    float* const row = sums.data() + m * n;
    for (int k = 0; k < k_of; ++k) {
      const float value = a[static_cast<std::size_t>(k * 64 + m)];
      const float* const of_b = b.data() + k * n;
      for (int j = 0; j < n; ++j)
        row[j] += value * of_b[j];
    }
  }
}

/// Sum i of thread t of the warpgroup in D [64, n].
std::size_t place(unsigned t, int i, int n) {
  const int row = static_cast<int>(t / 32 * 16 + t % 32 / 4) + i / 2 % 2 * 8;
  const int column = i / 4 * 8 + static_cast<int>(t % 4) * 2 + i % 2;
  return static_cast<std::size_t>(row * n + column);
}

constexpr std::uint32_t poison_word = 0xFFFFFFFF;

Registers* registers_of(Thread& thread, const float* d) {
  for (Registers& r : thread.registers)
    if (r.d == d) return &r;
  return nullptr;
}

/// Takes all threads' sums from their registers, which hold NaN from now on.
std::shared_ptr<Accumulator> take_sums(Block& block, unsigned first, void* const* arguments, int n) {
  auto accumulator = std::make_shared<Accumulator>();
  accumulator->n = n;
  accumulator->sums.resize(static_cast<std::size_t>(64 * n));
  for (unsigned t = 0; t < group_size; ++t) {
    Thread& thread = block.threads[first + t];
    float* const d = static_cast<WarpgroupProduct*>(arguments[t])->d;
    if (!thread.fenced)
      fault("a product takes sums that its threads had in use, without warpgroup_fence before");
    for (int i = 0; i < n / 2; ++i)
      accumulator->sums[place(t, i, n)] = d[i];
    std::memset(d, poison, static_cast<std::size_t>(n / 2) * sizeof(float));
    thread.registers.push_back({.d = d, .count = n / 2, .group = 0, .accumulator = accumulator});
  }
  return accumulator;
}

void give_sums(const Thread& thread, const Registers& r) {
  for (int i = 0; i < r.count; ++i) {
    if (std::bit_cast<std::uint32_t>(r.d[i]) != poison_word)
      fault("the sums of an unfinished product were written");
    r.d[i] = r.accumulator->sums[place(thread.linear % group_size, i, r.accumulator->n)];
  }
}

/// All threads of the warpgroup have come to the same product.
void issue_product(Block& block, unsigned first, void* const* arguments) {
  const WarpgroupProduct& p = *static_cast<const WarpgroupProduct*>(arguments[0]);
  const std::uint64_t group = block.threads[first].products_committed;
  for (unsigned t = 0; t < group_size; ++t) {
    const auto& other = *static_cast<const WarpgroupProduct*>(arguments[t]);
    if (other.a != p.a || other.b != p.b || other.n != p.n || other.accumulate != p.accumulate ||
        other.transpose_a != p.transpose_a || other.transpose_b != p.transpose_b ||
        block.threads[first + t].products_committed != group)
      fault("the threads of a warpgroup disagree on a product");
  }
  Registers* const known = registers_of(block.threads[first], p.d);
  const auto accumulator = known ? known->accumulator : take_sums(block, first, arguments, p.n);
  for (unsigned t = 0; t < group_size; ++t) {
    Registers* const r =
        registers_of(block.threads[first + t], static_cast<WarpgroupProduct*>(arguments[t])->d);
    if (!r || r->accumulator != accumulator) fault("the threads of a warpgroup disagree on a product's sums");
    r->group = group;
  }
  const Product product{group, p.a, p.b, accumulator, p.transpose_a, p.transpose_b, p.accumulate};
  auto& products = block.warpgroups[first / group_size].products;
  if (products.empty() && machine().at_once())  // never before an older one
    compute(block, product);
  else
    products.push_back(product);
}

}  // namespace

void warpgroup_fence() { this_thread().fenced = true; }

void warpgroup_commit() { ++this_thread().products_committed; }

void warpgroup_product(WarpgroupProduct product) {
  Thread& thread = this_thread();
  Block& block = *thread.block;
  const unsigned index = thread.linear / group_size, first = index * group_size;
  if (first + group_size > block.threads.size()) fault("a product of an incomplete warpgroup");
  Warpgroup& group = block.warpgroups[index];
  group.arguments.resize(group_size, nullptr);
  group.arguments[thread.linear - first] = &product;
  group.waiting.push_back(&thread);
  if (group.waiting.size() < group_size) return block_on("a warpgroup's product");
  group.waiting.pop_back();
  issue_product(block, first, group.arguments.data());
  make_ready(group.waiting);
}

void warpgroup_wait(unsigned unfinished) {
  Thread& thread = this_thread();
  auto& products = thread.block->warpgroups[thread.linear / group_size].products;
  const auto is_done = [&](std::uint64_t group) { return group + unfinished < thread.products_committed; };
  while (!products.empty() && is_done(products.front().group)) {
    compute(*thread.block, products.front());
    products.erase(products.begin());
  }
  std::erase_if(thread.registers, [&](const Registers& r) {
    if (!is_done(r.group)) return false;
    give_sums(thread, r);
    thread.fenced = false;
    return true;
  });
}

void end_of_thread(Thread& thread) {
  if (!thread.stores.work.empty()) fault("ended before its tensor stores had read shared memory");
  if (!thread.registers.empty()) fault("ended before its products were complete");
  if (thread.cluster_arrived) fault("ended between arriving and waiting at the cluster's barrier");
}

}  // namespace cuda_on_host
