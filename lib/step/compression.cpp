/// Sizes of codes, and how they are cut.
#include "partita/step/compression.hpp"

#include <algorithm>
#include <cmath>
#include <set>
#include <utility>

#include "partita/kernels/fixed_point.hpp"

namespace partita::step {

using kernels::Codec;

namespace {

int ranks_of(const Program& program, const Bucket& bucket) { return program.grid.along(bucket.axis); }

/// Parts of a bucket that are cut into shares apart: all, or runs of tensors of which other ranks of the
/// tensor axis have copies, and of others. Where these ranks add up the bucket together nobody has a copy;
/// shares that ranks update are those of the whole bucket.
std::vector<topology::Range> blocks_of(const Program& program, const Bucket& bucket) {
  if (bucket.is_split || program.grid.tensor == 1 || contains(bucket.axis, topology::Axis::tensor))
    return {{0, bucket.count.value()}};
  std::vector<topology::Range> blocks;
  bool is_whole = false;
  for (const auto& tensor : bucket.tensors) {
    const auto begin = tensor.first.value(), end = begin + tensor.count.value();
    if (blocks.empty() || std::exchange(is_whole, tensor.is_whole) != tensor.is_whole)
      blocks.push_back({begin, end});
    blocks.back().end = end;
  }
  return blocks;
}

CodedPart part_of(Codec codec, topology::Range values, std::int64_t kept = 0) {
  return {values, kernels::encoded_bytes(codec, values.size(), kept)};
}

/// How many values of a tensor topk sends.
std::int64_t kept_of(const Program& program, std::int64_t n) {
  const auto wanted =
      static_cast<std::int64_t>(std::ceil(program.compression.ratio * static_cast<double>(n)));
  return std::clamp<std::int64_t>(wanted, std::min<std::int64_t>(n, 1), n);
}

std::int64_t bytes_of_share(const Program& program, const Bucket& bucket, int place) {
  return bytes_of(parts_of_share(program, bucket, place));
}

/// Offsets of pieces of so many bytes, one behind the other.
template <class BytesOf>
std::vector<std::int64_t> offsets(int pieces, BytesOf bytes_of) {
  std::vector<std::int64_t> at{0};
  for (int piece = 0; piece < pieces; ++piece)
    at.push_back(at.back() + bytes_of(piece));
  return at;
}

}  // namespace

std::int64_t bytes_of(const std::vector<CodedPart>& parts) {
  std::int64_t bytes = 0;
  for (const auto& part : parts)
    bytes += part.bytes;
  return bytes;
}

Bytes codec_state(const Program& program) {
  const Elements scale =
      program.loss_scale_slot ? program.slots[*program.loss_scale_slot].fixed : Elements(0);
  return bytes_of(program.type, program.residual_count + program.basis_count) + program.message_bytes +
         bytes_of(DataType::float64, scale);
}

std::vector<topology::Axis> secure_axes(const Program& program) {
  std::set<topology::Axis> axes;
  if (program.secret_losses) axes.insert(program.secret_losses->axis);
  for (const auto& bucket : program.buckets)
    if (bucket.coding && program.secret_losses) axes.insert(bucket.axis);
  axes.erase(topology::Axis::none);
  return {axes.begin(), axes.end()};
}

Bytes sent_keys(const Program& program) {
  constexpr Bytes of_key(32);
  Bytes sent{};
  for (const auto axis : secure_axes(program))
    sent += of_key * (program.grid.along(axis) - 1);
  return sent;
}

double largest_secure(const Program& program, topology::Axis axis) {
  const auto whole = kernels::largest_term(program.grid.along(axis));
  return std::ldexp(static_cast<double>(whole), -program.compression.bits);
}

bool scatters_codes(const Program& program, const Bucket& bucket) {
  return kernels::codes_values(program.compression.codec) &&
         (bucket.is_split || ranks_of(program, bucket) > 2);
}

std::vector<std::int64_t> cuts_to_owners(const Program& program, const Bucket& bucket) {
  return offsets(ranks_of(program, bucket),
                 [&](int owner) { return bytes_of_share(program, bucket, owner); });
}

std::vector<std::int64_t> cuts_from_ranks(const Program& program, const Bucket& bucket, int place) {
  return offsets(ranks_of(program, bucket), [&](int) { return bytes_of_share(program, bucket, place); });
}

std::vector<std::int64_t> cuts_to_all(const Program& program, const Bucket& bucket) {
  const bool of_shares = scatters_codes(program, bucket);
  return offsets(ranks_of(program, bucket), [&](int rank) {
    return of_shares ? bytes_of_share(program, bucket, rank) : bytes_of(parts_of_all(program, bucket));
  });
}

std::vector<CodedPart> parts_of_share(const Program& program, const Bucket& bucket, int place) {
  std::vector<CodedPart> parts;
  for (const auto& block : blocks_of(program, bucket)) {
    const auto share = topology::share(place, ranks_of(program, bucket), block.size());
    parts.push_back(part_of(program.compression.codec, {block.begin + share.begin, block.begin + share.end}));
  }
  return parts;
}

std::vector<CodedPart> parts_of_all(const Program& program, const Bucket& bucket) {
  const auto codec = program.compression.codec;
  std::vector<CodedPart> parts;
  if (codec != Codec::topk) {
    for (const auto& block : blocks_of(program, bucket))
      parts.push_back(part_of(codec, block));
    return parts;
  }
  for (const auto& tensor : bucket.tensors) {
    const topology::Range values{tensor.first.value(), (tensor.first + tensor.count).value()};
    parts.push_back(part_of(codec, values, kept_of(program, values.size())));
  }
  return parts;
}

std::vector<CodedPart> parts_of_push(const Program& program, const Bucket& bucket, int server) {
  const auto codec = program.compression.codec;
  const auto share = program.share_of(bucket, server);
  if (codec != Codec::topk) return {part_of(codec, share)};
  std::vector<CodedPart> parts;
  for (const auto& tensor : bucket.tensors) {
    const auto begin = tensor.first.value(), end = begin + tensor.count.value();
    const topology::Range values{std::max(begin, share.begin), std::min(end, share.end)};
    if (values.begin < values.end) parts.push_back(part_of(codec, values, kept_of(program, values.size())));
  }
  return parts;
}

std::vector<Factored> factored_of(const Program& program, const Bucket& bucket) {
  std::vector<Factored> all;
  Elements left{}, right{};
  for (const auto& tensor : bucket.tensors) {
    const std::int64_t columns = tensor.columns,
                       rows = tensor.count.value() / std::max<std::int64_t>(columns, 1),
                       rank = program.compression.rank;
    Factored f{.first = tensor.first, .count = tensor.count, .left = left, .right = right};
    if (2 * rank * (rows + columns) < rows * columns) f.matrix = {rows, columns, rank};
    left += f.in_left(), right += f.in_right();
    all.push_back(f);
  }
  return all;
}

}  // namespace partita::step
