/// A rank's part of a tensor is a box of samples, channels, rows and columns. What rank i gives rank j is the
/// intersection of i's box before and j's box after; counts, cuts and strided blocks follow from it.
#include "partita/step/conversion.hpp"

#include <algorithm>

namespace partita::step {
namespace {

using kernels::Layout;
using kernels::Shape;
using kernels::StridedBlock;
using topology::Range;

struct Image {
  std::int64_t channels, rows, columns;
  explicit Image(const Shape& shape)
      : channels(shape.rank() == 3 ? shape[0] : shape.elements().value()),
        rows(shape.rank() == 3 ? shape[1] : 1),
        columns(shape.rank() == 3 ? shape[2] : 1) {}
};

Range share_of(const std::vector<std::int64_t>& offsets, int rank) {
  const auto r = static_cast<std::size_t>(rank);
  return {offsets[r], offsets[r + 1]};
}

Range intersection(Range a, Range b) {
  const Range both{std::max(a.begin, b.begin), std::min(a.end, b.end)};
  return both.begin < both.end ? both : Range{both.begin, both.begin};
}

Box intersection(const Box& a, const Box& b) {
  return {intersection(a.samples, b.samples), intersection(a.channels, b.channels),
          intersection(a.rows, b.rows), intersection(a.columns, b.columns)};
}

/// The part of a storage that lies in the image.
Box content_of(const Placement& placement, const Shape& shape, int rank, int ranks, std::int64_t samples) {
  const Image image(shape);
  return intersection(storage_of(placement, shape, rank, ranks, samples),
                      {{0, samples}, {0, image.channels}, {0, image.rows}, {0, image.columns}});
}

Box piece(const Conversion& c, int from, int to, int ranks, std::int64_t samples) {
  return intersection(content_of(c.from, c.shape, from, ranks, samples),
                      content_of(c.to, c.shape, to, ranks, samples));
}

/// Where a box begins in a memory that stores another box, and how far its neighbours are.
StridedBlock within(const Box& box, const Box& storage, Layout layout, std::int64_t offset) {
  const std::int64_t channels = storage.channels.size(), rows = storage.rows.size(),
                     columns = storage.columns.size();
  StridedBlock block;
  if (layout == Layout::nchw)
    block.strides = {channels * rows * columns, rows * columns, columns, 1};
  else
    block.strides = {channels * rows * columns, 1, columns * channels, channels};
  block.offset = offset + (box.samples.begin - storage.samples.begin) * block.strides[0] +
                 (box.channels.begin - storage.channels.begin) * block.strides[1] +
                 (box.rows.begin - storage.rows.begin) * block.strides[2] +
                 (box.columns.begin - storage.columns.begin) * block.strides[3];
  return block;
}

std::array<std::int64_t, 4> extents_of(const Box& box) {
  return {box.samples.size(), box.channels.size(), box.rows.size(), box.columns.size()};
}

bool adds(const Conversion& c) { return c.from.spread == Spread::window || c.from.spread == Spread::partial; }

}  // namespace

Box storage_of(const Placement& placement, const Shape& shape, int rank, int ranks, std::int64_t samples) {
  const Image image(shape);
  Box box{{0, samples}, {0, image.channels}, {0, image.rows}, {0, image.columns}};
  switch (placement.spread) {
    case Spread::replicated:
    case Spread::partial:
      break;
    case Spread::batch:
      box.samples = topology::share(rank, ranks, samples);
      break;
    case Spread::channel:
      box.channels = share_of(placement.offsets, rank);
      break;
    case Spread::height:
      box.rows = share_of(placement.offsets, rank);
      break;
    case Spread::window: {
      const Range out = share_of(placement.offsets, rank);
      box.rows = {out.begin * placement.stride - placement.padding.h,
                  (out.end - 1) * placement.stride - placement.padding.h + placement.kernel};
      if (out.empty()) box.rows.end = box.rows.begin;
      box.columns = {-placement.padding.w, image.columns + placement.padding.w};
      break;
    }
  }
  return box;
}

Exchange exchange_of(const Placement& from, const Placement& to) {
  const auto whole = [](const Placement& p) {
    return p.spread == Spread::replicated || p.spread == Spread::partial;
  };
  if (from == to) return Exchange::none;
  if (from.spread == Spread::replicated)
    return to.spread == Spread::partial ? Exchange::keep : Exchange::local;
  if (to.spread == Spread::partial) return Exchange::local;
  if (from.spread == Spread::partial) {
    if (to.spread == Spread::replicated) return Exchange::all_reduce;
    return to.spread == Spread::window ? Exchange::all_to_all : Exchange::reduce_scatter;
  }
  return whole(to) && from.spread != Spread::window ? Exchange::all_gather : Exchange::all_to_all;
}

std::int64_t piece_elements(const Conversion& c, int from, int to, int ranks, std::int64_t samples) {
  return piece(c, from, to, ranks, samples).elements();
}

namespace {

/// Of all pieces that a rank gives, or gets, its own among them. What it has lies in one piece for each other
/// that has all of the tensor, and in one piece in all where each element is one rank's.
std::int64_t pieces_elements(const Conversion& c, End end, int rank, int ranks, std::int64_t samples) {
  const auto& mine = end == End::send ? c.from : c.to;
  const auto others = (end == End::send ? c.to : c.from).spread;
  const bool all_have_all = others == Spread::replicated || others == Spread::partial;
  if (others != Spread::window)
    return (all_have_all ? ranks : 1) * content_of(mine, c.shape, rank, ranks, samples).elements();
  std::int64_t elements = 0;
  for (int r = 0; r < ranks; ++r)
    elements += end == End::send ? piece_elements(c, rank, r, ranks, samples)
                                 : piece_elements(c, r, rank, ranks, samples);
  return elements;
}

}  // namespace

std::int64_t moved_elements(const Conversion& c, int ranks, std::int64_t samples) {
  switch (exchange_of(c.from, c.to)) {
    case Exchange::none:
    case Exchange::keep:
    case Exchange::local:
      return 0;
    case Exchange::all_reduce:
      return std::int64_t{2} * (ranks - 1) * c.shape.elements().value() * samples;
    case Exchange::reduce_scatter:
    case Exchange::all_gather:
    case Exchange::all_to_all:
      break;
  }
  const auto end = c.to.spread == Spread::window ? End::receive : End::send;
  std::int64_t moved = 0;
  for (int r = 0; r < ranks; ++r)
    moved += pieces_elements(c, end, r, ranks, samples) - piece_elements(c, r, r, ranks, samples);
  return moved;
}

std::vector<std::int64_t> buffer_cuts(const Conversion& c, int ranks, std::int64_t samples) {
  const bool gathers = exchange_of(c.from, c.to) == Exchange::all_gather;
  std::vector<std::int64_t> cuts{0};
  for (int r = 0; r < ranks; ++r)
    cuts.push_back(cuts.back() + (gathers ? piece_elements(c, r, 0, ranks, samples)
                                          : piece_elements(c, 0, r, ranks, samples)));
  return cuts;
}

std::vector<std::int64_t> send_cuts(const Conversion& c, int rank, int ranks, std::int64_t samples) {
  std::vector<std::int64_t> cuts{0};
  for (int r = 0; r < ranks; ++r)
    cuts.push_back(cuts.back() + (r == rank ? 0 : piece_elements(c, rank, r, ranks, samples)));
  return cuts;
}

std::vector<std::int64_t> receive_cuts(const Conversion& c, int rank, int ranks, std::int64_t samples) {
  std::vector<std::int64_t> cuts{0};
  for (int r = 0; r < ranks; ++r)
    cuts.push_back(cuts.back() + (r == rank ? 0 : piece_elements(c, r, rank, ranks, samples)));
  return cuts;
}

std::int64_t message_elements(const Conversion& c, End end, int rank, int ranks, std::int64_t samples) {
  const auto exchange = exchange_of(c.from, c.to);
  if (exchange == Exchange::all_to_all)
    return pieces_elements(c, end, rank, ranks, samples) - piece_elements(c, rank, rank, ranks, samples);
  return pieces_elements(c, exchange == Exchange::all_gather ? End::receive : End::send, 0, ranks, samples);
}

bool zeroes_target(const Conversion& c) {
  if (exchange_of(c.from, c.to) == Exchange::reduce_scatter) return false;  // its target gets one whole piece
  return adds(c) || c.to.spread == Spread::partial || c.to.spread == Spread::window;
}

std::vector<BlockMove> pack_moves(const Conversion& c, int rank, int ranks, std::int64_t samples,
                                  Layout layout) {
  const Exchange exchange = exchange_of(c.from, c.to);
  const Box mine = storage_of(c.from, c.shape, rank, ranks, samples);
  std::vector<BlockMove> moves;
  const auto to_buffer = [&](const Box& box, std::int64_t offset) {
    moves.push_back({.extents = extents_of(box),
                     .source = within(box, mine, layout, 0),
                     .target = within(box, box, layout, offset)});
  };
  if (exchange == Exchange::all_gather)
    to_buffer(piece(c, rank, 0, ranks, samples),
              buffer_cuts(c, ranks, samples)[static_cast<std::size_t>(rank)]);
  const auto cuts = exchange == Exchange::reduce_scatter ? buffer_cuts(c, ranks, samples)
                    : exchange == Exchange::all_to_all   ? send_cuts(c, rank, ranks, samples)
                                                         : std::vector<std::int64_t>{};
  for (int r = 0; r + 1 < static_cast<int>(cuts.size()); ++r)
    if (exchange == Exchange::reduce_scatter || r != rank)
      to_buffer(piece(c, rank, r, ranks, samples), cuts[static_cast<std::size_t>(r)]);
  return moves;
}

std::vector<BlockMove> unpack_moves(const Conversion& c, int rank, int ranks, std::int64_t samples,
                                    Layout layout) {
  const Exchange exchange = exchange_of(c.from, c.to);
  const Box target = storage_of(c.to, c.shape, rank, ranks, samples);
  std::vector<BlockMove> moves;
  const auto from_source = [&](const Box& box, bool add) {
    moves.push_back({.from = Memory::source,
                     .extents = extents_of(box),
                     .source = within(box, storage_of(c.from, c.shape, rank, ranks, samples), layout, 0),
                     .target = within(box, target, layout, 0),
                     .add = add});
  };
  const auto from_buffer = [&](const Box& box, std::int64_t offset, bool add) {
    moves.push_back({.from = Memory::buffer,
                     .extents = extents_of(box),
                     .source = within(box, box, layout, offset),
                     .target = within(box, target, layout, 0),
                     .add = add});
  };
  if (exchange == Exchange::local) from_source(piece(c, rank, rank, ranks, samples), false);
  if (exchange == Exchange::reduce_scatter)
    from_buffer(piece(c, rank, rank, ranks, samples),
                buffer_cuts(c, ranks, samples)[static_cast<std::size_t>(rank)], false);
  if (exchange == Exchange::all_gather || exchange == Exchange::all_to_all) {
    const bool gathers = exchange == Exchange::all_gather;
    const auto cuts = gathers ? buffer_cuts(c, ranks, samples) : receive_cuts(c, rank, ranks, samples);
    for (int r = 0; r < ranks; ++r) {  // in rank order, so that sums are the same bits everywhere
      const Box box = piece(c, r, rank, ranks, samples);
      if (r == rank && !gathers)
        from_source(box, adds(c));
      else
        from_buffer(box, cuts[static_cast<std::size_t>(r)], adds(c));
    }
  }
  return moves;
}

}  // namespace partita::step
