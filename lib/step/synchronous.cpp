/// Synchronous training: one all-reduce for each bucket, started when its last gradient exists and waited for
/// at the end of the step, just before its update. The loss of all ranks is there before the first update: a
/// step whose loss is not finite updates nothing, on no rank.
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
    for (const auto b : of_bucket_.ids()) {
      const auto& bucket = a_.program.buckets[b];
      finish(of_bucket_[b]);
      a_.add({.kind = Kind::update,
              .bucket = b,
              .reads = {bucket.gradients.front(), a_.program.metric_slot},
              .writes = {bucket.parameters}});
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

  Assembly& a_;
  base::IdVector<BucketId, std::optional<TransferId>> of_bucket_;  ///< all-reduces
  std::optional<TransferId> of_metric_;
};

}  // namespace

std::unique_ptr<Synchronisation> synchronous(Assembly& assembly) {
  return std::make_unique<Synchronous>(assembly);
}

}  // namespace partita::step
