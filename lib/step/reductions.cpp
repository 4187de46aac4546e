/// A bucket takes units in the order in which their gradients are complete. It ends when it holds
/// `bucket_bytes`, when the next unit is reduced over other axes, and after the last trained unit. Sizes are
/// those of an even cut, so that tensor ranks close the same buckets.
#include "reductions.hpp"

namespace partita::step {

using collective::Operation;
using collective::Purpose;
using topology::Axis;

Reductions::Reductions(Assembly& assembly) : a_(assembly) {
  for (int u = 0; u < static_cast<int>(assembly.program.units.size()); ++u)
    trained_units_left_ += assembly.whole(u).is_trained() ? 1 : 0;
}

void Reductions::complete(int u) {
  const auto& range = a_.program.parameters[static_cast<std::size_t>(u)];
  const Axis axes = gradient_axes(a_.plan, a_.unit(u).layer);
  if (open_units_ > 0 && open_.axis != axes) close_bucket();
  ++open_units_;
  open_.axis = axes;
  open_.count += range.count();
  const auto elements = a_.whole(u).parameter_elements().value();
  const int shares = range.replicated ? 1 : a_.plan.grid.tensor;
  open_share_ += Elements((elements + shares - 1) / shares);
  --trained_units_left_;
  if (bytes_of(a_.program.type, open_share_) >= a_.plan.bucket_bytes || trained_units_left_ == 0)
    close_bucket();
}

void Reductions::close_bucket() {
  a_.program.buckets.push_back(open_);
  int reduction = -1;
  if (open_.axis != Axis::none) {
    reduction = a_.add_transfer({.operation = Operation::all_reduce,
                                 .axis = open_.axis,
                                 .purpose = Purpose::gradient,
                                 .slot = a_.program.parameter_gradient_slot,
                                 .first = open_.first,
                                 .count = open_.count});
    a_.start(reduction);
  }
  bucket_reduction_.push_back(reduction);
  open_ = {.first = open_.first + open_.count};
  open_share_ = {};
  open_units_ = 0;
}

void Reductions::start_metric() {
  const Axis axes = metric_axes(a_.plan);
  if (axes == Axis::none) return;
  metric_reduction_ = a_.add_transfer({.operation = Operation::all_reduce,
                                       .axis = axes,
                                       .purpose = Purpose::metric,
                                       .slot = a_.program.metric_slot,
                                       .count = Elements(2)});
  a_.start(metric_reduction_);
}

void Reductions::update() {
  for (std::size_t b = 0; b < a_.program.buckets.size(); ++b) {
    if (bucket_reduction_[b] >= 0) a_.wait(bucket_reduction_[b]);
    a_.add({.kind = Kind::update,
            .bucket = static_cast<int>(b),
            .reads = {a_.program.parameter_gradient_slot},
            .writes = {a_.program.parameter_slot}});
  }
  if (metric_reduction_ >= 0) a_.wait(metric_reduction_);
}

}  // namespace partita::step
