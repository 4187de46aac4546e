/// What is sent in place of gradients, made and read.
#include <algorithm>
#include <cmath>

#include "bound.hpp"
#include "partita/step/compression.hpp"

namespace partita::execute {

using kernels::Codec;
using kernels::Elements;
using kernels::View;
using step::Phase;

namespace {

View part(View whole, std::int64_t begin, std::int64_t end) {
  return whole.empty() ? View() : whole.slice(Elements(begin), Elements(end - begin));
}
/// Piece i of those that begin at `cuts`.
View piece(View whole, const std::vector<std::int64_t>& cuts, int i) {
  const auto at = static_cast<std::size_t>(i);
  return part(whole, cuts[at], cuts[at + 1]);
}

/// The largest power of two that gradients are multiplied by, and after how many steps they are by twice as
/// much (Micikevicius et al. 2018, arXiv:1710.03740).
constexpr double largest_loss_scale = 0x1p24, steps_to_double = 2000;

/// Where a gradient was too large for fp16, the step is lost and the scale halved. One that is not finite
/// without any scale is no matter of the format.
void adapt(View loss_scale, View norm) {
  auto& scale = loss_scale.as<double>()[0];
  auto& steps = loss_scale.as<double>()[1];
  if (!std::isfinite(norm.as<double>()[0])) {
    steps = 0;
    if (scale == 1) return;
    scale /= 2;
    norm.as<double>()[1] = 0;
  } else if (++steps == steps_to_double) {
    steps = 0;
    scale = std::min(2 * scale, largest_loss_scale);
  }
}

}  // namespace

/// A bucket's slots and the codec that goes between them.
class Executor::Coder {
 public:
  Coder(Executor& executor, Bound& bound, step::BucketId b)
      : program_(executor.program_),
        bucket_(program_.buckets[b]),
        codec_(program_.compression.codec),
        kernels_(*executor.backend_.codecs()),
        ranks_(program_.grid.along(bucket_.axis)),
        gradients_(bound.slot(bucket_.gradients.front())),
        residual_(bound.slot(bucket_.coding->residual)),
        to_owners_(bound.slot(bucket_.coding->to_owners)),
        from_ranks_(bound.slot(bucket_.coding->from_ranks)),
        to_all_(bound.slot(bucket_.coding->to_all)),
        left_(bound.slot(bucket_.coding->left)),
        right_(bound.slot(bucket_.coding->right)),
        basis_(bound.slot(bucket_.coding->basis)),
        scale_(bound.slot(program_.loss_scale_slot)) {
    place_ = topology::place_along(program_.grid, executor.axes_.at(), bucket_.axis);
  }

  void encode_for_owners() {
    const auto cuts = cuts_to_owners(program_, bucket_);
    for (int owner = 0; owner < ranks_; ++owner)
      if (owner != place_) encode(share_of(owner), piece(to_owners_, cuts, owner));
  }
  /// This rank's own gradients first, then those of the others in order.
  void add_from_ranks() {
    const auto cuts = cuts_from_ranks(program_, bucket_, place_);
    for (int rank = 0; rank < ranks_; ++rank)
      if (rank != place_)
        kernels_.decode(codec_, piece(from_ranks_, cuts, rank), scale_, true,
                        of(gradients_, share_of(place_)));
  }
  void encode_sum() { encode(share_of(place_), piece(to_all_, cuts_to_all(program_, bucket_), place_)); }
  void decode_sums() {
    const auto cuts = cuts_to_all(program_, bucket_);
    for (int owner = 0; owner < ranks_; ++owner)
      kernels_.decode(codec_, piece(to_all_, cuts, owner), scale_, false, of(gradients_, share_of(owner)));
  }

  void encode_for_all() {
    each_part(piece(to_all_, cuts_to_all(program_, bucket_), place_),
              [this](topology::Range range, View message) { encode(range, message); });
  }
  void add_from_all() {
    const auto cuts = cuts_to_all(program_, bucket_);
    for (int rank = 0; rank < ranks_; ++rank)
      each_part(piece(to_all_, cuts, rank), [&](topology::Range range, View message) {
        kernels_.decode(codec_, message, scale_, rank > 0, of(gradients_, range));
      });
  }

