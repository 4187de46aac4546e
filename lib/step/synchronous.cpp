/// Synchronous training: one all-reduce for each bucket, started when its last gradient exists and waited for
/// at the end of the step, just before its update. The loss of all ranks is there before the first update: a
/// step whose loss is not finite updates nothing, on no rank. Where gradients are clipped all buckets are
/// waited for before the first update; then the norm tells all ranks of a gradient that is not finite, too.
#include <utility>

#include "synchronisation.hpp"

namespace partita::step {
namespace {

using collective::Operation;
using collective::Purpose;
using topology::Axis;

class Synchronous : public Synchronisation {
 public:
  explicit Synchronous(Assembly& assembly) : a_(assembly), of_bucket_(a_.program.buckets.size()) {}

  void gradients_complete(BucketId bucket) override {
    const auto& b = a_.program.buckets[bucket];
    of_bucket_[bucket] = reduce(b.axis, Purpose::gradient, b.gradients.front());
  }

  void metric_complete() override {
    of_metric_ = reduce(metric_axes(a_.plan), Purpose::metric, a_.program.metric_slot);
  }

  void end_step() override {
    finish(of_metric_);
    if (a_.program.squares_slot) clip(*a_.program.squares_slot);
    for (const auto b : of_bucket_.ids()) {
      finish(std::exchange(of_bucket_[b], {}));
      update(b);
    }
  }

 private:
  /// Starts an all-reduce; none where one rank has all.
  std::optional<TransferId> reduce(Axis axes, Purpose purpose, SlotId slot) {
    if (axes == Axis::none) return {};
    const auto transfer =
        a_.add_transfer({.operation = Operation::all_reduce, .axis = axes, .purpose = purpose, .slot = slot});
    a_.start(transfer);
    return transfer;
  }
  void finish(std::optional<TransferId> transfer) {
    if (transfer) a_.wait(*transfer);
  }

  /// The norm of all gradients: of this rank's buckets, of which each rank of the data axis has all, then of
  /// those of other stages and shares. The first instruction also clears what others are to fill.
  void clip(SlotId squares) {
    if (of_bucket_.empty()) a_.add({.kind = Kind::norm, .writes = {squares}});
    for (const auto b : of_bucket_.ids()) {
      finish(std::exchange(of_bucket_[b], {}));
      a_.add({.kind = Kind::norm,
              .bucket = b,
              .accumulates = b != BucketId(),
              .reads = {a_.program.buckets[b].gradients.front()},
              .writes = {squares}});
    }
    if (const auto axes = norm_axes(a_.plan); axes != Axis::none) {
      const auto transfer = a_.add_transfer(
          {.operation = Operation::all_gather, .axis = axes, .purpose = Purpose::norm, .slot = squares});
      a_.start(transfer);
      a_.wait(transfer);
    }
    a_.add(
        {.kind = Kind::norm, .phase = Phase::finish, .reads = {squares}, .writes = {*a_.program.scale_slot}});
  }

  void update(BucketId b) {
    const auto& bucket = a_.program.buckets[b];
    Instruction whole{.kind = Kind::update,
                      .bucket = b,
                      .reads = {bucket.gradients.front(), a_.program.metric_slot},
                      .writes = {bucket.parameters}};
    if (a_.program.scale_slot) whole.reads.push_back(*a_.program.scale_slot);
    if (bucket.tensor_squares) {
      auto statistics = whole;
      statistics.phase = Phase::statistics;
      statistics.reads.push_back(bucket.parameters);
      statistics.writes = {bucket.gradients.front(), *bucket.tensor_squares};
      a_.add(std::move(statistics));
      whole.phase = Phase::finish;
      whole.reads.push_back(*bucket.tensor_squares);
    }
    a_.add(std::move(whole));
  }

  Assembly& a_;
  base::IdVector<BucketId, std::optional<TransferId>> of_bucket_;  ///< all-reduces
  std::optional<TransferId> of_metric_;
};

}  // namespace

std::unique_ptr<Synchronisation> synchronous(Assembly& assembly) {
  return std::make_unique<Synchronous>(assembly);
}

}  // namespace partita::step
