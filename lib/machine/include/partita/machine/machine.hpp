/// What a machine can do, as far as choices and predictions ask for it: read from a file.
///
/// A line is a statement, or empty; '#' begins a comment. A statement is a word and values by name, in any
/// order. Three must be there:
///     compute flops_per_second=60e9 call_seconds=1e-6
///     memory level=main bytes_per_second=10e9
///     link latency_seconds=5e-6 bytes_per_second=4e9
/// docs/machine.md has them all. All figures are those of one rank; ranks may be of several machines.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <limits>
#include <optional>
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

/// How far the times of kernels scatter: deviations of their logarithms, 0 where nobody says.
struct Variance {
  double within_run = 0;     ///< of a kernel, from step to step
  double between_runs = 0;   ///< of what all kernels of a run have in common
  double between_ranks = 0;  ///< of what all kernels of a rank in a run have in common
  [[nodiscard]] bool is_said() const { return *this != Variance{}; }
  friend bool operator==(const Variance&, const Variance&) = default;
};

/// What one kind of work takes beside another, ÷ what it takes alone.
struct Slowdown {
  std::string of;      ///< "products" (of linear layers and convolutions) or "others": of kernels
  std::string beside;  ///< "messages": while the rank has tensors under way to others
  double factor = 1;   ///< from 1
  friend bool operator==(const Slowdown&, const Slowdown&) = default;
};

/// How fast the state of a training is stored, by all its ranks together.
struct Checkpoint {
  double bytes_per_second = 0;  ///< 0: nobody says
  double seconds = 0;           ///< of each checkpoint, besides
  [[nodiscard]] double seconds_for(kernels::Bytes bytes) const {
    return seconds + static_cast<double>(bytes.value()) / bytes_per_second;
  }
  friend bool operator==(const Checkpoint&, const Checkpoint&) = default;
};

struct Part;

/// Of a unit of the innermost level: a node.
struct Cores {
  int number = 0;            ///< 0: nobody says; every rank has cores of its own
  double yield_seconds = 0;  ///< how much later a rank sees what has come, for each other rank on its core
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
  Variance variance;
  std::vector<Slowdown> slowdowns;  ///< none: kernels take beside messages what they take alone
  Checkpoint checkpoint;
  std::vector<Part> parts;  ///< ranks that are other machines, by `first`

  friend bool operator==(const Machine&, const Machine&) = default;

  /// inputs/machines/default.machine, compiled in.
  static const Machine& shipped();
  /// Appends to `violations` whatever is wrong in the text: lines by their number, statements that are
  /// missing. The machine is usable only if nothing was appended. Files that the text names lie in `folder`;
  /// without one none may be named.
  static Machine parse(std::string_view text, std::vector<base::Violation>& violations,
                       const std::optional<std::filesystem::path>& folder = {});
  /// The same of a file, in whose folder others lie; one that cannot be read is a violation of the option
  /// that names it.
  static Machine read(const std::filesystem::path&, const std::string& option,
                      std::vector<base::Violation>& violations);

  /// Which part a rank is: a number from 1 on, of `parts`; 0: it is as this machine says.
  [[nodiscard]] int part_of(int rank) const;
  /// What says how the ranks of a part compute.
  [[nodiscard]] const Machine& of_part(int part) const;
  [[nodiscard]] const Machine& of_rank(int rank) const { return of_part(part_of(rank)); }

  /// Of a job of so many ranks, those of its first node.
  [[nodiscard]] std::int64_t ranks_of_node(std::int64_t ranks) const;
  /// Of them, with so many threads each, those that can compute at once.
  [[nodiscard]] std::int64_t ranks_at_once(std::int64_t ranks, int threads) const;
  /// Where ranks of that node have more threads than it has cores, by how much each is slower than where it
  /// has the node to itself, since all have equal parts of the cores; else 1.
  [[nodiscard]] double crowding(std::int64_t ranks, int threads) const;
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
  /// Until a rank sees what another has set in a window: by the link where neither flags nor windows are
  /// said.
  [[nodiscard]] double seconds_of_flag() const;
  /// A round in a window in which a rank copies `staged` bytes into its segment, then loads `loaded` (its own
  /// among them) and stores `stored`; of a rank of that part.
  [[nodiscard]] WindowTime window(kernels::Bytes staged, kernels::Bytes loaded, kernels::Bytes stored,
                                  int part = 0) const;
  /// To add up two vectors of `bytes` bytes, of which one has come by message; by a rank of that part.
  [[nodiscard]] Picoseconds combine(kernels::Bytes bytes, int part = 0) const;

  /// The statements as text that `parse` reads back to the same machine.
  [[nodiscard]] std::string to_text() const;
  /// Those of them that a machine need not have, but where its figures come from: a file that has none of
  /// the same takes them at its end.
  [[nodiscard]] std::string optional_text() const;
  /// SHA-256 of `to_text`, without the names of parts: those may be names of files.
  [[nodiscard]] std::string hash() const;

 private:
  [[nodiscard]] const std::vector<WindowAccess>& windows_of(int part) const;
};

/// Ranks of the job that compute as another machine says: with its kernels, memory, overheads and progress,
/// and its accesses to windows where it has some. Cores of a node, levels, messages, topologies, flags,
/// scatter and checkpoints are those of the machine whose part they are.
struct Part {
  int first = 0, last = 0;  ///< both among them
  std::string name;         ///< empty: none
  Machine machine;          ///< of which nothing else counts
  friend bool operator==(const Part&, const Part&) = default;
};

/// The parts of which a job of so many ranks has any, ascending.
std::vector<int> parts_in(const Machine&, std::int64_t ranks);
/// Whether any of them moves transfers on itself.
bool polls(const Machine&, std::int64_t ranks);
/// The most ranks of a part that share a node, in a job of so many.
int most_on_node(const Machine&, int part, std::int64_t ranks);
/// "fast"; "part 1" where nobody names it.
std::string name_of_part(const Machine&, int part);
/// "0-3 as the file says, 4-7 fast": the ranks of a job by their machines; empty where there is one.
std::string text_of_parts(const Machine&, std::int64_t ranks);

/// A job of more ranks than the outermost level holds.
std::vector<base::Violation> check_ranks(const Machine&, std::int64_t ranks);

}  // namespace partita::machine
