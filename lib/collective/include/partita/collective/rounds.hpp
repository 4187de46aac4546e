/// Collective algorithms as data: what one rank sends, receives, loads and stores, round by round; and the
/// generators, one for each algorithm. Who wants the rounds of a collective asks `rounds_of` (spec.hpp),
/// which knows the generator.
///
/// Pure arithmetic on p, rank and cuts; no MPI. Ranges count elements of the caller's buffer. Empty ranges
/// send no message.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <variant>
#include <vector>

#include "partita/collective/traffic.hpp"
#include "partita/topology/cut.hpp"

namespace partita::collective {

using topology::Range;

enum class Combine { copy, sum, max };

std::string_view to_string(Combine);

/// One exchange of messages: both are posted, both complete, then what came is combined into `receive`.
struct MessageRound {
  int send_to = -1;
  Range send;
  int receive_from = -1;
  Range receive;
  Combine combine = Combine::copy;
};

/// Elements loaded from the segments of several ranks and combined in that order, so that every rank which
/// does the same gets the same bits.
struct WindowLoad {
  std::vector<int> from;
  Range range;
  Combine combine = Combine::copy;
};

/// One synchronised access to a shared window: stage in, all members arrive, load, store.
struct WindowRound {
  bool next_slot = false;         ///< take the other of the two staging slots before staging in
  Range stage_in;                 ///< copied from the caller's buffer to this rank's slot
  Range exposed;                  ///< of the caller's buffer, where that lies in the window: others load it
  std::vector<int> members;       ///< ranks that arrive before anybody loads
  std::vector<WindowLoad> loads;  ///< combined into the caller's buffer
  std::vector<int> store_to;      ///< ranks whose buffer (not slot) receives `store` of the caller's buffer
  Range store;

