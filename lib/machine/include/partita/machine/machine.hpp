/// What a machine can do, as far as choices and predictions ask for it: read from a file.
///
/// A line is a statement, or empty; '#' begins a comment. A statement is a word and values by name, in any
/// order. Three must be there:
///     compute flops_per_second=60e9 call_seconds=1e-6
///     memory level=main bytes_per_second=10e9
///     link latency_seconds=5e-6 bytes_per_second=4e9
/// docs/machine.md has them all. All figures are those of one rank.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

#include "partita/base/error.hpp"
#include "partita/machine/kernel_time.hpp"
#include "partita/machine/network.hpp"

namespace partita::machine {

/// The schema of machine files that this version reads and writes; a file that names none has it.
inline constexpr std::int64_t schema = 1;

/// Where the figures come from.
struct Provenance {
  std::string origin;                           ///< "measured" or "described"; empty: nobody says
  std::string host, cpu, date, versions, load;  ///< of the measurement
  friend bool operator==(const Provenance&, const Provenance&) = default;
};

/// Between a core and its main memory, while so many ranks of the node use it.
struct SharedMemory {
  int active_ranks = 1;
  double bytes_per_second = 0;  ///< of each
  friend bool operator==(const SharedMemory&, const SharedMemory&) = default;
};

/// Between a core and its main memory.
struct Cache {
  kernels::Bytes bytes{};
  int cores = 1;  ///< that share it
  friend bool operator==(const Cache&, const Cache&) = default;
};

/// Of a unit of the innermost level: a node.
struct Cores {
  int number = 0;                  ///< 0: nobody says; every rank has cores of its own
  double yield_seconds = 0;        ///< until a rank has a core that another leaves to it
  double slices_per_second = 250;  ///< ranks that all compute on one core take it in turn so often
  friend bool operator==(const Cores&, const Cores&) = default;
};

struct Machine {
  double flops_per_second = 0;
  double call_seconds = 0;  ///< that a kernel takes besides its work
  /// Between a core and its main memory, and its caches; without a statement nobody waits for that level.
  double main_bytes_per_second = 0;
  double cache_bytes_per_second = std::numeric_limits<double>::infinity();
  /// Of what a rank sends to another: before the first byte arrives, and from then on.
  double link_latency_seconds = 0;
  double link_bytes_per_second = 0;

  Provenance provenance;
  Cores cores;
  std::vector<Cache> caches;                ///< by `bytes`
  std::vector<SharedMemory> shared_memory;  ///< by `active_ranks`; none: as one rank alone
  std::vector<Level> levels;                ///< from inside out; none: one level, by the link
  std::vector<WindowAccess> windows;        ///< by `min_bytes`, the first from 0; none: by the link
  double flag_seconds = 0;                  ///< until a rank sees what another has set in a window
  std::vector<KernelTime> kernels;          ///< as they were measured
  Overheads overheads;
  Progress progress = Progress::independent;

  friend bool operator==(const Machine&, const Machine&) = default;

  /// inputs/machines/default.machine, compiled in.
  static const Machine& shipped();
  /// Appends to `violations` whatever is wrong in the text: lines by their number, statements that are
  /// missing. The machine is usable only if nothing was appended.
  static Machine parse(std::string_view text, std::vector<base::Violation>& violations);
  /// The same of a file; one that cannot be read is a violation of the option that names it.
  static Machine read(const std::filesystem::path&, const std::string& option,
                      std::vector<base::Violation>& violations);

  /// Of a job of so many ranks, those of its first node.
  [[nodiscard]] std::int64_t ranks_of_node(std::int64_t ranks) const;
  /// Of them, with so many threads each, those that have cores at once. Where they are fewer, ranks share.
  [[nodiscard]] std::int64_t ranks_at_once(std::int64_t ranks, int threads) const;
  [[nodiscard]] bool shares_cores(std::int64_t ranks, int threads) const {
    return ranks_at_once(ranks, threads) < ranks_of_node(ranks);
  }
  /// The innermost level of which one unit has both ranks of the job, else the outermost. There are levels.
  [[nodiscard]] std::size_t level_between(int a, int b) const;
  /// Whether messages can slow each other down: they share links, or have to keep a gap.
  [[nodiscard]] bool messages_meet() const;
  /// Ranks of what a level joins: of a unit of the level inside it.
  [[nodiscard]] std::int64_t ranks_joined_by(std::size_t level) const;
  /// A message of `bytes` bytes between two ranks of the job.
  [[nodiscard]] MessageTime message(int from, int to, kernels::Bytes bytes) const;
  /// The same between any two ranks whom that level joins; without levels, of level 0.
  [[nodiscard]] MessageTime message_on(std::size_t level, kernels::Bytes bytes) const;
  /// A round in a window in which a rank copies `staged` bytes into its segment, then loads `loaded` (its own
  /// among them) and stores `stored`.
  [[nodiscard]] WindowTime window(kernels::Bytes staged, kernels::Bytes loaded, kernels::Bytes stored) const;
  /// To add up two vectors of `bytes` bytes, of which one has come by message.
  [[nodiscard]] Picoseconds combine(kernels::Bytes bytes) const;

  /// The statements as text that `parse` reads back to the same machine.
  [[nodiscard]] std::string to_text() const;
  /// SHA-256 of `to_text`.
  [[nodiscard]] std::string hash() const;
};

/// A job of more ranks than the outermost level holds.
std::vector<base::Violation> check_ranks(const Machine&, std::int64_t ranks);

}  // namespace partita::machine
