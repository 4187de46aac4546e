/// How a checkpoint comes to count: every rank writes its shard and tells all its digest or its failure; rank
/// 0 writes the manifest once all shards are there, and only then tells that the step is safe.
#include "partita/state/checkpointer.hpp"

#include <algorithm>
#include <cstring>

#include "blocks.hpp"
#include "partita/base/clock.hpp"
#include "partita/base/error.hpp"
#include "partita/base/paths.hpp"

namespace partita::state {
namespace {

/// Of the time of the steps, for what a checkpoint does between them.
constexpr double share_of_steps = 0.01;

/// Of the pieces of one rank, in a file.
std::vector<results::Block> blocks_of(const std::vector<step::Piece>& pieces, const model::ModelSpec& model,
                                      std::int64_t file) {
  std::vector<results::Block> blocks;
  for (const auto& piece : pieces)
    blocks.push_back(block_of(piece, model, file));
  results::number_parts(blocks);
  return blocks;
}

/// Of a checkpoint, in which every rank that owns something writes.
std::filesystem::path make_checkpoint_folder(const std::filesystem::path& dir, std::int64_t step) {
  auto folder = results::checkpoint_folder(dir, step);
  base::refuse_path(folder, base::make_folders(folder));
  return folder;
}

/// Shards on another rank's own disk would be of no use.
void check_shared(const std::filesystem::path& folder, const results::Manifest& manifest) {
  for (const auto& shard : manifest.shards) {
    std::error_code error;
    const auto bytes = std::filesystem::file_size(folder / shard.name, error);
    if (error || static_cast<std::int64_t>(bytes) != shard.bytes.value())
      throw base::EnvironmentError(
          "stat " + (folder / shard.name).string(), error.value(),
          "rank 0 does not see it as it was written; checkpoint.dir must be a folder that all"
          " ranks share");
  }
}

/// Of a checkpoint, in the ledger.
class CheckpointActivity {
 public:
  explicit CheckpointActivity(comm::Ledger& ledger) : ledger_(ledger), before_(ledger.activity()) {
    ledger.set_activity(collective::Activity::checkpoint);
  }
  ~CheckpointActivity() { ledger_.set_activity(before_); }
  CheckpointActivity(const CheckpointActivity&) = delete;
  CheckpointActivity& operator=(const CheckpointActivity&) = delete;

