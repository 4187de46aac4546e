/// Which part of which tensor a rank holds, and which of it is its own to store: every element of the model
/// has exactly one owner, and ranks that hold the same part share it by rows.
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
  Elements flat{};  ///< where it begins in the rank's flat vectors, row by row
  [[nodiscard]] Elements elements() const { return Elements(rows * columns); }
};

/// All that the program's rank holds, in order of its flat vector.
std::vector<Piece> held_pieces(const Program&);

/// By rank of the grid, what is its own to store.
std::vector<std::vector<Piece>> owned_pieces(const Roles&);

}  // namespace partita::step
