/// Which algorithm an all-reduce takes. What `automatic` stands for is read from a table that
/// partita-bench-comm measured, never guessed.
///
/// One rule a line, '#' begins a comment:
///     reach=node ranks=4 bytes=65536 algorithm=window
/// says: 4 ranks of one node with private buffers of up to 65,536 bytes use the window. `bytes=any` is the
/// last rule of its kind. For rank counts that are not listed the next lower listed one counts, else the
/// lowest.
#pragma once

#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "partita/base/error.hpp"
#include "partita/collective/spec.hpp"

namespace partita::collective {

/// The algorithms that are possible there.
std::vector<Algorithm> candidates(Reach);

struct AlgorithmRule {
  Reach reach = Reach::node;
  int ranks = 1;
  std::optional<Bytes> up_to;  ///< none: any size
  Algorithm algorithm = Algorithm::ring;
  friend bool operator==(const AlgorithmRule&, const AlgorithmRule&) = default;
};

class AlgorithmTable {
 public:
  /// The table of inputs/machines/all_reduce.table, compiled in.
  static const AlgorithmTable& shipped();
  /// Appends to `violations` whatever is wrong in the text (line numbers as keys); every reach must have
  /// rules, and those of one reach and rank count rise in bytes and end with `any`.
  static AlgorithmTable parse(std::string_view text, std::vector<base::Violation>& violations);
  /// The same from a file; one that cannot be read is a violation of the option that names it.
  static AlgorithmTable read(const std::filesystem::path&, const std::string& option,
                             std::vector<base::Violation>& violations);

  [[nodiscard]] Algorithm choose(Reach, int ranks, Bytes) const;
  /// The same table with other rules for the reach and rank count of `rules`, which are all of one kind.
  [[nodiscard]] AlgorithmTable with(std::span<const AlgorithmRule> rules) const;
  [[nodiscard]] std::span<const AlgorithmRule> rules() const { return rules_; }
  /// The rules as text that `parse` reads.
  [[nodiscard]] std::string to_text() const;
  /// SHA-256 of `to_text`.
  [[nodiscard]] std::string hash() const;

 private:
  std::vector<AlgorithmRule> rules_;  ///< sorted by reach, ranks, bytes
};

/// The algorithm of an all-reduce of `size` bytes: the one that the wish names, else the window where ranks
/// reach each other's buffers, else what the table has for reach, ranks and bytes.
Algorithm choose(const Wish&, const Place&, Bytes size, const AlgorithmTable&);

}  // namespace partita::collective
