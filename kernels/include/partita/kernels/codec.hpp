/// Codecs: what ranks send in place of values, to send less. A message is a sequence of bytes; what it does
/// not say of the values a residual may keep for the next one (error feedback: Seide et al. 2014,
/// doi:10.21437/Interspeech.2014-274; Karimireddy et al. 2019, arXiv:1901.09847).
#pragma once

#include <memory>
#include <optional>
#include <string_view>

#include "partita/kernels/view.hpp"

namespace partita::kernels {

/// Of n values x, rounded to float32 before:
///
///   bf16, fp16  2n bytes: each value, rounded to the nearest of its format, of equally near ones to the even
///   int8        n + 4: a float32 scale max|x|/127, then x/scale rounded likewise
///   sign        ⌈n/8⌉ + 4: the root mean square of x, then a bit a value, 1 where it is negative
///   topk        8k: index (uint32) and value of the k of largest magnitude, of equal ones the first
///   powersgd    no message, but two factors of a matrix, see `Codecs`
///   secure      4n: whole multiples of a power of two (partita/kernels/fixed_point.hpp) under masks, which
///               ranks add up as they are; not made by `Codecs`
///
/// sign: Bernstein et al. 2018, arXiv:1802.04434; topk: Lin et al. 2018, arXiv:1712.01887; powersgd: Vogels
/// et al. 2019, arXiv:1905.13727.
///
/// Nothing is sent of no values. Of a value that is not finite comes one that is not finite either.
enum class Codec { none, bf16, fp16, int8, sign, topk, powersgd, secure };

constexpr std::string_view to_string(Codec codec) {
  constexpr std::string_view words[] = {"none", "bf16", "fp16", "int8", "sign", "topk", "powersgd", "secure"};
  return words[static_cast<int>(codec)];
}

/// Whether each value goes by itself, so that shares can be encoded.
constexpr bool codes_values(Codec codec) {
  return codec == Codec::bf16 || codec == Codec::fp16 || codec == Codec::int8 || codec == Codec::sign;
}

/// The bytes of a message; `kept` of topk: how many values, at most n.
constexpr std::int64_t encoded_bytes(Codec codec, std::int64_t n, std::int64_t kept) {
  if (n == 0) return 0;
  switch (codec) {
    case Codec::bf16:
    case Codec::fp16:
      return 2 * n;
    case Codec::int8:
      return n + 4;
    case Codec::sign:
      return (n + 7) / 8 + 4;
    case Codec::topk:
      return 8 * kept;
    case Codec::secure:
      return 4 * n;
    case Codec::none:
    case Codec::powersgd:
      break;
  }
  return 0;
}

/// A matrix [rows, columns], row by row, in two factors [rank, rows] and [rank, columns].
struct LowRank {
  std::int64_t rows = 0, columns = 0, rank = 0;
};

/// Codecs in the memory of a back-end, on elements of its type. Decoded values do not depend on the kind of
/// CPU, so that replicas stay equal.
class Codecs {
 public:
  virtual ~Codecs() = default;

  /// Encodes scale·(x + residual) and leaves in `residual` what the message does not say of x + residual;
  /// where the message has a value that is not finite, a residual stays. An empty residual counts as 0 and is
  /// not written. `scale` [1..] float64, or empty: 1.
  virtual void encode(Codec, ConstView x, ConstView scale, View residual, View message) = 0;
  /// x = the message ÷ scale; or it is added to x.
  virtual void decode(Codec, ConstView message, ConstView scale, bool adds, View x) = 0;

  /// p = X·qᵀ, as the sums of a rank: q [rank, columns], p [rank, rows].
  virtual void project(const LowRank&, ConstView x, ConstView q, View p) = 0;
  /// Makes the rows of p orthonormal, one after the other, in float64; what depends on those before becomes
  /// 0.
  virtual void orthonormalise(const LowRank&, View p) = 0;
  /// q = p·X, and residual = X − pᵀ·q; where that is not finite, or the residual empty, it stays.
  virtual void complete(const LowRank&, ConstView p, ConstView x, View residual, View q) = 0;
  /// x = pᵀ·q.
  virtual void multiply(const LowRank&, ConstView p, ConstView q, View x) = 0;
  /// basis = q but for the rows of q that are 0 or not finite, which no later projection would leave.
  virtual void keep(const LowRank&, ConstView q, View basis) = 0;
};

/// On the host, in float32 or float64.
std::unique_ptr<Codecs> make_host_codecs(DataType);

}  // namespace partita::kernels
