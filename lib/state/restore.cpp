/// For each stored block and each piece that this rank holds, copies the rectangle of rows and columns that
/// both have. Shards that have nothing of this rank's are not read.
#include "partita/state/restore.hpp"

#include <algorithm>
#include <cstring>

#include "partita/base/error.hpp"
#include "partita/step/shards.hpp"

namespace partita::state {
namespace {

using results::Block;
using step::Piece;

struct Rectangle {
  std::int64_t first_row, end_row, first_column, end_column;
  [[nodiscard]] bool empty() const { return first_row >= end_row || first_column >= end_column; }
  [[nodiscard]] std::int64_t elements() const { return (end_row - first_row) * (end_column - first_column); }
};

/// What a piece and a block have in common; nothing of different tensors.
Rectangle common(const Piece& piece, const Block& block, const model::ModelSpec& model) {
  const auto& layer = model.layers[static_cast<std::size_t>(piece.layer)];
  if (layer.name != block.layer ||
      layer.parameters()[static_cast<std::size_t>(piece.tensor)].name != block.name)
    return {0, 0, 0, 0};
  return {std::max(piece.first_row, block.first_row),
          std::min(piece.first_row + piece.rows, block.first_row + block.rows),
          std::max(piece.first_column, block.first_column),
          std::min(piece.first_column + piece.columns, block.first_column + block.columns)};
}

template <class To, class From>
void copy_rows(std::span<To> to, const Piece& piece, std::span<const From> from, const Block& block,
               const Rectangle& area) {
  for (std::int64_t row = area.first_row; row < area.end_row; ++row) {
    const auto source = (row - block.first_row) * block.columns + area.first_column - block.first_column;
    const auto target =
        piece.flat.value() + (row - piece.first_row) * piece.columns + area.first_column - piece.first_column;
    for (std::int64_t i = 0; i < area.end_column - area.first_column; ++i)
      to[static_cast<std::size_t>(target + i)] = static_cast<To>(from[static_cast<std::size_t>(source + i)]);
  }
}

void copy_area(View to, const Piece& piece, kernels::ConstView from, const Block& block,
               const Rectangle& area) {
  const auto typed = [&]<class To>(std::span<To> target) {
    if (from.type() == kernels::DataType::float64)
      copy_rows(target, piece, from.as<double>(), block, area);
    else
      copy_rows(target, piece, from.as<float>(), block, area);
  };
  if (to.type() == kernels::DataType::float64)
    typed(to.as<double>());
  else
    typed(to.as<float>());
}

void fill(const std::filesystem::path& folder, const results::Manifest& manifest,
          const model::ModelSpec& model, const step::Program& program, View weights, View velocities) {
  if (!velocities.empty())
    std::memset(velocities.data(), 0, static_cast<std::size_t>(velocities.bytes().value()));
  const auto pieces = step::held_pieces(program);
  std::int64_t missing = 0;
  for (const auto& piece : pieces)
    missing += piece.elements().value();
  for (std::size_t shard = 0; shard < manifest.shards.size(); ++shard) {
    const bool wanted = std::any_of(manifest.blocks.begin(), manifest.blocks.end(), [&](const Block& block) {
      return block.file == static_cast<std::int64_t>(shard) &&
             std::any_of(pieces.begin(), pieces.end(),
                         [&](const Piece& piece) { return !common(piece, block, model).empty(); });
    });
    if (!wanted) continue;
    results::read_shard(folder, manifest, static_cast<std::int64_t>(shard),
                        [&](const results::FilledBlock& filled) {
                          for (const auto& piece : pieces) {
                            const auto area = common(piece, filled.block, model);
                            if (area.empty()) continue;
                            missing -= area.elements();
                            copy_area(weights, piece, filled.weights, filled.block, area);
                            if (piece.trained && filled.block.trained)
                              copy_area(velocities, piece, filled.velocities, filled.block, area);
                          }
                        });
  }
  if (missing != 0)
    throw base::ConfigError({{.key = (folder / "manifest.h5").string(),
                              .value = "",
                              .message = "is damaged: its blocks do not make up the model"}});
}

}  // namespace

void restore(const std::filesystem::path& folder, const results::Manifest& manifest,
             const model::ModelSpec& model, const step::Program& program, Parameters& parameters) {
  parameters.edit(
      [&](View weights, View velocities) { fill(folder, manifest, model, program, weights, velocities); });
}

}  // namespace partita::state
