/// The ways in which an all-reduce can be done, their words, and where each is possible. A reduce-scatter has
/// one with the same additions for most of them, an all-gather those of a ring, a window and log₂ exchanges;
/// the other collectives have one way each.
#pragma once

#include <optional>
#include <span>
#include <string_view>

namespace partita::collective {

/// `window` loads from a shared-memory window of the node, `hierarchical` does so inside each node and rings
/// across node leaders, `mpi` leaves it to the vendor's library. `automatic` stands for one of the others,
/// see `choose`.
enum class Algorithm {
  automatic,
  ring,
  recursive_doubling,
  halving_doubling,
  double_tree,
  window,
  hierarchical,
  mpi
};

std::string_view to_string(Algorithm);
std::optional<Algorithm> parse_algorithm(std::string_view);

/// All but `automatic`, in the order in which they are offered.
std::span<const Algorithm> algorithms();

/// What a run asks of its all-reduces.
struct Wish {
  Algorithm algorithm = Algorithm::automatic;
  /// Ranks combine nearest first, as the deterministic mode needs it: recursive doubling, whatever
  /// `algorithm` is.
  bool nearest_first = false;
  /// The algorithm where the wish alone decides, else `automatic`.
  [[nodiscard]] constexpr Algorithm named() const {
    return nearest_first ? Algorithm::recursive_doubling : algorithm;
  }
};

/// How the ranks of a collective and its buffer lie on the nodes.
enum class Reach {
  window,  ///< one node, and the buffer lies in its shared window
  node,    ///< one node, private buffers
  mixed,   ///< several nodes, some with several of the ranks
  spread   ///< one rank a node
};
inline constexpr Reach all_reaches[] = {Reach::window, Reach::node, Reach::mixed, Reach::spread};
std::string_view to_string(Reach);

/// Whether it can be done there: a window needs one node, a hierarchy pays between several nodes with several
/// ranks.
bool is_candidate(Algorithm, Reach);

/// How a reduce-scatter adds as such an all-reduce does; the ring, where none does.
Algorithm scatter_like(Algorithm all_reduce);

/// Whether an all-reduce of buffers that ranks reach in each other's memory can be done so: the others need
/// memory beside the buffer, or the host. `automatic` is `window` there.
bool works_on_shared(Algorithm);

}  // namespace partita::collective
