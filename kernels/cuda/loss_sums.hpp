/// How the kernels of losses add up (loss, correct): each block its rows or elements, in double and in fixed
/// order; then one block the sums of all blocks. A loss of one block writes the result itself.
#pragma once

#include <algorithm>

#include "group.hpp"
#include "issue.hpp"
#include "launch.hpp"

namespace partita::kernels::cuda {

/// Of what a thread has seen; in shared memory and in `Scratch::sums` two doubles.
struct LossPart {
  double loss = 0, correct = 0;
};

/// sums[2·block] = Σ over the block's threads. `room` is shared, [block_warps].
__device__ inline void write_part(LossPart part, double* room, double* sums) {
  const double loss = Block::reduce(part.loss, Sum(), room),
               correct = Block::reduce(part.correct, Sum(), room);
  if (threadIdx.x == 0) sums[2 * blockIdx.x] = loss, sums[2 * blockIdx.x + 1] = correct;
}

/// Work of a loss kernel, cut into blocks by its extent only.
struct LossCut {
  std::int64_t of_block = 0;  ///< rows or elements of each, the last one's may be fewer
  unsigned blocks = 0;
};
constexpr LossCut cut_loss(std::int64_t extent, std::int64_t of_block) {
  const auto blocks_of = [&] { return (extent + of_block - 1) / of_block; };
  while (blocks_of() > Scratch::blocks)
    of_block *= 2;
  return {of_block, static_cast<unsigned>(std::max<std::int64_t>(1, blocks_of()))};
}

/// sums = Σ parts of so many blocks.
void finish_sums(unsigned blocks, const double* parts, double* sums, cudaStream_t);

/// Where the blocks write, and the launch that makes one of many.
template <class Launch>
void issue_loss(const LossCut& cut, double* sums, const Scratch& scratch, cudaStream_t stream,
                Launch&& launch_blocks) {
  if (cut.blocks == 1) return launch_blocks(sums);
  launch_blocks(scratch.sums);
  finish_sums(cut.blocks, scratch.sums, sums, stream);
}

}  // namespace partita::kernels::cuda