 private:
  comm::Ledger& ledger_;
  collective::Activity before_;
};

}  // namespace

results::Block block_of(const step::Piece& piece, const model::ModelSpec& model, std::int64_t file) {
  const auto& layer = model.layers[static_cast<std::size_t>(piece.layer)];
  const auto parameter = layer.parameters()[static_cast<std::size_t>(piece.tensor)];
  return {.layer = layer.name,
          .name = std::string(parameter.name),
          .shape = parameter.shape,
          .first_row = piece.first_row,
          .rows = piece.rows,
          .first_column = piece.first_column,
          .columns = piece.columns,
          .trained = piece.trained,
          .file = file};
}

results::Block block_of(const step::CarriedPiece& carried, const model::ModelSpec& model, std::int64_t file) {
  auto block = block_of(carried.piece, model, file);
  block.copy = carried.is_copy;
  block.part = carried.state;
  return block;
}

Checkpointer::Checkpointer(comm::Communicator& world, const model::ModelSpec& model,
                           const Parameters& parameters, CheckpointOptions options,
                           std::vector<std::vector<step::Piece>> owned, step::Carried carried)
    : world_(world),
      model_(model),
      parameters_(parameters),
      options_(std::move(options)),
      owned_(std::move(owned)),
      carried_(std::move(carried)),
      receipts_(static_cast<std::size_t>(world.size())) {
  std::vector<std::int64_t> cuts(receipts_.size() + 1);
  for (std::size_t r = 0; r < cuts.size(); ++r)
    cuts[r] = static_cast<std::int64_t>(r * sizeof(Receipt));
  const kernels::View receipts(receipts_.data(), kernels::DataType::uint8, kernels::Elements(cuts.back()));
  gather_receipts_ = world.plan_all_gather(receipts, cuts, collective::Purpose::control);
  tell_committed_ = world.plan_broadcast(std::span(&committed_step_, 1), 0, collective::Purpose::control);
}

Checkpointer::~Checkpointer() = default;

/// The pieces that this rank owns, and the optimizer's states of them, one after the other; then what it
/// carries.
Checkpointer::Copied Checkpointer::copy_state() {
  const auto me = static_cast<std::size_t>(world_.rank());
  const auto& pieces = owned_[me];
  const kernels::ConstView weights = parameters_.weights_on_host();
  const auto states = parameters_.states_on_host();
  kernels::Bytes total{};
  for (const auto& p : pieces)
    total += bytes_of(weights.type(), p.elements() * (p.trained ? 1 + std::ssize(states) : 1));
  for (const auto* carried : {&carried_.residuals[me], &carried_.bases[me], &carried_.states[me]})
    for (const auto& c : *carried)
      if (c.is_own) total += bytes_of(weights.type(), c.count);
  if (static_cast<std::int64_t>(copy_.bytes().size()) < total.value()) copy_ = memory::HostBuffer(total);
  char* next = reinterpret_cast<char*>(copy_.bytes().data());
  const auto copy = [&](kernels::ConstView source) {
    const kernels::ConstView target(next, source.type(), source.size());
    std::memcpy(next, source.data(), static_cast<std::size_t>(source.bytes().value()));
    next += source.bytes().value();
    return target;
  };
  names_ = parameters_.stored_names();
  first_update_ = parameters_.first_update();
  Copied copied;
  auto& blocks = copied.owned;
  const auto described = blocks_of(pieces, model_, world_.rank());
  for (std::size_t i = 0; i < pieces.size(); ++i) {
    const auto& p = pieces[i];
    blocks.push_back({.block = described[i]});
    blocks.back().weights = copy(weights.slice(p.flat, p.elements()));
    if (!p.trained) continue;
    for (const auto& state : states)
      blocks.back().states.push_back(copy(state.slice(p.state, p.elements())));
  }
  const auto carry = [&](results::CarriedKind kind, const std::vector<step::CarriedPiece>& carried,
                         const auto& all_of) {
    for (const auto& c : carried)
      if (c.is_own)
        copied.carried.push_back({.kind = kind,
                                  .block = block_of(c, model_, world_.rank()),
                                  .values = copy(all_of(c).slice(c.first, c.count))});
  };
  carry(results::CarriedKind::residual, carried_.residuals[me],
        [&](const auto&) { return parameters_.residuals(); });
  carry(results::CarriedKind::basis, carried_.bases[me], [&](const auto&) { return parameters_.basis(); });
  carry(results::CarriedKind::state, carried_.states[me],
        [&](const auto& c) { return states[static_cast<std::size_t>(c.state)]; });
  if (const auto scale = parameters_.loss_scale(); !scale.empty())
    std::ranges::copy(scale.as<double>(), loss_scale_.begin());
  return copied;
}

void Checkpointer::begin(const results::TrainingProgress& progress, std::vector<std::byte> result) {
  finish();
  const double begun = base::now_seconds();
  work_ = write(progress, std::move(result));
  work_.advance();
  allowance_seconds_ -= base::now_seconds() - begun;
}

void Checkpointer::after_step(double step_seconds) {
  if (work_.is_done()) return;
  allowance_seconds_ = std::min(allowance_seconds_, 0.0) + share_of_steps * step_seconds;
  for (double before = base::now_seconds(); allowance_seconds_ > 0 && !work_.is_done();) {
    work_.advance();
    const double now = base::now_seconds();
    allowance_seconds_ -= now - before;
    before = now;
  }
}

std::int64_t Checkpointer::finish() {
  if (work_.is_done()) return committed_step_;
  world_.wait_until([this] { return work_.advance(); });
  return committed_step_;
}

base::Sliced Checkpointer::write(results::TrainingProgress progress, std::vector<std::byte> result) {
  auto& mine = receipts_[static_cast<std::size_t>(world_.rank())];
  mine = {};
  auto copied = copy_state();
  co_yield base::next_slice;
  results::StoredFile shard;
  try {
    if (!copied.owned.empty() || !copied.carried.empty()) {
      const auto folder = make_checkpoint_folder(options_.dir, progress.step);
      for (auto part = results::write_shard(folder, world_.rank(), names_, std::move(copied.owned),
                                            std::move(copied.carried), shard);
           !part.advance();)
        co_yield base::next_slice;
    }
    mine.bytes = shard.bytes.value();
    std::copy_n(shard.sha256.begin(), shard.sha256.size(), mine.sha256.begin());
  } catch (const std::exception& error) {  // the others must learn of it
    const std::string text = error.what();
    std::copy_n(text.begin(), std::min(text.size(), mine.failure.size() - 1), mine.failure.begin());
  }
  {
    const CheckpointActivity booked(world_.ledger());
    gather_receipts_->start();
  }
  while (!gather_receipts_->test())
    co_yield base::next_slice;
  gather_receipts_->wait();
  if (world_.rank() == 0)
    for (auto part = commit(progress, std::move(result)); !part.advance();)
      co_yield base::next_slice;
  {
    const CheckpointActivity booked(world_.ledger());
    tell_committed_->start();
  }
  while (!tell_committed_->test())
    co_yield base::next_slice;
  tell_committed_->wait();
}

results::Manifest Checkpointer::manifest(const results::TrainingProgress& progress) const {
  auto manifest = options_.describe();
  manifest.type = parameters_.weights().type();
  manifest.states = names_;
  manifest.first_update = first_update_;
  manifest.progress = progress;
  manifest.loss_scale = loss_scale_[0], manifest.loss_scale_steps = loss_scale_[1];
  for (std::size_t r = 0; r < receipts_.size(); ++r) {
    if (receipts_[r].bytes == 0) continue;
    const auto file = std::ssize(manifest.shards);
    const auto blocks = blocks_of(owned_[r], model_, file);
    manifest.blocks.insert(manifest.blocks.end(), blocks.begin(), blocks.end());
    for (const auto& c : carried_.residuals[r])
      manifest.residuals.push_back(block_of(c, model_, file));
    for (const auto& c : carried_.bases[r])
      if (c.is_own) manifest.bases.push_back(block_of(c, model_, file));
    for (const auto& c : carried_.states[r])
      manifest.own_states.push_back(block_of(c, model_, file));
    manifest.shards.push_back({.name = "shard-" + std::to_string(r) + ".h5",
                               .bytes = kernels::Bytes(receipts_[r].bytes),
                               .sha256 = {receipts_[r].sha256.begin(), receipts_[r].sha256.end()}});
  }
  return manifest;
}

/// On rank 0, once every shard is on the disk.
base::Sliced Checkpointer::commit(results::TrainingProgress progress, std::vector<std::byte> result) {
  CheckpointReport report{.step = progress.step};
  for (std::size_t r = 0; r < receipts_.size() && report.failure.empty(); ++r)
    if (receipts_[r].failure[0] != '\0')
      report.failure = "rank " + std::to_string(r) + ": " + receipts_[r].failure.data();
  if (report.failure.empty()) try {
      const auto folder = make_checkpoint_folder(options_.dir, progress.step);
      auto vouched = manifest(progress);
      check_shared(folder, vouched);
      vouched.result.emplace_back();
      for (auto part = results::write_image(folder / "result.h5", std::move(result), vouched.result.back());
           !part.advance();)
        co_yield base::next_slice;
      for (const auto& file : vouched.shards)
        report.bytes += file.bytes;
      report.bytes += vouched.result.back().bytes;
      for (auto part = results::write_manifest(folder, std::move(vouched)); !part.advance();)
        co_yield base::next_slice;
      committed_step_ = progress.step;
      results::remove_old_checkpoints(options_.dir, options_.keep);
    } catch (const std::exception& error) {
      report.failure = error.what();
    }
  on_report(report);
}

}  // namespace partita::state
