/// Which elements a rank stores of what it holds. Ranks that hold the same piece share its rows; pieces too
/// small to cut go to one of their holders, in turn, so that no rank writes much more than another.
#include "partita/step/shards.hpp"

#include <algorithm>
#include <map>
#include <tuple>

#include "partita/topology/cut.hpp"

namespace partita::step {
namespace {

/// Elements; a smaller piece has one owner, and the ranks take turns.
constexpr std::int64_t smallest_share = 1 << 14;

}  // namespace

std::vector<Piece> held_pieces(const Program& program) {
  std::vector<Piece> pieces;
  for (const auto u : program.units.ids()) {
    const auto& range = program.parameters[u];
    const int layer = program.units[u].layer;
    for (int t = 0; t < static_cast<int>(range.tensors.size()); ++t) {
      const auto& tensor = range.tensors[static_cast<std::size_t>(t)];
      if (tensor.count.value() == 0) continue;
      pieces.push_back({.layer = layer,
                        .tensor = t,
                        .trained = tensor.trained,
                        .first_row = tensor.first_row,
                        .rows = tensor.count.value() / tensor.columns,
                        .first_column = tensor.first_column,
                        .columns = tensor.columns,
                        .flat = tensor.first});
    }
  }
  return pieces;
}

std::vector<std::vector<Piece>> owned_pieces(const Roles& roles) {
  using Key = std::tuple<int, int, std::int64_t, std::int64_t, std::int64_t, std::int64_t>;
  struct Holder {
    std::size_t rank;
    Piece piece;
  };
  std::map<Key, std::vector<Holder>> holders;
  std::map<const Program*, std::vector<Piece>> held;
  for (const auto& program : roles.programs)
    held[&program] = held_pieces(program);
  for (std::size_t r = 0; r < roles.by_rank.size(); ++r)
    for (const auto& p : held.at(roles.by_rank[r]))
      holders[{p.layer, p.tensor, p.first_row, p.rows, p.first_column, p.columns}].push_back({r, p});
  std::vector<std::vector<Piece>> owned(roles.by_rank.size());
  std::int64_t turn = 0;
  for (const auto& [key, sharing] : holders) {
    const auto ranks = static_cast<std::int64_t>(sharing.size());
    const auto shares =
        std::clamp<std::int64_t>(sharing.front().piece.elements().value() / smallest_share, 1, ranks);
    for (std::int64_t i = 0; i < shares; ++i, ++turn) {
      const auto& [rank, piece] = sharing[static_cast<std::size_t>(turn % ranks)];
      const auto rows = topology::share(i, shares, piece.rows);
      if (rows.size() == 0) continue;
      owned[rank].push_back(piece);
      auto& own = owned[rank].back();
      own.first_row += rows.begin;
      own.rows = rows.size();
      own.flat += Elements(rows.begin * own.columns);
    }
  }
  return owned;
}

}  // namespace partita::step
