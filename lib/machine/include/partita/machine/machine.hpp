/// What a machine can do, as far as choices and predictions ask for it: read from a file.
///
/// A line is a statement, or empty; '#' begins a comment. A statement is a word and values by name, in any
/// order:
///     compute flops_per_second=60e9 call_seconds=1e-6
///     memory level=main bytes_per_second=10e9
///     link latency_seconds=5e-6 bytes_per_second=4e9
/// Each statement comes once; of `memory` one for each level. All figures are those of one rank.
#pragma once

#include <filesystem>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

#include "partita/base/error.hpp"

namespace partita::machine {

struct Machine {
  double flops_per_second = 0;
  double call_seconds = 0;  ///< that a kernel takes besides its work
  /// Between a core and its main memory, and its caches; without a statement nobody waits for that level.
  double main_bytes_per_second = 0;
  double cache_bytes_per_second = std::numeric_limits<double>::infinity();
  /// Of what a rank sends to another: before the first byte arrives, and from then on.
  double link_latency_seconds = 0;
  double link_bytes_per_second = 0;

  friend bool operator==(const Machine&, const Machine&) = default;

  /// inputs/machines/default.machine, compiled in.
  static const Machine& shipped();
  /// Appends to `violations` whatever is wrong in the text: lines by their number, statements that are
  /// missing.
  static Machine parse(std::string_view text, std::vector<base::Violation>& violations);
  /// The same of a file; one that cannot be read is a violation of the option that names it.
  static Machine read(const std::filesystem::path&, const std::string& option,
                      std::vector<base::Violation>& violations);

  /// The statements as text that `parse` reads back to the same machine.
  [[nodiscard]] std::string to_text() const;
  /// SHA-256 of `to_text`.
  [[nodiscard]] std::string hash() const;
};

}  // namespace partita::machine
