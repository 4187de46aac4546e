/// Checkpoints: what a training needs to go on, stored so that it can go on on any grid.
///
/// `<dir>/step-<n>/` holds the state after n steps: a shard file for every rank that owns a part of the
/// model, `result.h5` (the result so far) and `manifest.h5`. The manifest names the SHA-256 of all the others
/// and is renamed into place last: that is the commit, and a folder without one does not count. Its virtual
/// datasets `/parameters/<layer>/{weight,bias}` and `/optimizer/<state>/…` show the whole tensors, wherever
/// their parts lie.
///
/// Everything is written in slices (`base::Sliced`), between which the caller goes on with its own work;
/// fsync runs beside them.
#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "partita/base/error.hpp"
#include "partita/base/sliced.hpp"
#include "partita/kernels/shape.hpp"
#include "partita/kernels/view.hpp"
#include "partita/results/record.hpp"

namespace partita::results {

/// A rectangle of one parameter tensor in the logical layout: rows of its first dimension, columns of all
/// others taken together.
struct Block {
  std::string layer, name;  ///< "conv1", "weight"
  kernels::Shape shape;     ///< of the whole tensor
  std::int64_t first_row = 0, rows = 0;
  std::int64_t first_column = 0, columns = 1;
  bool trained = true;    ///< the optimizer has states of it
  std::int64_t file = 0;  ///< of the manifest's shards, where it lies
  std::int64_t part = 0;  ///< of the blocks of its tensor there, see `number_parts`
  bool copy = false;      ///< of residuals: other ranks store the same
  /// "weight", "weight.1", …: its name in the shard.
  [[nodiscard]] std::string dataset() const { return part == 0 ? name : name + "." + std::to_string(part); }
  friend bool operator==(const Block&, const Block&) = default;
};

/// Numbers the blocks of each tensor in each file in their order.
void number_parts(std::vector<Block>&);

/// A block with its values [rows, columns] and, where it is trained, the optimizer's states of it in the
/// order of the manifest.
struct FilledBlock {
  Block block;
  kernels::ConstView weights;
  std::vector<kernels::ConstView> states;
};

/// What ranks carry from step to step besides what they share, in the order of the tables of `Manifest`: what
/// codes did not say, bases of factors, states of the optimizer that each data rank has of its own.
enum class CarriedKind { residual, basis, state };
struct CarriedBlock {
  CarriedKind kind = CarriedKind::residual;
  Block block;  ///< of what: of a rank, the file of whose shard it names
  kernels::ConstView values;
};

/// A file that a manifest vouches for.
struct StoredFile {
  std::string name;
  Bytes bytes{};
  std::string sha256;  ///< 64 hexadecimal digits
  friend bool operator==(const StoredFile&, const StoredFile&) = default;
};

/// How far a training had come.
struct TrainingProgress {
  std::int64_t step = 0;  ///< steps taken
  // Of the epoch under way:
  double loss_sum = 0;  ///< Σ loss · samples
  std::int64_t samples = 0;
  double epoch_seconds = 0;  ///< rank 0's
  // Of the epochs before:
  double training_seconds = 0;
  double test_accuracy = not_measured;  ///< after the last one
};

/// What must be the same in a training that goes on from it; the grid need not.
struct TrainingIdentity {
  std::string model, dataset, dataset_hash;
  std::uint64_t seed = 0;
  std::int64_t batch = 0;
  bool shuffle = true;
  std::vector<std::string> layers;  ///< of each its name, kind and output: "conv1 conv 10x24x24"
  friend bool operator==(const TrainingIdentity&, const TrainingIdentity&) = default;
};

struct Manifest {
  TrainingIdentity identity;
  std::string config, config_hash;
  std::string load_model_hash;  ///< content of the model that the run started from; empty: none
  std::string
      output;  ///< that the checkpoint belongs to, as seen from the folder of checkpoints; empty: none
  kernels::DataType type = kernels::DataType::float32;
  /// The names of the optimizer's states, such as "velocity"; not said by checkpoints that knew SGD only.
  std::vector<std::string> states;
  /// The step whose update is the first that the states hold, if each step has one; of asynchronous servers,
  /// which update more often, as many steps earlier as there were more updates, and so perhaps below 0.
  std::int64_t first_update = 0;
  TrainingProgress progress;
  std::vector<StoredFile> shards;
  std::vector<Block> blocks;
  /// What ranks carry of gradients that their codes did not say, each its own; the bases of factors; and the
  /// loss scale with the steps that it stands (0: there is none).
  std::vector<Block> residuals, bases;
  /// Of local steps, whose data ranks have states of their own: of each rank its own, of a tensor one after
  /// the other, by `Block::part`.
  std::vector<Block> own_states;
  double loss_scale = 0, loss_scale_steps = 0;
  std::vector<StoredFile> result;  ///< at most one
};

/// The folder of the state after `step` steps.
std::filesystem::path checkpoint_folder(const std::filesystem::path& dir, std::int64_t step);
/// Steps with a manifest, newest first. A missing folder has none.
std::vector<std::int64_t> list_checkpoints(const std::filesystem::path& dir);
/// Deletes all but the newest `keep` checkpoints, and older folders in which writing was broken off.
void remove_old_checkpoints(const std::filesystem::path& dir, int keep);
/// Deletes every checkpoint, so that a new training does not leave one of an old.
void remove_all_checkpoints(const std::filesystem::path& dir);
/// Takes a damaged checkpoint out of the list; its folder is kept as "damaged-step-<n>".
void set_aside(const std::filesystem::path& dir, std::int64_t step);
/// What keeps checkpoints from being written into `dir`, or the checkpoints that lie there already unless
/// `may_exist`.
std::vector<base::Violation> check_checkpoint_dir(const std::filesystem::path& dir, bool may_exist);

/// Writes `folder/shard-<rank>.h5`; `stored` is filled at the end. The views outlive the work.
base::Sliced write_shard(std::filesystem::path folder, int rank, std::vector<std::string> states,
                         std::vector<FilledBlock> blocks, std::vector<CarriedBlock> carried,
                         StoredFile& stored);
/// Writes an image, such as `image_of` a result, into the folder.
base::Sliced write_image(std::filesystem::path file, std::vector<std::byte> image, StoredFile& stored);
/// The commit.
base::Sliced write_manifest(std::filesystem::path folder, Manifest manifest);

/// Throws as `read` of a result does.
Manifest read_manifest(const std::filesystem::path& folder);
/// Calls `take` for every block of one of the manifest's shards, its views valid for the call. Throws
/// `base::ConfigError` that names the file when it is not the one that the manifest vouches for.
void read_shard(const std::filesystem::path& folder, const Manifest&, std::int64_t shard,
                const std::function<void(const FilledBlock&)>& take);
/// The same of what a rank carries.
void read_carried(const std::filesystem::path& folder, const Manifest&, std::int64_t shard,
                  const std::function<void(const CarriedBlock&)>& take);
/// The result so far. Throws as `read_shard`.
RunRecord read_partial_result(const std::filesystem::path& folder, const Manifest&);

/// In what a training differs from the one that left a checkpoint, though it must not; names the first layer.
std::vector<base::Violation> check_identity(const std::string& key, const std::filesystem::path& folder,
                                            const TrainingIdentity& stored, const TrainingIdentity& wanted);

}  // namespace partita::results
