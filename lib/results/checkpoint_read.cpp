/// Reading what a manifest vouches for, and saying what a checkpoint does not fit.
#include <algorithm>
#include <cmath>
#include <map>
#include <tuple>

#include "checkpoint_schema.hpp"
#include "document.hpp"
#include "hdf5_tensor.hpp"
#include "partita/base/digest.hpp"
#include "partita/results/atomic_file.hpp"
#include "record_schema.hpp"

namespace partita::results {
namespace {

namespace fs = std::filesystem;

[[noreturn]] void refuse_file(const fs::path& path, const std::string& message) {
  throw base::ConfigError({{.key = path.string(), .value = "", .message = message}});
}

/// The bytes of a file, if they are those that the manifest names.
std::vector<std::byte> read_vouched(const fs::path& folder, const StoredFile& stored) {
  const auto path = folder / fs::path(stored.name).filename();
  auto bytes = read_bytes(path);
  if (static_cast<std::int64_t>(bytes.size()) != stored.bytes.value())
    refuse_file(path, "is damaged: it has " + std::to_string(bytes.size()) + " bytes, the manifest says " +
                          std::to_string(stored.bytes.value()));
  if (base::Sha256().update(bytes).hex() != stored.sha256)
    refuse_file(path, "is damaged: its SHA-256 is not the manifest's");
  return bytes;
}

/// As of a model's text: no count of elements can overflow.
constexpr double most_elements = 0x1p40;

void check_blocks(const Manifest& manifest, const std::vector<Block>& blocks) {
  if (manifest.type != kernels::DataType::float32 && manifest.type != kernels::DataType::float64)
    throw hdf5::Failure("parameters are of no type that a training has");
  for (const auto& b : blocks) {
    const bool known = b.file >= 0 && b.file < static_cast<std::int64_t>(manifest.shards.size());
    const std::int64_t rows = b.shape.rank() > 0 ? b.shape[0] : 0;
    const std::int64_t columns = rows > 0 ? b.shape.elements().value() / rows : 0;
    if (!known || b.first_row < 0 || b.rows < 1 || b.rows > rows - b.first_row || b.first_column < 0 ||
        b.columns < 1 || b.columns > columns - b.first_column)
      throw hdf5::Failure("a block of " + b.layer + " " + b.name + " leaves its tensor");
  }
}

/// 0 where there is none; else a power of two.
bool can_be_loss_scale(double scale) {
  int exponent = 0;
  return scale == 0 || (scale >= 1 && scale <= 0x1p24 && std::frexp(scale, &exponent) == 0.5);
}

/// Where the states lie, in the order of `Manifest::states`.
std::vector<GroupPath> paths_of_states(const hdf5::File& shard, const Manifest& manifest) {
  if (hdf5::exists(shard.id(), former_group)) return {GroupPath{former_group}};
  std::vector<GroupPath> paths;
  for (const auto& state : manifest.states)
    paths.push_back(path_of_state(state));
  return paths;
}

template <class T>
std::vector<T> values_of(const hdf5::File& shard, const GroupPath& path, const Block& block,
                         CarriedKind kind = CarriedKind::residual) {
  auto group = hdf5::open_group(shard.id(), path.front());
  for (std::size_t i = 1; i < path.size(); ++i)
    group = hdf5::open_group(group.get(), path[i]);
  const auto layer = hdf5::open_group(group.get(), block.layer);
  hdf5::Extents extents;
  auto column = hdf5::read_column<T>(layer.get(), block.dataset(), extents);
  const auto size = static_cast<std::int64_t>(column.size());
  const bool fits =
      kind == CarriedKind::basis ? size > 0 && size % block.columns == 0 : size == block.rows * block.columns;
  if (!fits) throw hdf5::Failure(block.layer + " " + block.name + " has another size than its block");
  return column;
}

template <class T>
void take_values(const hdf5::File& shard, const Manifest& manifest, const Block& block,
                 const std::function<void(const FilledBlock&)>& take) {
  const auto weights = values_of<T>(shard, path_of_weights(), block);
  std::vector<std::vector<T>> states;
  if (block.trained)
    for (const auto& path : paths_of_states(shard, manifest))
      states.push_back(values_of<T>(shard, path, block));
  FilledBlock filled{.block = block, .weights = std::span<const T>(weights), .states = {}};
  for (const auto& state : states)
    filled.states.emplace_back(std::span<const T>(state));
  take(filled);
}

template <class T>
void take_carried(const hdf5::File& shard, CarriedKind kind, const Block& block,
                  const std::function<void(const CarriedBlock&)>& take) {
  const auto values = values_of<T>(shard, path_of(kind), block, kind);
  take({.kind = kind, .block = block, .values = std::span<const T>(values)});
}

}  // namespace

void from_stored(const std::string& stored, kernels::Shape& shape) {
  std::array<std::int64_t, kernels::Shape::max_rank> extents{};
  std::size_t rank = 0;
  std::istringstream text(stored);
  for (std::string extent; std::getline(text, extent, 'x') && rank < extents.size();)
    extents[rank++] = std::strtoll(extent.c_str(), nullptr, 10);
  shape = rank == 1   ? kernels::Shape{extents[0]}
          : rank == 2 ? kernels::Shape{extents[0], extents[1]}
          : rank == 3 ? kernels::Shape{extents[0], extents[1], extents[2]}
                      : kernels::Shape{extents[0], extents[1], extents[2], extents[3]};
  double elements = 1;
  for (std::size_t i = 0; i < rank; ++i)
    elements *= extents[i] < 1 ? INFINITY : static_cast<double>(extents[i]);
  if (rank == 0 || elements > most_elements || to_string(shape) != stored)
    throw hdf5::Failure("shape " + hdf5::quoted(stored));
}

void number_parts(std::vector<Block>& blocks) {
  std::map<std::tuple<std::int64_t, std::string, std::string>, std::int64_t> next;
  for (auto& block : blocks)
    block.part = next[{block.file, block.layer, block.name}]++;
}

Manifest read_manifest(const fs::path& folder) {
  Manifest manifest;
  read_document(folder / "manifest.h5", "checkpoint", [&](const hdf5::File& file) {
    GroupReader root(hdf5::open_group(file.id(), "/"));
    exchange_manifest(root, manifest);
    number_parts(manifest.blocks);
    number_parts(manifest.own_states);
    if (manifest.states.empty()) manifest.states = {former_state};
    if (manifest.first_update > manifest.progress.step)
      throw hdf5::Failure("the optimizer's states begin outside of the training");
    for (const auto* blocks : {&manifest.blocks, &manifest.residuals, &manifest.bases, &manifest.own_states})
      check_blocks(manifest, *blocks);
    if (!can_be_loss_scale(manifest.loss_scale) ||
        !(manifest.loss_scale_steps >= 0 && manifest.loss_scale_steps < 1e6))
      throw hdf5::Failure("the loss scale is none");
  });
  return manifest;
}

void read_shard(const fs::path& folder, const Manifest& manifest, std::int64_t file_index,
                const std::function<void(const FilledBlock&)>& take) {
  const auto& stored = manifest.shards[static_cast<std::size_t>(file_index)];
  read_vouched_document(folder / stored.name, read_vouched(folder, stored), "checkpoint shard",
                        [&](const hdf5::File& file) {
                          for (const auto& block : manifest.blocks) {
                            if (block.file != file_index) continue;
                            if (manifest.type == kernels::DataType::float64)
                              take_values<double>(file, manifest, block, take);
                            else
                              take_values<float>(file, manifest, block, take);
                          }
                        });
}

void read_carried(const fs::path& folder, const Manifest& manifest, std::int64_t file_index,
                  const std::function<void(const CarriedBlock&)>& take) {
  const auto& stored = manifest.shards[static_cast<std::size_t>(file_index)];
  read_vouched_document(folder / stored.name, read_vouched(folder, stored), "checkpoint shard",
                        [&](const hdf5::File& file) {
                          const auto take_all = [&](CarriedKind kind, const std::vector<Block>& blocks) {
                            for (const auto& block : blocks) {
                              if (block.file != file_index) continue;
                              if (manifest.type == kernels::DataType::float64)
                                take_carried<double>(file, kind, block, take);
                              else
                                take_carried<float>(file, kind, block, take);
                            }
                          };
                          take_all(CarriedKind::residual, manifest.residuals);
                          take_all(CarriedKind::basis, manifest.bases);
                          take_all(CarriedKind::state, manifest.own_states);
                        });
}

RunRecord read_partial_result(const fs::path& folder, const Manifest& manifest) {
  RunRecord record;
  for (const auto& stored : manifest.result)
    read_vouched_document(folder / stored.name, read_vouched(folder, stored), "result",
                          [&](const hdf5::File& file) {
                            GroupReader root(hdf5::open_group(file.id(), "/"));
                            exchange_record(root, record);
                          });
  return record;
}

std::vector<base::Violation> check_identity(const std::string& key, const fs::path& folder,
                                            const TrainingIdentity& stored, const TrainingIdentity& wanted) {
  std::vector<base::Violation> violations;
  const auto differ = [&](const std::string& what, const std::string& there, const std::string& here) {
    if (there != here)
      violations.push_back(
          {key, folder.string(), "was written with " + what + " " + there + ", not " + here});
  };
  differ("train.seed", std::to_string(stored.seed), std::to_string(wanted.seed));
  differ("train.batch", std::to_string(stored.batch), std::to_string(wanted.batch));
  differ("train.shuffle", stored.shuffle ? "true" : "false", wanted.shuffle ? "true" : "false");
  if (stored.dataset_hash != wanted.dataset_hash) {
    if (stored.dataset != wanted.dataset)
      differ("data set", stored.dataset, wanted.dataset);
    else
      differ("another data set of that name, SHA-256", stored.dataset_hash, wanted.dataset_hash);
  }
  const auto layer = [](const std::vector<std::string>& layers, std::size_t i) {
    return i < layers.size() ? layers[i] : std::string("nothing");
  };
  for (std::size_t i = 0; i < std::max(stored.layers.size(), wanted.layers.size()); ++i)
    if (layer(stored.layers, i) != layer(wanted.layers, i)) {
      differ("another model (" + stored.model + "): its layer " + std::to_string(i + 1) + " is",
             layer(stored.layers, i), layer(wanted.layers, i));
      break;
    }
  return violations;
}

}  // namespace partita::results
