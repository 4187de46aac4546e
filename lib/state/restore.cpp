/// For each stored block and each piece that this rank holds, copies the rectangle of rows and columns that
/// both have, and looks at the values of which not every number is one. Shards that have nothing of this
/// rank's are not read.
#include "partita/state/restore.hpp"

#include <algorithm>
#include <cstring>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "partita/base/error.hpp"
#include "partita/base/number.hpp"
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

model::Parameter tensor_of(const Piece& piece, const model::ModelSpec& model) {
  return model.layers[static_cast<std::size_t>(piece.layer)]
      .parameters()[static_cast<std::size_t>(piece.tensor)];
}

/// What a piece and a block have in common; nothing of different tensors.
Rectangle common(const Piece& piece, const Block& block, const model::ModelSpec& model) {
  const auto& layer = model.layers[static_cast<std::size_t>(piece.layer)];
  if (layer.name != block.layer || tensor_of(piece, model).name != block.name) return {0, 0, 0, 0};
  return {std::max(piece.first_row, block.first_row),
          std::min(piece.first_row + piece.rows, block.first_row + block.rows),
          std::max(piece.first_column, block.first_column),
          std::min(piece.first_column + piece.columns, block.first_column + block.columns)};
}

template <class To, class From>
void copy_rows(std::span<To> to, Elements first, const Piece& piece, std::span<const From> from,
               const Block& block, const Rectangle& area) {
  for (std::int64_t row = area.first_row; row < area.end_row; ++row) {
    const auto source = (row - block.first_row) * block.columns + area.first_column - block.first_column;
    const auto target =
        first.value() + (row - piece.first_row) * piece.columns + area.first_column - piece.first_column;
    for (std::int64_t i = 0; i < area.end_column - area.first_column; ++i)
      to[static_cast<std::size_t>(target + i)] = static_cast<To>(from[static_cast<std::size_t>(source + i)]);
  }
}

/// `first`: where the piece begins in `to`.
void copy_area(View to, Elements first, const Piece& piece, kernels::ConstView from, const Block& block,
               const Rectangle& area) {
  const auto typed = [&]<class To>(std::span<To> target) {
    if (from.type() == kernels::DataType::float64)
      copy_rows(target, first, piece, from.as<double>(), block, area);
    else
      copy_rows(target, first, piece, from.as<float>(), block, area);
  };
  if (to.type() == kernels::DataType::float64)
    typed(to.as<double>());
  else
    typed(to.as<float>());
}

/// The first value of a block's area that its tensor cannot have, and where; empty: none.
std::string wrong_value(kernels::ConstView values, const Block& block, const Rectangle& area,
                        const model::Parameter& parameter) {
  const std::int64_t columns = parameter.columns();
  const auto find = [&](auto span) -> std::string {
    for (std::int64_t row = area.first_row; row < area.end_row; ++row)
      for (std::int64_t column = area.first_column; column < area.end_column; ++column) {
        const auto at = (row - block.first_row) * block.columns + column - block.first_column;
        const auto value = span[static_cast<std::size_t>(at)];
        if (!parameter.can_be(static_cast<double>(value)))
          return block.layer + " " + block.name + " has " + base::shortest(value) + " at " +
                 std::to_string(row * columns + column) + ", which is no running statistic";
      }
    return "";
  };
  return values.type() == kernels::DataType::float64 ? find(values.as<double>()) : find(values.as<float>());
}

/// A rank's flat vectors; states in the order of the checkpoint, empty where it has one that the rule lacks.
struct Filled {
  View weights;
  std::vector<View> states;
};

/// Whether the checkpoint has every state that the rule keeps, of every tensor that is trained now.
bool holds_all_states(const results::Manifest& manifest, const model::ModelSpec& model,
                      std::span<const std::string_view> names) {
  const auto has_state = [&](std::string_view name) {
    return std::find(manifest.states.begin(), manifest.states.end(), name) != manifest.states.end();
  };
  const auto lacks_states = [&](const Block& block) {
    return !block.trained && std::any_of(model.layers.begin(), model.layers.end(), [&](const auto& layer) {
      const auto parameters = layer.parameters();
      return layer.name == block.layer &&
             std::any_of(parameters.begin(), parameters.end(),
                         [&](const auto& p) { return p.name == block.name && layer.trains(p); });
    });
  };
  return std::all_of(names.begin(), names.end(), has_state) &&
         std::none_of(manifest.blocks.begin(), manifest.blocks.end(), lacks_states);
}

