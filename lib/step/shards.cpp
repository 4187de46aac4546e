/// Which elements a rank stores of what it updates. Ranks that update the same piece share its rows; pieces
/// too small to cut go to one of them, in turn, so that no rank writes much more than another.
#include "partita/step/shards.hpp"

#include <algorithm>
#include <map>
#include <tuple>

#include "partita/base/error.hpp"
#include "partita/step/compression.hpp"
#include "partita/topology/cut.hpp"

namespace partita::step {
namespace {

/// Elements; a smaller piece has one owner, and the ranks take turns.
constexpr std::int64_t smallest_share = 1 << 14;

/// Some columns of some rows of a piece, counted within it.
Piece part_of(Piece piece, topology::Range rows, topology::Range columns) {
  const std::int64_t skipped = rows.begin * piece.columns + columns.begin;
  piece.flat += Elements(skipped), piece.state += Elements(skipped);
  piece.first_row += rows.begin, piece.rows = rows.size();
  piece.first_column += columns.begin, piece.columns = columns.size();
  return piece;
}

/// Elements [begin, end) of a piece, row by row: the end of a row, whole rows, the beginning of a row.
void add_rectangles(std::vector<Piece>& to, const Piece& piece, topology::Range range) {
  const std::int64_t columns = piece.columns;
  while (!range.empty()) {
    const std::int64_t row = range.begin / columns, column = range.begin % columns;
    const bool whole = column == 0 && range.size() >= columns;
    const topology::Range rows{row, whole ? range.end / columns : row + 1};
    const topology::Range within{column, whole ? columns : std::min(columns, column + range.size())};
    to.push_back(part_of(piece, rows, within));
    range.begin += rows.size() * within.size();
  }
}

/// All tensors of the program's role, or of those whose bucket is split a rank's share.
std::vector<Piece> pieces_of(const Program& program, int data, bool of_share) {
  std::vector<Piece> pieces;
  for (const auto u : program.units.ids()) {
    const auto& range = program.parameters[u];
    for (int t = 0; t < static_cast<int>(range.tensors.size()); ++t) {
      const auto& tensor = range.tensors[static_cast<std::size_t>(t)];
      if (tensor.count.value() == 0) continue;
      Piece piece{.layer = program.units[u].layer,
                  .tensor = t,
                  .trained = tensor.trained,
                  .first_row = tensor.first_row,
                  .rows = tensor.count.value() / tensor.columns,
                  .first_column = tensor.first_column,
                  .columns = tensor.columns,
                  .flat = program.slots[tensor.slot].first + tensor.offset};
      topology::Range part{0, tensor.count.value()};
      if (tensor.trained) {
        const auto& bucket = program.buckets[*range.bucket];
        const auto own = program.own(bucket, data);
        piece.state = bucket.first_state + tensor.offset - Elements(own.begin);
        if (of_share) {
          const std::int64_t begin = tensor.offset.value();
          part = {std::max(own.begin - begin, part.begin), std::min(own.end - begin, part.end)};
          if (program.split == Split::parameter) piece.flat = piece.flat - Elements(own.begin);
        }
      }
      if (part.begin < part.end) add_rectangles(pieces, piece, part);
    }
  }
  return pieces;
}

}  // namespace

std::vector<Piece> held_pieces(const Program& program, int data) {
  return pieces_of(program, data, program.split == Split::parameter);
}

std::vector<Piece> updated_pieces(const Program& program, int data) {
  return pieces_of(program, data, program.split != Split::none);
}

std::vector<std::vector<Piece>> owned_pieces(const Roles& roles) {
  using Key = std::tuple<int, int, std::int64_t, std::int64_t, std::int64_t, std::int64_t>;
  struct Holder {
    std::size_t rank;
    Piece piece;
  };
  std::map<Key, std::vector<Holder>> holders;
  std::map<std::pair<const Program*, int>, std::vector<Piece>> updated;
  for (std::size_t r = 0; r < roles.by_rank.size(); ++r) {
    const auto& program = *roles.by_rank[r];
    const int data = topology::coordinate_of(program.grid, static_cast<int>(r)).data;
    // Without a split data ranks update alike.
    const auto [pieces, is_new] =
        updated.try_emplace({&program, program.split == Split::none ? 0 : data}, std::vector<Piece>());
    if (is_new) pieces->second = updated_pieces(program, data);
    for (const auto& p : pieces->second)
      holders[{p.layer, p.tensor, p.first_row, p.rows, p.first_column, p.columns}].push_back({r, p});
  }
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
      own.state += Elements(rows.begin * own.columns);
    }
  }
  return owned;
}

