/// What ranks send in place of a bucket's gradients, where a run asks for a codec: which messages there are,
/// of how many bytes, and where in a message lies what.
///
/// By codecs of single values the gradients are added up in two exchanges: each rank encodes the share of
/// every other one and sends it there; a rank adds what it gets to its own share, encodes the sum and gathers
/// those of all. Two ranks tell each other all they have instead, which is as much, and rounds once. So do
/// any ranks by topk. By powersgd two all-reduces add up the factors of each matrix. Secure sums take one
/// all-reduce of whole numbers under masks. Workers push to each server a code of its share.
#pragma once

#include <vector>

#include "partita/kernels/codec.hpp"
#include "partita/step/program.hpp"

namespace partita::step {

/// What a rank carries for codecs from step to step: residuals, bases, the loss scale, masked gradients that
/// wait for a delayed update, codes that come to a server.
Bytes codec_state(const Program&);

/// Over which axes the program adds up in secret, in order; and the bytes of public keys that a rank sends
/// before.
std::vector<topology::Axis> secure_axes(const Program&);
Bytes sent_keys(const Program&);

/// The largest magnitude of a gradient's element that a rank can add to a secure sum over an axis.
double largest_secure(const Program&, topology::Axis);

/// Whether ranks send a share of the bucket to each other, and add up their own.
bool scatters_codes(const Program&, const Bucket&);

/// ranks + 1 offsets into the bytes that a rank sends to the owner of each share; that come to it; and that
/// all have in the end. What it would send itself has its place, and stays unused. `place`: of the rank along
/// the bucket's axis.
std::vector<std::int64_t> cuts_to_owners(const Program&, const Bucket&);
std::vector<std::int64_t> cuts_from_ranks(const Program&, const Bucket&, int place);
std::vector<std::int64_t> cuts_to_all(const Program&, const Bucket&);

/// What is encoded together: neighbouring values of a bucket, into so many bytes.
struct CodedPart {
  topology::Range values;  ///< within the bucket
  std::int64_t bytes = 0;
};
/// A rank's share of the bucket, and everything, as the parts of one message. Usually that is one part, by
/// topk a tensor; but where other ranks of the tensor axis have copies of some tensors only, these are apart
/// from the others, and shared out apart: so that copies are sent as equal codes.
std::vector<CodedPart> parts_of_share(const Program&, const Bucket&, int place);
std::vector<CodedPart> parts_of_all(const Program&, const Bucket&);
/// What a worker pushes to the server of this data coordinate: of its share one part, by topk one of each
/// tensor that it has some of.
std::vector<CodedPart> parts_of_push(const Program&, const Bucket&, int server);
std::int64_t bytes_of(const std::vector<CodedPart>&);

/// A tensor of a bucket as powersgd has it. One that two factors would not make smaller is sent as it is,
/// with the left factors.
struct Factored {
  Elements first{}, count{};  ///< within the bucket
  kernels::LowRank matrix;    ///< of rank 0: none
  Elements left{}, right{};   ///< where its factors, or its elements, lie in their slots
  /// Elements of both slots.
  [[nodiscard]] Elements in_left() const {
    return matrix.rank > 0 ? Elements(matrix.rank * matrix.rows) : count;
  }
  [[nodiscard]] Elements in_right() const { return Elements(matrix.rank * matrix.columns); }
};
std::vector<Factored> factored_of(const Program&, const Bucket&);

}  // namespace partita::step