/// All states become 0; those named are to be filled where the checkpoint has them.
Filled in_order_of(const results::Manifest& manifest, View weights, std::span<const View> states,
                   std::span<const std::string_view> names) {
  for (const View state : states)
    if (!state.empty()) std::memset(state.data(), 0, static_cast<std::size_t>(state.bytes().value()));
  Filled filled{.weights = weights, .states = std::vector<View>(manifest.states.size())};
  for (std::size_t s = 0; s < names.size(); ++s) {
    const auto found = std::find(manifest.states.begin(), manifest.states.end(), names[s]);
    if (found != manifest.states.end())
      filled.states[static_cast<std::size_t>(found - manifest.states.begin())] = states[s];
  }
  return filled;
}

void copy_states(const results::FilledBlock& filled, const Piece& piece, const Rectangle& area,
                 const Filled& to) {
  for (std::size_t s = 0; s < filled.states.size(); ++s)
    if (!to.states[s].empty())
      copy_area(to.states[s], piece.state, piece, filled.states[s], filled.block, area);
}

/// A rank with this data coordinate.
void fill(const std::filesystem::path& folder, const results::Manifest& manifest,
          const model::ModelSpec& model, const step::Program& program, int data, const Filled& to) {
  const auto pieces = step::held_pieces(program, data);
  auto with_states = step::updated_pieces(program, data);
  std::erase_if(with_states, [](const Piece& piece) { return !piece.trained; });
  std::vector<base::Violation> violations;
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
    const auto file = (folder / manifest.shards[shard].name).string();
    results::read_shard(
        folder, manifest, static_cast<std::int64_t>(shard), [&](const results::FilledBlock& filled) {
          for (const auto& piece : pieces) {
            const auto area = common(piece, filled.block, model);
            if (area.empty()) continue;
            missing -= area.elements();
            copy_area(to.weights, piece.flat, piece, filled.weights, filled.block, area);
            const auto wrong = wrong_value(filled.weights, filled.block, area, tensor_of(piece, model));
            if (!wrong.empty()) violations.push_back({file, "", wrong});
          }
          for (const auto& piece : with_states)
            if (const auto area = common(piece, filled.block, model); !area.empty())
              copy_states(filled, piece, area, to);
        });
  }
  if (missing != 0)
    violations.push_back({.key = (folder / "manifest.h5").string(),
                          .value = "",
                          .message = "is damaged: its blocks do not make up the model"});
  if (!violations.empty()) throw base::ConfigError(std::move(violations));
}

}  // namespace

void restore(const std::filesystem::path& folder, const results::Manifest& manifest,
             const model::ModelSpec& model, const step::Program& program, Parameters& parameters) {
  const auto rule = parameters.optimizer().rule;
  auto names = kernels::states_of(rule);
  const bool goes_on = holds_all_states(manifest, model, names);
  if (!goes_on && kernels::describe(rule).takes_betas) names = {};
  parameters.expect_waiting(program, manifest.states);
  const auto stored = parameters.stored_names();
  std::vector<std::string_view> filled(stored.begin(), stored.end());
  // Where the rule's begin again the others go on all the same.
  if (names.empty()) std::fill_n(filled.begin(), kernels::states_of(rule).size(), std::string_view());
  parameters.edit([&](View weights, std::span<const View> states) {
    fill(folder, manifest, model, program, parameters.data_rank(),
         in_order_of(manifest, weights, states, filled));
  });
  parameters.restore_waiting(program);
  // The first update of states that begin again is by gradients that wait, if any do.
  parameters.set_first_update(goes_on ? manifest.first_update
                                      : manifest.progress.step - (parameters.is_waiting() ? 1 : 0));
}

}  // namespace partita::state