namespace {

/// A tensor as a role has it.
Piece piece_of(const Program& program, const BucketTensor& tensor) {
  const auto& range = program.parameters[tensor.unit];
  for (int t = 0; t < static_cast<int>(range.tensors.size()); ++t) {
    const auto& r = range.tensors[static_cast<std::size_t>(t)];
    if (r.trained && r.offset == tensor.first && r.count == tensor.count)
      return {.layer = program.units[tensor.unit].layer,
              .tensor = t,
              .trained = true,
              .first_row = r.first_row,
              .rows = r.count.value() / r.columns,
              .first_column = r.first_column,
              .columns = r.columns};
  }
  throw base::ContractError("a tensor of a bucket is one of its unit");
}

void add_carried(std::vector<CarriedPiece>& residuals, std::vector<CarriedPiece>& bases,
                 const Program& program, const Bucket& bucket) {
  if (!bucket.coding) return;
  const int sharers = program.servers > 0 ? program.workers() : program.grid.along(bucket.axis);
  const auto factors = bucket.coding->basis ? factored_of(program, bucket) : std::vector<Factored>();
  for (std::size_t t = 0; t < bucket.tensors.size(); ++t) {
    const auto& tensor = bucket.tensors[t];
    if (tensor.count == Elements(0)) continue;
    const auto piece = piece_of(program, tensor);
    if (const auto slot = bucket.coding->residual)
      residuals.push_back({.piece = piece,
                           .first = program.slots[*slot].first + tensor.first,
                           .count = tensor.count,
                           .sharers = sharers,
                           .is_copy = !tensor.is_own && !contains(bucket.axis, topology::Axis::tensor)});
    if (!factors.empty() && factors[t].matrix.rank > 0)
      bases.push_back({piece, program.slots[*bucket.coding->basis].first + factors[t].right,
                       factors[t].in_right(), sharers});
  }
}

void add_own_states(std::vector<CarriedPiece>& states, const Program& program, const Bucket& bucket) {
  const auto& local = program.cadence.local;
  if (!bucket.averaging || local.states != LocalStates::keep) return;
  for (const auto& tensor : bucket.tensors)
    for (int s = 0; s < local.state_vectors && tensor.count > Elements(0); ++s)
      states.push_back({.piece = piece_of(program, tensor),
                        .first = bucket.first_state + tensor.first,
                        .count = tensor.count,
                        .sharers = program.grid.data,
                        .is_copy = !tensor.is_own && !contains(bucket.axis, topology::Axis::tensor),
                        .state = s});
}

}  // namespace

std::vector<CarriedPiece> as_carried_states(const std::vector<Piece>& updated, int states) {
  std::vector<CarriedPiece> carried;
  for (const auto& piece : updated)
    for (int s = 0; s < states && piece.trained; ++s)
      carried.push_back({.piece = piece, .first = piece.state, .count = piece.elements(), .state = s});
  return carried;
}

Carried carried_by(const Roles& roles) {
  Carried carried;
  for (std::size_t r = 0; r < roles.by_rank.size(); ++r) {
    const auto& program = *roles.by_rank[r];
    std::vector<CarriedPiece> residuals, bases, states;
    for (const auto& bucket : program.buckets) {
      add_carried(residuals, bases, program, bucket);
      add_own_states(states, program, bucket);
    }
    for (auto& basis : bases)
      basis.is_own = topology::coordinate_of(program.grid, static_cast<int>(r)).data == 0;
    carried.residuals.push_back(std::move(residuals));
    carried.bases.push_back(std::move(bases));
    carried.states.push_back(std::move(states));
  }
  return carried;
}

}  // namespace partita::step
