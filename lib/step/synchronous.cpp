/// Synchronous training: the reduction of each bucket, or of shares where it is split, is started when its
/// last gradient exists and waited for at the end of the step, just before its update; the parameters of
/// a bucket that is split are gathered behind it, unless each pass gathers them. The loss of all ranks is
/// there before the first update: a step whose loss is not finite updates nothing, on no rank. Where
/// gradients are clipped all buckets are waited for before the first update; then the norm tells all ranks of
/// a gradient that is not finite, too.
#include <set>
#include <utility>

#include "reduction.hpp"
#include "synchronisation.hpp"

namespace partita::step {
namespace {

using collective::Operation;
using collective::Purpose;
using topology::Axis;

class Synchronous : public Synchronisation {
 public:
  explicit Synchronous(Assembly& assembly) : a_(assembly) {
    for (const auto b : a_.program.buckets.ids())
      of_bucket_.push_back(reduction_of(a_, b));
  }

  /// Where two buckets have all the room for gradients, the one before the last has to leave it.
  void gradients_begin(BucketId bucket) override {
    if (bucket.value() >= 2 && a_.program.buckets[bucket].kept_gradients) settle(bucket - 2);
  }

  /// Those that began before go on beside the first exchange of this one.
  void gradients_complete(BucketId bucket) override {
    of_bucket_[bucket]->begin();
    for (const auto before : begun_)
      of_bucket_[before]->go_on();
    begun_.push_back(bucket);
  }

  void metric_complete() override {
    of_metric_ = begin({.operation = Operation::all_reduce,
                        .axis = metric_axes(a_.plan),
                        .purpose = Purpose::metric,
                        .slot = a_.program.metric_slot});
  }

  void end_step() override {
    for (const auto b : begun_)
      of_bucket_[b]->go_on();
    finish(of_metric_);
    if (a_.program.squares_slot) clip(*a_.program.squares_slot);
    std::vector<std::optional<TransferId>> gathers;
    for (const auto b : of_bucket_.ids()) {
      settle(b);
      update(b);
      const auto& bucket = a_.program.buckets[b];
      if (bucket.is_split && !a_.program.holds_share(bucket))
        gathers.push_back(begin({.operation = Operation::all_gather,
                                 .axis = bucket.axis,
                                 .purpose = Purpose::parameter,
                                 .slot = bucket.parameters}));
    }
    for (const auto gather : gathers)
      finish(gather);
  }

 private:
  /// Starts a transfer; none where one rank has all.
  std::optional<TransferId> begin(const Transfer& t) {
    if (t.axis == Axis::none) return {};
    const auto transfer = a_.add_transfer(t);
    a_.start(transfer);
    return transfer;
  }
  void finish(std::optional<TransferId> transfer) {
    if (transfer) a_.wait(*transfer);
  }

  /// Waits until this rank has what it updates the bucket by, and puts that where it stays; once.
  void settle(BucketId b) {
    if (!settled_.insert(b).second) return;
    of_bucket_[b]->finish();
    const auto& bucket = a_.program.buckets[b];
    if (bucket.kept_gradients)
      a_.add({.kind = Kind::share,
              .bucket = b,
              .reads = {bucket.gradients.front()},
              .writes = {*bucket.kept_gradients}});
  }
  [[nodiscard]] SlotId gradients_of(const Bucket& bucket) const {
    return bucket.kept_gradients.value_or(bucket.gradients.front());
  }

  /// The norm of all gradients: of this rank's buckets, of which each rank of the data axis has all, then of
  /// those of other stages and shares. The first instruction also clears what others are to fill.
  void clip(SlotId squares) {
    if (of_bucket_.empty()) a_.add({.kind = Kind::norm, .writes = {squares}});
    for (const auto b : of_bucket_.ids()) {
      settle(b);
      a_.add({.kind = Kind::norm,
              .bucket = b,
              .accumulates = b != BucketId(),
              .reads = {gradients_of(a_.program.buckets[b])},
              .writes = {squares}});
    }
    if (const auto axes = norm_axes(a_.plan); axes != Axis::none) {
      const auto transfer = a_.add_transfer(
          {.operation = Operation::all_gather, .axis = axes, .purpose = Purpose::norm, .slot = squares});
      a_.start(transfer);
      a_.wait(transfer);
    }
    Instruction finish{
        .kind = Kind::norm, .phase = Phase::finish, .reads = {squares}, .writes = {*a_.program.scale_slot}};
    if (const auto loss_scale = a_.program.loss_scale_slot) {
      finish.reads.push_back(*loss_scale);
      finish.writes.push_back(*loss_scale);
    }
    a_.add(std::move(finish));
  }

  void update(BucketId b) {
    const auto& bucket = a_.program.buckets[b];
    Instruction whole{.kind = Kind::update,
                      .bucket = b,
                      .reads = {gradients_of(bucket), a_.program.metric_slot},
                      .writes = {bucket.parameters}};
    if (a_.program.scale_slot) whole.reads.push_back(*a_.program.scale_slot);
    if (bucket.tensor_squares) {
      auto statistics = whole;
      statistics.phase = Phase::statistics;
      statistics.reads.push_back(bucket.parameters);
      const SlotId sums = bucket.share_squares.value_or(*bucket.tensor_squares);
      statistics.writes = {gradients_of(bucket), sums};
      a_.add(std::move(statistics));
      whole.phase = Phase::finish;
      whole.reads.push_back(sums);
      if (bucket.share_squares) whole.writes.push_back(*bucket.tensor_squares);
      if (bucket.is_split)
        finish(begin({.operation = Operation::all_gather,
                      .axis = bucket.axis,
                      .purpose = Purpose::norm,
                      .slot = sums}));
    }
    a_.add(std::move(whole));
  }

  Assembly& a_;
  base::IdVector<BucketId, std::unique_ptr<Reduction>> of_bucket_;
  std::vector<BucketId> begun_;
  std::set<BucketId> settled_;
  std::optional<TransferId> of_metric_;
};

}  // namespace

std::unique_ptr<Synchronisation> synchronous(Assembly& assembly) {
  return std::make_unique<Synchronous>(assembly);
}

}  // namespace partita::step
