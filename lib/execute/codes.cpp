/// What is sent in place of gradients, made and read.
#include <algorithm>
#include <cmath>

#include "bound.hpp"
#include "partita/base/error.hpp"
#include "partita/step/compression.hpp"
#include "secure_sums.hpp"

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
    if (scale <= 1) return;
    scale /= 2;
    norm.as<double>()[1] = 0;
  } else if (++steps == steps_to_double) {
    steps = 0;
    scale = std::min(2 * scale, largest_loss_scale);
  }
}

/// The gradients that an instruction encodes or decodes.
step::SlotId gradients_of(const step::Program& program, const step::Instruction& instruction) {
  for (const auto* slots : {&instruction.reads, &instruction.writes})
    for (const auto slot : *slots)
      if (const auto role = program.slots[slot].role;
          role == step::SlotRole::parameter_gradients || role == step::SlotRole::pushed)
        return slot;
  throw base::ContractError("codes are of gradients");
}

}  // namespace

/// A bucket's slots and the codec that goes between them.
class Executor::Coder {
 public:
  /// `gradients`: which of the bucket's buffers.
  Coder(Executor& executor, Bound& bound, step::BucketId b, step::SlotId gradients)
      : program_(executor.program_),
        bucket_(program_.buckets[b]),
        codec_(program_.compression.codec),
        kernels_(*executor.backend_.codecs()),
        ranks_(program_.grid.along(bucket_.axis)),
        gradients_(bound.slot(gradients)),
        residual_(bound.slot(bucket_.coding->residual)),
        to_owners_(bound.slot(bucket_.coding->to_owners)),
        from_ranks_(bound.slot(bucket_.coding->from_ranks)),
        to_all_(bound.slot(bucket_.coding->to_all)),
        left_(bound.slot(bucket_.coding->left)),
        right_(bound.slot(bucket_.coding->right)),
        basis_(bound.slot(bucket_.coding->basis)),
        scale_(bound.slot(program_.loss_scale_slot)) {
    place_ = topology::place_along(program_.grid, executor.axes_.at(), bucket_.axis);
    if (program_.serves()) first_ = program_.own(bucket_, place_).begin;
  }

  void encode_for_owners() {
    const auto cuts = cuts_to_owners(program_, bucket_);
    for (int owner = 0; owner < ranks_; ++owner)
      if (owner != place_) encode(parts_of_share(program_, bucket_, owner), piece(to_owners_, cuts, owner));
  }
  /// This rank's own gradients first, then those of the others in order. Nobody sends a residual of a share
  /// that its rank keeps: what there is of an earlier training is added here.
  void add_from_ranks(kernels::Backend& backend) {
    const auto parts = parts_of_share(program_, bucket_, place_);
    const auto cuts = cuts_from_ranks(program_, bucket_, place_);
    for (int rank = 0; rank < ranks_; ++rank)
      if (rank != place_) decode(parts, piece(from_ranks_, cuts, rank), true);
    if (!bucket_.is_split || residual_.empty()) return;
    for (const auto& own : parts)
      move_residual(backend, own.values);
  }
  void encode_sum() {
    encode(parts_of_share(program_, bucket_, place_), piece(to_all_, cuts_to_all(program_, bucket_), place_));
  }
  void decode_sums() {
    const auto cuts = cuts_to_all(program_, bucket_);
    for (int owner = 0; owner < ranks_; ++owner)
      decode(parts_of_share(program_, bucket_, owner), piece(to_all_, cuts, owner), false);
  }

  /// `pushes`: the message to each server.
  void encode_for_servers(const std::vector<View>& pushes) {
    for (std::size_t s = 0; s < pushes.size(); ++s)
      encode(parts_of_push(program_, bucket_, program_.workers() + static_cast<int>(s)), pushes[s]);
  }
  void add_push(View push, bool adds) { decode(parts_of_push(program_, bucket_, place_), push, adds); }

  void encode_for_all() {
    encode(parts_of_all(program_, bucket_), piece(to_all_, cuts_to_all(program_, bucket_), place_));
  }
  void add_from_all() {
    const auto parts = parts_of_all(program_, bucket_);
    const auto cuts = cuts_to_all(program_, bucket_);
    for (int rank = 0; rank < ranks_; ++rank)
      decode(parts, piece(to_all_, cuts, rank), rank > 0);
  }

