/// What codecs carry, on the grid that wrote it rank by rank, on another one summed up and shared evenly.
#include <algorithm>
#include <vector>

#include "blocks.hpp"
#include "partita/state/restore.hpp"
#include "values.hpp"

namespace partita::state {
namespace {

using results::Block;
using results::CarriedBlock;
using results::CarriedKind;
using step::CarriedPiece;

/// Whether two blocks are the same part of a tensor, in whatever files.
bool same_part(Block a, const Block& b) {
  a.file = b.file, a.part = b.part;
  return a == b;
}

/// The residuals of each rank that has some, as blocks.
std::vector<std::vector<Block>> wanted_by_rank(const step::Carried& carried, const model::ModelSpec& model) {
  std::vector<std::vector<Block>> all;
  for (const auto& of_rank : carried.residuals) {
    if (of_rank.empty()) continue;
    auto& blocks = all.emplace_back();
    for (const auto& c : of_rank) {
      blocks.push_back(block_of(c.piece, model, 0));
      blocks.back().copy = c.is_copy;
    }
  }
  return all;
}

/// The same of those that are stored, a file after the other.
std::vector<std::vector<Block>> stored_by_rank(const results::Manifest& manifest) {
  std::vector<std::vector<Block>> all;
  std::int64_t file = -1;
  for (const auto& block : manifest.residuals) {
    if (block.file != file) all.emplace_back();
    file = block.file;
    all.back().push_back(block);
  }
  return all;
}

/// Adds what a block and a piece have in common.
void add_common(std::vector<double>& sums, const CarriedPiece& carried, const Block& piece,
                const CarriedBlock& from) {
  const auto& block = from.block;
  if (block.layer != piece.layer || block.name != piece.name) return;
  const auto first_row = std::max(piece.first_row, block.first_row),
             end_row = std::min(piece.first_row + piece.rows, block.first_row + block.rows),
             first_column = std::max(piece.first_column, block.first_column),
             end_column = std::min(piece.first_column + piece.columns, block.first_column + block.columns);
  for (std::int64_t row = first_row; row < end_row; ++row)
    for (std::int64_t column = first_column; column < end_column; ++column)
      sums[static_cast<std::size_t>(carried.first.value() + (row - piece.first_row) * piece.columns + column -
                                    piece.first_column)] +=
          value_at(from.values, (row - block.first_row) * block.columns + column - block.first_column);
}

}  // namespace

void restore_carried(const std::filesystem::path& folder, const results::Manifest& manifest,
                     const model::ModelSpec& model, const step::Carried& carried, int rank,
                     Parameters& parameters) {
  if (const View scale = parameters.loss_scale(); !scale.empty() && manifest.loss_scale > 0) {
    scale.as<double>()[0] = manifest.loss_scale;
    scale.as<double>()[1] = manifest.loss_scale_steps;
  }
  const auto& residuals = carried.residuals[static_cast<std::size_t>(rank)];
  const auto stored = stored_by_rank(manifest), wanted = wanted_by_rank(carried, model);
  const bool same_ranks = std::ranges::equal(
      stored, wanted, [](const auto& a, const auto& b) { return std::ranges::equal(a, b, same_part); });
  std::int64_t own_file = -1;
  if (same_ranks && !residuals.empty()) {
    const auto before = std::ranges::count_if(carried.residuals.begin(), carried.residuals.begin() + rank,
                                              [](const auto& of_rank) { return !of_rank.empty(); });
    own_file = stored[static_cast<std::size_t>(before)].front().file;
  }
  std::vector<Block> blocks;
  for (const auto& c : residuals)
    blocks.push_back(block_of(c.piece, model, 0));
  std::vector<double> sums(static_cast<std::size_t>(parameters.residuals().size().value()));
  const View basis = parameters.basis();
  for (std::int64_t file = 0; file < std::ssize(manifest.shards); ++file) {
    const auto in_file = [&](const Block& block) { return block.file == file; };
    const bool has_residuals = std::ranges::any_of(manifest.residuals, in_file) && !residuals.empty() &&
                               (!same_ranks || file == own_file);
    const bool has_bases = std::ranges::any_of(manifest.bases, in_file) && !basis.empty();
    if (!has_residuals && !has_bases) continue;
    results::read_carried(folder, manifest, file, [&](const CarriedBlock& from) {
      if (from.kind == CarriedKind::residual) {
        if (from.block.copy && !same_ranks) return;
        for (std::size_t i = 0; has_residuals && i < residuals.size(); ++i)
          add_common(sums, residuals[i], blocks[i], from);
        return;
      }
      for (const auto& c : carried.bases[static_cast<std::size_t>(rank)])
        if (same_part(block_of(c.piece, model, 0), from.block) && c.count == from.values.size())
          for (std::int64_t i = 0; i < c.count.value(); ++i)
            set_value(basis, c.first.value() + i, value_at(from.values, i));
    });
  }
  for (const auto& c : residuals)
    for (std::int64_t i = c.first.value(); i < (c.first + c.count).value(); ++i)
      set_value(parameters.residuals(), i,
                sums[static_cast<std::size_t>(i)] / (same_ranks ? 1 : static_cast<double>(c.sharers)));
}

}  // namespace partita::state
