/// Conversions between placements as pure arithmetic: which blocks of a tensor go where.
///
/// One conversion serves both directions of an edge: values from the producer's to the consumer's placement,
/// gradients from the consumer's to the producer's. Costs are totals over the group for N elements: slicing,
/// keeping and padding 0; all-gather and reduce-scatter (t−1)N; all-reduce 2(t−1)N; all-to-all what changes
/// its owner.
#pragma once

#include <array>
#include <vector>

#include "partita/kernels/shape.hpp"
#include "partita/kernels/strided_block.hpp"
#include "partita/step/placement.hpp"
#include "partita/topology/cut.hpp"

namespace partita::step {

/// A part of a batch of images; flat features are channels of one pixel. Ranges of a window's storage may
/// reach beyond the image into its zero border.
struct Box {
  topology::Range samples, channels, rows, columns;
  [[nodiscard]] std::int64_t elements() const {
    return samples.size() * channels.size() * rows.size() * columns.size();
  }
};

/// What `rank` of `ranks` stores of a tensor of `samples` samples in this placement.
Box storage_of(const Placement&, const kernels::Shape&, int rank, int ranks, std::int64_t samples);

struct Conversion {
  Placement from, to;
  kernels::Shape shape;  ///< of a sample of the whole tensor
};

/// How a conversion is done. `none`: nothing to do. `keep`: rank 0 keeps, the others hold zeros. `local`: a
/// copy of what this rank has.
enum class Exchange { none, keep, local, all_reduce, reduce_scatter, all_gather, all_to_all };
Exchange exchange_of(const Placement& from, const Placement& to);

/// Elements of the piece that goes from one rank to another (also to itself).
std::int64_t piece_elements(const Conversion&, int from, int to, int ranks, std::int64_t samples);

/// Elements that change their rank, summed over the group.
std::int64_t moved_elements(const Conversion&, int ranks, std::int64_t samples);

/// Offsets of the pieces in a buffer: of all ranks (all-gather, reduce-scatter), or of what `rank` sends to
/// and receives from each rank (all-to-all; its own piece stays where it is and has none).
std::vector<std::int64_t> buffer_cuts(const Conversion&, int ranks, std::int64_t samples);
std::vector<std::int64_t> send_cuts(const Conversion&, int rank, int ranks, std::int64_t samples);
std::vector<std::int64_t> receive_cuts(const Conversion&, int rank, int ranks, std::int64_t samples);

/// The two ends of an exchange on one rank.
enum class End { send, receive };

/// Elements of the buffer that all pieces of an exchange lie in on `rank`: those that it sends, or those that
/// it receives; an all-gather and a reduce-scatter have one buffer for both.
std::int64_t message_elements(const Conversion&, End, int rank, int ranks, std::int64_t samples);

/// One copy of a block between two of a conversion's memories.
enum class Memory { source, buffer, target };
struct BlockMove {
  Memory from = Memory::source;
  std::array<std::int64_t, 4> extents{};
  kernels::StridedBlock source, target;
  bool add = false;
};

/// The copies before (source to send buffer) and after (receive buffer, or source, to target) the exchange;
/// local conversions have the second kind only. Targets of additions, and targets with more storage than
/// copies fill, are zeroed first.
std::vector<BlockMove> pack_moves(const Conversion&, int rank, int ranks, std::int64_t samples,
                                  kernels::Layout);
std::vector<BlockMove> unpack_moves(const Conversion&, int rank, int ranks, std::int64_t samples,
                                    kernels::Layout);
bool zeroes_target(const Conversion&);

}  // namespace partita::step
