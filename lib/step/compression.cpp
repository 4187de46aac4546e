/// Sizes of codes, and how they are cut.
#include "partita/step/compression.hpp"

#include <algorithm>
#include <cmath>

namespace partita::step {

using kernels::Codec;

namespace {

int ranks_of(const Program& program, const Bucket& bucket) { return program.grid.along(bucket.axis); }

std::int64_t bytes_of_share(const Program& program, const Bucket& bucket, int place) {
  const auto share = topology::share(place, ranks_of(program, bucket), bucket.count.value());
  return kernels::encoded_bytes(program.compression.codec, share.size(), 0);
}

std::int64_t bytes_of_all(const Program& program, const Bucket& bucket) {
  if (program.compression.codec != Codec::topk)
    return kernels::encoded_bytes(program.compression.codec, bucket.count.value(), 0);
  std::int64_t bytes = 0;
  for (const auto& tensor : largest_of(program, bucket))
    bytes += kernels::encoded_bytes(Codec::topk, tensor.count.value(), tensor.kept);
  return bytes;
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

Bytes codec_state(const Program& program) {
  const Elements scale =
      program.loss_scale_slot ? program.slots[*program.loss_scale_slot].fixed : Elements(0);
  return bytes_of(program.type, program.residual_count + program.basis_count) +
         bytes_of(DataType::float64, scale);
}

bool scatters_codes(const Program& program, const Bucket& bucket) {
  const auto codec = program.compression.codec;
  const bool of_values = codec != Codec::topk && codec != Codec::powersgd;
  return of_values && (bucket.is_split || ranks_of(program, bucket) > 2);
}

std::vector<std::int64_t> cuts_to_owners(const Program& program, const Bucket& bucket) {
  return offsets(ranks_of(program, bucket), [&](int owner) { return bytes_of_share(program, bucket, owner); });
}

std::vector<std::int64_t> cuts_from_ranks(const Program& program, const Bucket& bucket, int place) {
  return offsets(ranks_of(program, bucket),
                 [&](int) { return bytes_of_share(program, bucket, place); });
}

std::vector<std::int64_t> cuts_to_all(const Program& program, const Bucket& bucket) {
  const bool of_shares = scatters_codes(program, bucket);
  return offsets(ranks_of(program, bucket), [&](int rank) {
    return of_shares ? bytes_of_share(program, bucket, rank) : bytes_of_all(program, bucket);
  });
}

std::vector<Largest> largest_of(const Program& program, const Bucket& bucket) {
  std::vector<Largest> all;
  for (const auto& tensor : bucket.tensors) {
    const auto n = tensor.count.value();
    const auto wanted =
        static_cast<std::int64_t>(std::ceil(program.compression.ratio * static_cast<double>(n)));
    all.push_back({.first = tensor.first,
                   .count = tensor.count,
                   .kept = std::clamp<std::int64_t>(wanted, std::min<std::int64_t>(n, 1), n)});
  }
  return all;
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
