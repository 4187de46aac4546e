/// What each rank carries of its own, on the grid that wrote it rank by rank; on another one residuals are
/// summed up and shared evenly, and of states all have the mean.
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
  a.file = b.file;
  return a == b;
}

/// Of each rank that has some, as blocks.
std::vector<std::vector<Block>> wanted_by_rank(const std::vector<std::vector<CarriedPiece>>& carried,
                                               const model::ModelSpec& model) {
  std::vector<std::vector<Block>> all;
  for (const auto& of_rank : carried) {
    if (of_rank.empty()) continue;
    auto& blocks = all.emplace_back();
    for (const auto& c : of_rank)
      blocks.push_back(block_of(c, model, 0));
  }
  return all;
}

/// The same of those that are stored, a file after the other.
std::vector<std::vector<Block>> by_file(const std::vector<Block>& stored) {
  std::vector<std::vector<Block>> all;
  std::int64_t file = -1;
  for (const auto& block : stored) {
    if (block.file != file) all.emplace_back();
    file = block.file;
    all.back().push_back(block);
  }
  return all;
}

/// Of one kind, what a rank gets of what all ranks stored.
class Gatherer {
 public:
  Gatherer(const std::vector<std::vector<CarriedPiece>>& carried, const std::vector<Block>& stored, int rank,
           const model::ModelSpec& model)
      : mine_(carried[static_cast<std::size_t>(rank)]) {
    for (const auto& c : mine_) {
      blocks_.push_back(block_of(c, model, 0));
      sums_.emplace_back(static_cast<std::size_t>(c.count.value()));
      counts_.emplace_back(static_cast<std::size_t>(c.count.value()));
    }
    const auto of_files = by_file(stored), wanted = wanted_by_rank(carried, model);
    same_ranks_ = std::ranges::equal(
        of_files, wanted, [](const auto& a, const auto& b) { return std::ranges::equal(a, b, same_part); });
    if (!same_ranks_ || mine_.empty()) return;
    const auto before = std::ranges::count_if(carried.begin(), carried.begin() + rank,
                                              [](const auto& of_rank) { return !of_rank.empty(); });
    own_file_ = of_files[static_cast<std::size_t>(before)].front().file;
  }

  [[nodiscard]] bool wants(std::int64_t file) const {
    return !mine_.empty() && (!same_ranks_ || file == own_file_);
  }
  void take(const CarriedBlock& from) {
    if (from.block.copy && !same_ranks_) return;
    for (std::size_t i = 0; i < mine_.size(); ++i)
      add_common(i, from);
  }
  /// Calls give(piece, element within it, sum of what was taken, how often something was).
  template <class Give>
  void give_all(const Give& give) const {
    for (std::size_t i = 0; i < mine_.size(); ++i)
      for (std::size_t e = 0; e < sums_[i].size(); ++e)
        give(mine_[i], static_cast<std::int64_t>(e), sums_[i][e], counts_[i][e]);
  }
  [[nodiscard]] bool same_ranks() const { return same_ranks_; }

 private:
  /// Adds what a block and a piece have in common.
  void add_common(std::size_t i, const CarriedBlock& from) {
    const auto &block = from.block, &piece = blocks_[i];
    if (block.layer != piece.layer || block.name != piece.name || block.part != piece.part) return;
    const auto first_row = std::max(piece.first_row, block.first_row),
               end_row = std::min(piece.first_row + piece.rows, block.first_row + block.rows),
               first_column = std::max(piece.first_column, block.first_column),
               end_column = std::min(piece.first_column + piece.columns, block.first_column + block.columns);
    for (std::int64_t row = first_row; row < end_row; ++row)
      for (std::int64_t column = first_column; column < end_column; ++column) {
        const auto at =
            static_cast<std::size_t>((row - piece.first_row) * piece.columns + column - piece.first_column);
        sums_[i][at] +=
            value_at(from.values, (row - block.first_row) * block.columns + column - block.first_column);
        ++counts_[i][at];
      }
  }

  const std::vector<CarriedPiece>& mine_;
  std::vector<Block> blocks_;  ///< of the pieces
  std::vector<std::vector<double>> sums_;
  std::vector<std::vector<int>> counts_;
  bool same_ranks_ = false;
  std::int64_t own_file_ = -1;
};

}  // namespace

void restore_carried(const std::filesystem::path& folder, const results::Manifest& manifest,
                     const model::ModelSpec& model, const step::Carried& carried, int rank,
                     Parameters& parameters) {
  if (const View scale = parameters.loss_scale(); !scale.empty() && manifest.loss_scale > 0) {
    scale.as<double>()[0] = manifest.loss_scale;
    scale.as<double>()[1] = manifest.loss_scale_steps;
  }
  Gatherer residuals(carried.residuals, manifest.residuals, rank, model),
      states(carried.states, manifest.own_states, rank, model);
  const View basis = parameters.basis();
  for (std::int64_t file = 0; file < std::ssize(manifest.shards); ++file) {
    const auto has = [&](const std::vector<Block>& blocks) {
      return std::ranges::any_of(blocks, [&](const Block& block) { return block.file == file; });
    };
    const bool has_residuals = residuals.wants(file) && has(manifest.residuals),
               has_states = states.wants(file) && has(manifest.own_states),
               has_bases = !basis.empty() && has(manifest.bases);
    if (!has_residuals && !has_states && !has_bases) continue;
    results::read_carried(folder, manifest, file, [&](const CarriedBlock& from) {
      if (from.kind == CarriedKind::residual && has_residuals) residuals.take(from);
      if (from.kind == CarriedKind::state && has_states) states.take(from);
      if (from.kind != CarriedKind::basis) return;
      for (const auto& c : carried.bases[static_cast<std::size_t>(rank)])
        if (same_part(block_of(c, model, 0), from.block) && c.count == from.values.size())
          for (std::int64_t i = 0; i < c.count.value(); ++i)
            set_value(basis, c.first.value() + i, value_at(from.values, i));
    });
  }
  residuals.give_all([&](const CarriedPiece& c, std::int64_t i, double sum, int) {
    set_value(parameters.residuals(), c.first.value() + i,
              sum / (residuals.same_ranks() ? 1 : static_cast<double>(c.sharers)));
  });
  const auto rule = parameters.optimizer().rule;
  // As of the others, see `restore`: moments go on with the number of their updates, or not at all.
  if (kernels::describe(rule).takes_betas && parameters.first_update() != manifest.first_update) return;
  states.give_all([&](const CarriedPiece& c, std::int64_t i, double sum, int count) {
    const auto names = kernels::states_of(rule);
    const auto& name = manifest.states[static_cast<std::size_t>(c.state)];
    const auto state = std::ranges::find(names, name) - names.begin();
    if (count > 0 && state < std::ssize(names))
      set_value(parameters.states()[static_cast<std::size_t>(state)], c.first.value() + i, sum / count);
  });
}

}  // namespace partita::state