  /// Elements that this rank stages in; loads, once from each rank; stores, once to each.
  std::int64_t staged() const { return stage_in.size(); }
  std::int64_t loaded() const;
  std::int64_t stored() const { return store.size() * static_cast<std::int64_t>(store_to.size()); }
};

using Round = std::variant<MessageRound, WindowRound>;
using Rounds = std::vector<Round>;

/// Ring all-reduce: p − 1 rounds of reduce-scatter, p − 1 of all-gather over `cuts` (p + 1 offsets).
/// Sends (total − share(r)) + (total − share(r+1)) elements.
Rounds ring_all_reduce(int p, int rank, std::span<const std::int64_t> cuts, Combine);
/// Recursive doubling; with r = p − 2^⌊log₂p⌋ ranks folded in before and told after. log₂ rounds of n
/// elements.
Rounds recursive_doubling_all_reduce(int p, int rank, std::int64_t n, Combine);
/// Rabenseifner: recursive halving, then recursive doubling, folding as above. 2(q−1)/q·n elements for q =
/// 2^⌊log₂p⌋.
Rounds halving_doubling_all_reduce(int p, int rank, std::int64_t n, Combine);

/// Two binary trees, each for one half, in chunks of `chunk` elements. A rank sends deg₁·⌊n/2⌋ + deg₂·⌈n/2⌉
/// elements and receives as many, deg its neighbours in a tree: for most 3 in one and 1 in the other. A rank
/// adds to its own what its lower child has, then the higher one's (of equal ones by colour); all get the
/// root's bits.
Rounds double_tree_all_reduce(int p, int rank, std::int64_t n, Combine, std::int64_t chunk);

/// Reduce-scatter over cuts: afterwards rank r holds the reduced [cuts[r], cuts[r+1]), by the same additions
/// as the all-reduce of that name. The ring sends all shares but its own. The others halve
/// what a rank is left with, by one message for each range of it, between ranks at distance 1 first
/// (recursive doubling) or last; folded ranks give all they have, and get their share at last.
Rounds ring_reduce_scatter(int p, int rank, std::span<const std::int64_t> cuts, Combine);
Rounds recursive_doubling_reduce_scatter(int p, int rank, std::span<const std::int64_t> cuts, Combine);
Rounds halving_doubling_reduce_scatter(int p, int rank, std::span<const std::int64_t> cuts, Combine);
/// Ring all-gather over cuts: rank r brings [cuts[r], cuts[r+1]).
Rounds ring_all_gather(int p, int rank, std::span<const std::int64_t> cuts);
/// The same in ⌈log₂p⌉ exchanges (Bruck, Ho, Kipnis, Upfal, Weathersby 1997, doi:10.1109/71.642949): a rank
/// has the shares of itself and of those behind it, as many as twice before; where they go round, in two
/// messages.
Rounds bruck_all_gather(int p, int rank, std::span<const std::int64_t> cuts);
/// Binomial tree from `root`.
Rounds binomial_broadcast(int p, int rank, int root, std::int64_t n);
/// Everybody sends its share straight to `root`; cuts as for all-gather.
Rounds linear_gather(int p, int rank, int root, std::span<const std::int64_t> cuts);
/// Pairwise exchange, first with itself unless it keeps its own: `send_cuts` and `receive_cuts` (p + 1
/// offsets) lie in two different buffers.
Rounds pairwise_all_to_all(int p, int rank, std::span<const std::int64_t> send_cuts,
                           std::span<const std::int64_t> receive_cuts, bool keeps_own = false);
/// Dissemination barrier: ⌈log₂p⌉ rounds of one-element tokens.
Rounds dissemination_barrier(int p, int rank);

/// How large a staging slot is: longer buffers go through in pieces that stay in the cache.
struct WindowTuning {
  std::int64_t chunk = 0;  ///< elements a slot holds
  std::int64_t gather =
      0;  ///< up to this many elements every rank reduces everything itself (one synchronisation)
};

/// All-reduce through staging slots of a shared window. For p = 2 and short vectors every rank loads all
/// segments; else each rank reduces its cut of a chunk and all load the results: 2(p−1)/p·n elements loaded.
Rounds staged_window_all_reduce(int p, int rank, std::int64_t n, Combine, const WindowTuning&);
/// All-reduce of buffers that lie in the window: each rank reduces its cut from all buffers and stores it
/// into all.
Rounds direct_window_all_reduce(int p, int rank, std::int64_t n, Combine);
/// Reduce-scatter over cuts by the same additions, through staging slots of `chunk` elements or of buffers
/// that lie in the window: all ranks load what is theirs from all of them.
Rounds staged_window_reduce_scatter(int p, int rank, std::span<const std::int64_t> cuts, Combine,
                                    std::int64_t chunk);
Rounds direct_window_reduce_scatter(int p, int rank, std::span<const std::int64_t> cuts, Combine);
/// All-gather over cuts of buffers that lie in the window: each rank loads the shares of the others.
Rounds direct_window_all_gather(int p, int rank, std::span<const std::int64_t> cuts);
/// Window inside each node, ring across the first ranks of the nodes. `node_of[rank]` numbers the nodes.
Rounds hierarchical_all_reduce(int rank, std::span<const int> node_of, std::int64_t n, Combine);

/// The same where ranks reach each other's buffers: what a rank would receive it loads from the
/// sender's buffer, and nobody sends. For counting bytes, among which what a rank takes from its own buffer
/// is not.
Rounds with_loads(const Rounds&);

/// Rounds in which something is exchanged or others are waited for.
std::int64_t active_rounds(const Rounds&);

/// What a rank holds for rounds besides the caller's buffer, in elements: the largest message that is
/// combined, the largest piece that is staged in a window; none where there is no window.
struct RoundMemory {
  std::int64_t received = 0;
  std::optional<std::int64_t> staged;
};
RoundMemory memory_of(const Rounds&);

/// A rank's part of a window: a flag on a line of its own, then two slots of whole lines.
inline constexpr std::int64_t window_line_bytes = 64;
constexpr std::int64_t slot_bytes(std::int64_t staged_bytes) {
  return (staged_bytes + window_line_bytes - 1) / window_line_bytes * window_line_bytes;
}
constexpr std::int64_t window_bytes(std::int64_t slot) { return window_line_bytes + 2 * slot; }

/// Bytes and messages of one rank's rounds (payload and seconds stay 0).
TrafficCounts traffic_of(const Rounds&, int rank, Bytes element);
/// The same bytes by peer, in order of the peers; who exchanges nothing is left out.
std::vector<PeerCounts> peers_of(const Rounds&, int rank, Bytes element);

/// What MPICH's MPI_Iallreduce sends from `rank`: recursive doubling up to 2048 bytes or with fewer than q =
/// 2^⌊log₂p⌋ elements, else Rabenseifner's algorithm: even ranks below 2(p−q) send n, odd ones 2(q−1)/q·n +
/// n, others 2(q−1)/q·n, up to rounding. Counted below MPI with MPICH 4.0.2 (test vendor_bytes); its blocking
/// MPI_Allreduce leaves recursive doubling at 8 bytes already.
Bytes modelled_vendor_all_reduce(int p, int rank, std::int64_t n, Bytes element);

/// Evenly cut offsets 0 … n for p shares.
std::vector<std::int64_t> even_cuts(int p, std::int64_t n);

}  // namespace partita::collective
