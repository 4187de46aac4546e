/// Which part of which tensor a rank holds, which it updates, and which of that is its own to store: every
/// element of the model has exactly one owner, and ranks that update the same part share it by rows.
#pragma once

#include <vector>

#include "partita/step/roles.hpp"

namespace partita::step {

/// A rectangle of a tensor of a layer's parameters, as a matrix (`model::Parameter`).
struct Piece {
  int layer = -1;        ///< of the model
  int tensor = 0;        ///< of `Layer::parameters()`
  bool trained = false;  ///< the optimizer has states of it
  std::int64_t first_row = 0, rows = 0;
  std::int64_t first_column = 0, columns = 1;
  Elements flat{};   ///< where it begins in the rank's vector of parameters, row by row
  Elements state{};  ///< and in those of the optimizer's states, of what the rank updates
  [[nodiscard]] Elements elements() const { return Elements(rows * columns); }
};

/// All parameters that a rank of the program's role with this data coordinate holds, and those that it
/// updates, with what is not trained. Shares of buckets come as rectangles.
std::vector<Piece> held_pieces(const Program&, int data);
std::vector<Piece> updated_pieces(const Program&, int data);

/// By rank of the grid, what is its own to store.
std::vector<std::vector<Piece>> owned_pieces(const Roles&);

/// What a rank carries from step to step for a tensor, or a rank's part of one, besides what it shares.
struct CarriedPiece {
  Piece piece;
  Elements first{}, count{};  ///< within the rank's vector of residuals, of bases, or of a state
  int sharers = 1;            ///< ranks that add up the gradients of the piece
  bool is_own = true;         ///< to store
  /// Whether another rank, which has the same parameters, keeps the same: they do not add up.
  bool is_copy = false;
  int state = 0;  ///< of the optimizer's states: which
};

/// By rank of the grid: what codes did not say, of which every rank has its own; and the bases of factors,
/// which ranks of all data coordinates have alike, and the first of them stores; and the states of the
/// optimizer where data ranks have their own, those of a tensor one after the other.
struct Carried {
  std::vector<std::vector<CarriedPiece>> residuals, bases, states;
};
Carried carried_by(const Roles&);

/// So many states of what a rank updates, for one that has none of its own and takes the mean of those that
/// others had.
std::vector<CarriedPiece> as_carried_states(const std::vector<Piece>& updated, int states);

}  // namespace partita::step
