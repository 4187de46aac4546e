/// Synchronous training: one all-reduce for each bucket, started when its last gradient exists and waited for
/// at the end of the step, just before its update.
#include "synchronisation.hpp"

namespace partita::step {
namespace {

using collective::Operation;
using collective::Purpose;
using topology::Axis;

class Synchronous : public Synchronisation {
 public:
  explicit Synchronous(Assembly& assembly) : a_(assembly), of_bucket_(a_.program.buckets.size(), -1) {}

  void gradients_complete(int bucket) override {
    const auto& b = a_.program.buckets[static_cast<std::size_t>(bucket)];
    of_bucket_[static_cast<std::size_t>(bucket)] = reduce(b.axis, Purpose::gradient, b.gradients.front());
  }

  void metric_complete() override {
    of_metric_ = reduce(metric_axes(a_.plan), Purpose::metric, a_.program.metric_slot);
  }

  void end_step() override {
    for (std::size_t b = 0; b < of_bucket_.size(); ++b) {
      const auto& bucket = a_.program.buckets[b];
      finish(of_bucket_[b]);
      a_.add({.kind = Kind::update,
              .bucket = static_cast<int>(b),
              .reads = {bucket.gradients.front()},
              .writes = {bucket.parameters}});
    }
    finish(of_metric_);
  }

 private:
  /// Starts an all-reduce; −1 where one rank has all.
  int reduce(Axis axes, Purpose purpose, int slot) {
    if (axes == Axis::none) return -1;
    const int transfer =
        a_.add_transfer({.operation = Operation::all_reduce, .axis = axes, .purpose = purpose, .slot = slot});
    a_.start(transfer);
    return transfer;
  }
  void finish(int transfer) {
    if (transfer >= 0) a_.wait(transfer);
  }

  Assembly& a_;
  std::vector<int> of_bucket_;  ///< all-reduces
  int of_metric_ = -1;
};

}  // namespace

std::unique_ptr<Synchronisation> synchronous(Assembly& assembly) {
  return std::make_unique<Synchronous>(assembly);
}

}  // namespace partita::step
