#include "ptx/tensor_copy.hpp"

#include <algorithm>
#include <cstring>

#include "machine.hpp"
#include "runtime.hpp"
#include "tensor_map.hpp"

namespace cuda_on_host {
namespace {

/// The part of a box's row that lies in the tensor: elements [begin, end) of the box, where they are in
/// global memory.
struct Row {
  std::byte* global = nullptr;
  std::int64_t begin = 0, end = 0;
};

Row row_of(const TensorMapContent& t, std::int64_t x, std::int64_t y) {
  Row row;
  if (y < 0 || y >= t.extent_y) return row;
  row.begin = std::clamp<std::int64_t>(-x, 0, t.box_x);
  row.end = std::clamp<std::int64_t>(t.extent_x - x, row.begin, t.box_x);
  if (row.begin == row.end) return row;
  row.global = t.data + y * t.row_bytes + (x + row.begin) * t.element_bytes;
  const auto bytes = static_cast<std::size_t>((row.end - row.begin) * t.element_bytes);
  const Allocation* const a = allocation_of(row.global);
  if (!a || row.global + bytes > a->data + a->bytes) fault("a tensor map reaches beyond its allocation");
  return row;
}

/// Calls `move(shared, global, bytes)` for each element of the box; global is null for what lies outside,
/// but with `whole_pieces` only if no element of its 16 bytes lies inside.
template <class Move>
void for_each_element(const TensorMapContent& t, std::byte* shared, std::uint32_t address, int x, int y,
                      bool whole_pieces, Move&& move) {
  const std::int64_t in_piece = 16 / t.element_bytes;
  for (int i = 0; i < t.box_y; ++i) {
    const Row row = row_of(t, x, std::int64_t{y} + i);
    for (std::int64_t j = 0; j < t.box_x; j += in_piece) {
      const auto plain = address + static_cast<std::uint32_t>((i * t.box_x + j) * t.element_bytes);
      std::byte* const piece = shared + (swizzled(plain, t.swizzle) - address);
      for (std::int64_t e = j; e < j + in_piece; ++e) {
        const bool begun = whole_pieces && j < row.end && j >= row.begin;
        const bool inside = row.global && e >= row.begin && (e < row.end || begun);
        move(piece + (e - j) * t.element_bytes,
             inside ? row.global + (e - row.begin) * t.element_bytes : nullptr,
             static_cast<std::size_t>(t.element_bytes));
      }
    }
  }
}

void load(const TensorMapContent& t, Block& block, std::byte* shared, std::uint32_t address,
          std::uint64_t* barrier, int x, int y) {
  if (block.live == 0) throw Fault("a tensor copy came to the shared memory of a block that has ended");
  for_each_element(t, shared, address, x, y, false,
                   [](std::byte* to, const std::byte* from, std::size_t bytes) {
                     if (from)
                       std::memcpy(to, from, bytes);
                     else
                       std::memset(to, 0, bytes);
                   });
  complete_bytes(block, barrier, static_cast<std::size_t>(t.box_bytes()));
}

TensorMapContent checked(const CUtensorMap& map, const void* shared) {
  const TensorMapContent t = content_of(map);
  if (!t.is_valid()) fault("a tensor map that was never encoded");
  if (shared_address(shared) % 128 != 0)
    fault("a tensor copy from or to shared memory not on a boundary of 128 bytes");
  if (shared_address(shared) - window_begin + static_cast<std::size_t>(t.box_bytes()) >
      machine().launch->shared_bytes)
    fault("a tensor copy reaches beyond shared memory");
  return t;
}

}  // namespace

void tensor_load(void* shared, const CUtensorMap& map, std::uint64_t* barrier, int x, int y, unsigned ranks) {
  Machine& m = machine();
  const TensorMapContent t = checked(map, shared);
  const std::uint32_t address = shared_address(shared);
  if (ranks == 0) fault("a tensor copy to no block");
  for (unsigned rank = 0; rank < 16; ++rank) {
    if ((ranks >> rank & 1) == 0) continue;
    Block& block = block_of_cluster(rank);
    auto* const to = static_cast<std::byte*>(in_block(shared, block));
    auto* const counter = static_cast<std::uint64_t*>(in_block(barrier, block));
    need_fenced_barrier(block, counter);
    std::memset(to, poison, static_cast<std::size_t>(t.box_bytes()));  // may be overwritten from now on
    if (m.at_once())
      load(t, block, to, address, counter, x, y);
    else
      m.engine.push_back([=, &block] { load(t, block, to, address, counter, x, y); });
  }
}

void tensor_store(const CUtensorMap& map, const void* shared, int x, int y) {
  const TensorMapContent t = checked(map, shared);
  auto* const from = const_cast<std::byte*>(static_cast<const std::byte*>(shared));
  const std::uint32_t address = shared_address(shared);
  const auto store = [=] {
    // An H200 writes a row's last piece whole.
    for_each_element(t, from, address, x, y, true,
                     [](const std::byte* element, std::byte* to, std::size_t bytes) {
                       if (to) std::memcpy(to, element, bytes);
                     });
  };
  if (machine().at_once()) return store();
  this_thread().stores.add(store);
}

void tensor_store_commit() { this_thread().stores.commit(); }

void tensor_store_wait(unsigned unfinished) {
  this_thread().stores.wait(unfinished, [](const std::function<void()>& store) { store(); });
}

}  // namespace cuda_on_host
