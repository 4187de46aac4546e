/// Masks that hide what each rank adds to a sum, and vanish in the sum (Bonawitz et al. 2017,
/// doi:10.1145/3133956.3133982, without its shares of secrets: a rank that is lost ends the job).
///
/// Any two ranks i < j have a key K. Of the words that its key stream gives, i adds each to what it sends and
/// j takes each from it: mod 2ⁿ the sum of all ranks is that of what they hid, and what one of them sends, or
/// any of them short of all, is as good as random to whoever lacks their keys.
#pragma once

#include <span>
#include <string_view>
#include <vector>

#include "partita/base/key_stream.hpp"
#include "partita/kernels/view.hpp"

namespace partita::execute {

/// Those of one rank among the ranks of a group.
class Masks {
 public:
  /// `public_keys`: of all ranks in their order, this one's own among them; at least two.
  Masks(const base::KeyPair& own, int rank, std::span<const base::Key> public_keys,
        std::string_view config_hash, std::string_view axis);

  /// Adds the masks of all pairs to a message of int32 or int64, mod 2³² or 2⁶⁴; allocates nothing.
  void add(kernels::View message, const base::Nonce&);

 private:
  int rank_;
  std::vector<base::KeyStream> streams_;  ///< by rank, without the own
};

}  // namespace partita::execute