  void project(kernels::Backend& backend) {
    if (!residual_.empty()) copy_elements(backend, residual_, gradients_, kernels::Write::accumulate);
    for (const auto& f : factored_of(program_, bucket_)) {
      const View values = gradients_.slice(f.first, f.count), left = left_.slice(f.left, f.in_left());
      if (f.matrix.rank > 0) {
        kernels_.project(f.matrix, values, basis_.slice(f.right, f.in_right()), left);
        continue;
      }
      copy_elements(backend, values, left, kernels::Write::overwrite);
      if (!residual_.empty()) backend.zero(residual_.slice(f.first, f.count));
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
    for (const auto& f : factored_of(program_, bucket_)) {
      const View values = gradients_.slice(f.first, f.count), left = left_.slice(f.left, f.in_left()),
                 right = right_.slice(f.right, f.in_right());
      if (f.matrix.rank == 0) {
        copy_elements(backend, left, values, kernels::Write::overwrite);
        continue;
      }
      kernels_.multiply(f.matrix, left, right, values);
      kernels_.keep(f.matrix, right, basis_.slice(f.right, f.in_right()));
    }
  }

 private:
  static View of(View whole, topology::Range range) { return part(whole, range.begin, range.end); }
  [[nodiscard]] View of_gradients(topology::Range range) const {
    return part(gradients_, range.begin - first_, range.end - first_);
  }
  void move_residual(kernels::Backend& backend, topology::Range range) {
    copy_elements(backend, of(residual_, range), of_gradients(range), kernels::Write::accumulate);
    backend.zero(of(residual_, range));
  }
  /// A message has its parts one behind the other.
  void encode(const std::vector<step::CodedPart>& parts, View message) {
    std::int64_t at = 0;
    for (const auto& p : parts) {
      kernels_.encode(codec_, of_gradients(p.values), scale_, of(residual_, p.values),
                      part(message, at, at + p.bytes));
      at += p.bytes;
    }
  }
  void decode(const std::vector<step::CodedPart>& parts, View message, bool adds) {
    std::int64_t at = 0;
    for (const auto& p : parts) {
      kernels_.decode(codec_, part(message, at, at + p.bytes), scale_, adds, of_gradients(p.values));
      at += p.bytes;
    }
  }

  const step::Program& program_;
  const step::Bucket& bucket_;
  Codec codec_;
  kernels::Codecs& kernels_;
  int ranks_, place_ = 0;
  std::int64_t first_ = 0;  ///< of the bucket, where its gradients begin
  View gradients_, residual_, to_owners_, from_ranks_, to_all_, left_, right_, basis_, scale_;
};

void Executor::encode(const step::Instruction& instruction, Bound& bound) {
  if (secure_sums_)
    return secure_sums_->encode(instruction, bound.slot(instruction.reads.front()),
                                bound.slot(instruction.writes.front()));
  Coder coder(*this, bound, *instruction.bucket, gradients_of(program_, instruction));
  const auto& bucket = program_.buckets[*instruction.bucket];
  if (program_.servers > 0) {
    std::vector<View> pushes;
    for (const auto push : bucket.coding->pushes)
      pushes.push_back(bound.slot(push));
    return coder.encode_for_servers(pushes);
  }
  is_sent_[instruction.writes.front()] = 1;
  const bool is_first = instruction.phase == Phase::none;
  if (program_.compression.codec == Codec::powersgd)
    return is_first ? coder.project(backend_) : coder.complete();
  if (!scatters_codes(program_, bucket)) return coder.encode_for_all();
  is_first ? coder.encode_for_owners() : coder.encode_sum();
}

void Executor::decode(const step::Instruction& instruction, Bound& bound) {
  if (secure_sums_) {
    View message = bound.slot(instruction.reads.front()), plain = bound.slot(instruction.writes.front());
    if (instruction.bucket) {
      const auto own = program_.own(program_.buckets[*instruction.bucket], axes_.at().data);
      message = part(message, own.begin, own.end), plain = part(plain, own.begin, own.end);
    }
    return secure_sums_->decode(instruction, message, plain);
  }
  if (program_.servers > 0)
    return Coder(*this, bound, *instruction.bucket, gradients_of(program_, instruction))
        .add_push(bound.slot(instruction.reads.front()), instruction.accumulates);
  if (is_sent_[instruction.reads.front()] == 0 && instruction.phase == Phase::finish)
    return;  // a former launch sent it, and decoded it for its checkpoint
  Coder coder(*this, bound, *instruction.bucket, gradients_of(program_, instruction));
  if (program_.compression.codec == Codec::powersgd) return coder.multiply(backend_);
  if (!scatters_codes(program_, program_.buckets[*instruction.bucket])) return coder.add_from_all();
  instruction.phase == Phase::none ? coder.add_from_ranks(backend_) : coder.decode_sums();
}

/// What a delayed update would decode first. Once more it gives the same.
void Executor::decode_what_waits(Bound& bound) {
  for (const auto& instruction : program_.instructions)
    if (instruction.kind == step::Kind::decode && instruction.phase == Phase::finish && instruction.bucket)
      decode(instruction, bound);
}

bool Executor::is_lost(const Bound& bound) const {
  const bool may_be = secure_sums_ || program_.loss_scale_slot;
  return may_be && bound.slot(program_.scale_slot).as<double>()[1] == 0;
}

void Executor::adapt_loss_scale(Bound& bound) {
  const View norm = bound.slot(program_.scale_slot);
  if (const View scale = bound.slot(program_.loss_scale_slot); !scale.empty()) adapt(scale, norm);
  if (secure_sums_ && std::isinf(norm.as<double>()[0])) norm.as<double>()[1] = 0;
  if (inspects_ || !is_lost(bound)) return;
  ++lost_steps_;
  parameters_.set_first_update(parameters_.first_update() + 1);  // no update: corrections do not count it
}

}  // namespace partita::execute
