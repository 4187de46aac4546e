/// All-reduce by two binary trees, after P. Sanders, J. Speck and J. L. Träff, "Two-tree algorithms for full
/// bandwidth broadcast, reduction and scan", Parallel Computing 35 (2009). Each reduces one half of the
/// vector to its root, which tells everybody the result, chunk by chunk. Whoever has children in one tree is
/// a leaf of the other (but for rank 0 where p is odd), so that all ranks send and receive about as much: 2n.
///
/// The trees are NCCL's. Position 0 is the root and odd positions are leaves; the second tree has the ranks
/// in reverse order, or moved by one where their number is odd. A rank has at most two parents and at most
/// two children in both trees together. The edges therefore take two colours such that a rank's edges to its
/// parents differ, and so do those to its children: neighbours in that sense form paths and even cycles.
///
/// All ranks go by one clock, which gives each message a time: in each period of four there is one for either
/// colour upwards and for either downwards. At any time a rank has at most one message to send and one to
/// receive, which make a round, and it sends nothing that it has not received at an earlier time. So the
/// messages of the earliest time that is not over can always move, however little is buffered: nobody waits
/// for ever.
#include <algorithm>
#include <array>
#include <bit>
#include <map>

#include "partita/collective/rounds.hpp"

namespace partita::collective {
namespace {

/// Between a rank and its parent in one of the trees.
struct Edge {
  int tree = 0, child = 0, parent = 0;
  int height = 0;  ///< of the child, less than its parent's
  int colour = -1;
};

/// The rank at a position of a tree.
int rank_at(int tree, int position, int p) {
  if (tree == 0) return position;
  return p % 2 == 0 ? p - 1 - position : (position + 1) % p;
}

int height_of(int position) { return std::countr_zero(static_cast<unsigned>(position)); }

/// Of positions above 0: the position of the next height above the lowest bit, or without that bit where
/// there is none.
int parent_of(int position, int p) {
  const int bit = 1 << height_of(position), below = position - bit, other = below | (2 * bit);
  return other < p ? other : below;
}

/// Both edges that end in a rank, as children's and as parents'.
class Ends {
 public:
  Ends(int p, std::vector<Edge>& edges) : p_(p), at_(2 * static_cast<std::size_t>(p)) {
    for (auto& edge : edges)
      for (const int end : ends_of(edge))
        at_[static_cast<std::size_t>(end)].push_back(&edge);
  }
  /// Colours an edge and all that follow from it.
  void colour(Edge& first) {
    std::vector<Edge*> open{&first};
    for (first.colour = 0; !open.empty();) {
      const Edge& edge = *open.back();
      open.pop_back();
      for (const int end : ends_of(edge))
        for (Edge* const other : at_[static_cast<std::size_t>(end)])
          if (other->colour < 0) {
            other->colour = 1 - edge.colour;
            open.push_back(other);
          }
    }
  }

 private:
  [[nodiscard]] std::array<int, 2> ends_of(const Edge& edge) const { return {edge.child, p_ + edge.parent}; }

  int p_;
  std::vector<std::vector<Edge*>> at_;
};

std::vector<Edge> edges_of(int p) {
  std::vector<Edge> edges;
  for (const int tree : {0, 1})
    for (int position = 1; position < p; ++position)
      edges.push_back({.tree = tree,
                       .child = rank_at(tree, position, p),
                       .parent = rank_at(tree, parent_of(position, p), p),
                       .height = height_of(position)});
  Ends ends(p, edges);
  for (auto& edge : edges)
    if (edge.colour < 0) ends.colour(edge);
  return edges;
}

}  // namespace

Rounds double_tree_all_reduce(int p, int rank, std::int64_t n, Combine combine, std::int64_t chunk) {
  const auto half = [&](int tree) { return topology::share(tree, 2, n); };
  const std::int64_t chunks = (half(1).size() + chunk - 1) / chunk;  // the second half is the larger one
  const std::int64_t highest = std::bit_width(static_cast<unsigned>(p - 1)) - 1;  // child of a root
  std::map<std::int64_t, MessageRound> by_time;
  for (const auto& edge : edges_of(p)) {
    if (edge.child != rank && edge.parent != rank) continue;
    for (std::int64_t k = 0; k < chunks; ++k) {
      const auto part = topology::share(k, chunks, half(edge.tree).size());
      const Range piece{half(edge.tree).begin + part.begin, half(edge.tree).begin + part.end};
      if (piece.empty()) continue;
      auto& up = by_time[4 * (k + edge.height) + edge.colour];
      auto& down = by_time[4 * (k + 2 * highest - edge.height) + 2 + edge.colour];
      if (edge.child == rank) {
        up.send_to = down.receive_from = edge.parent;
        up.send = down.receive = piece;
      } else {
        up.receive_from = down.send_to = edge.child;
        up.receive = down.send = piece;
        up.combine = combine;
      }
    }
  }
  Rounds rounds;
  for (const auto& [time, round] : by_time)
    rounds.emplace_back(round);
  return rounds;
}

}  // namespace partita::collective