  void project(kernels::Backend& backend) {
    constexpr kernels::StridedBlock contiguous{.strides = {0, 0, 0, 1}};
    const auto add = [&](View from, View to, kernels::Write write) {
      backend.copy_block({1, 1, 1, from.size().value()}, contiguous, from, contiguous, to, write);
    };
    if (!residual_.empty()) add(residual_, gradients_, kernels::Write::accumulate);
    for (const auto& f : factored_of(program_, bucket_)) {
      const View values = gradients_.slice(f.first, f.count), left = left_.slice(f.left, f.in_left());
      if (f.matrix.rank > 0)
        kernels_.project(f.matrix, values, basis_.slice(f.right, f.in_right()), left);
      else
        add(values, left, kernels::Write::overwrite);
    }
  }
  void complete() {
    for (const auto& f : factored_of(program_, bucket_)) {
      if (f.matrix.rank == 0) continue;
      const View left = left_.slice(f.left, f.in_left());
      kernels_.orthonormalise(f.matrix, left);
      kernels_.complete(f.matrix, left, gradients_.slice(f.first, f.count),
                        residual_.empty() ? View() : residual_.slice(f.first, f.count),
                        right_.slice(f.right, f.in_right()));
    }
  }
  void multiply(kernels::Backend& backend) {
    constexpr kernels::StridedBlock contiguous{.strides = {0, 0, 0, 1}};
    for (const auto& f : factored_of(program_, bucket_)) {
      const View values = gradients_.slice(f.first, f.count), left = left_.slice(f.left, f.in_left()),
                 right = right_.slice(f.right, f.in_right());
      if (f.matrix.rank == 0) {
        backend.copy_block({1, 1, 1, f.count.value()}, contiguous, left, contiguous, values,
                           kernels::Write::overwrite);
        continue;
      }
      kernels_.multiply(f.matrix, left, right, values);
      kernels_.keep(f.matrix, right, basis_.slice(f.right, f.in_right()));
    }
  }

 private:
  [[nodiscard]] topology::Range share_of(int place) const {
    return topology::share(place, ranks_, bucket_.count.value());
  }
  static View of(View whole, topology::Range range) { return part(whole, range.begin, range.end); }
  void encode(topology::Range range, View message) {
    kernels_.encode(codec_, of(gradients_, range), scale_, of(residual_, range), message);
  }
  /// What is encoded for itself, and where in a message of all: tensors by topk, else everything.
  template <class Each>
  void each_part(View message, Each each) const {
    if (codec_ != Codec::topk) return each(topology::Range{0, bucket_.count.value()}, message);
    std::int64_t at = 0;
    for (const auto& tensor : largest_of(program_, bucket_)) {
      const auto first = tensor.first.value(), n = tensor.count.value();
      const auto end = at + kernels::encoded_bytes(codec_, n, tensor.kept);
      each(topology::Range{first, first + n}, part(message, at, end));
      at = end;
    }
  }

  const step::Program& program_;
  const step::Bucket& bucket_;
  Codec codec_;
  kernels::Codecs& kernels_;
  int ranks_, place_ = 0;
  View gradients_, residual_, to_owners_, from_ranks_, to_all_, left_, right_, basis_, scale_;
};

void Executor::encode(const step::Instruction& instruction, Bound& bound) {
  Coder coder(*this, bound, *instruction.bucket);
  const auto& bucket = program_.buckets[*instruction.bucket];
  const bool is_first = instruction.phase == Phase::none;
  if (program_.compression.codec == Codec::powersgd)
    return is_first ? coder.project(backend_) : coder.complete();
  if (!scatters_codes(program_, bucket)) return coder.encode_for_all();
  is_first ? coder.encode_for_owners() : coder.encode_sum();
}

void Executor::decode(const step::Instruction& instruction, Bound& bound) {
  Coder coder(*this, bound, *instruction.bucket);
  if (program_.compression.codec == Codec::powersgd) return coder.multiply(backend_);
  if (!scatters_codes(program_, program_.buckets[*instruction.bucket])) return coder.add_from_all();
  instruction.phase == Phase::none ? coder.add_from_ranks() : coder.decode_sums();
}

void Executor::adapt_loss_scale(Bound& bound) {
  if (const View scale = bound.slot(program_.loss_scale_slot); !scale.empty())
    adapt(scale, bound.slot(program_.scale_slot));
}

}  // namespace partita::execute
