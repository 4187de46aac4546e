/// Synchronous training: the reduction of each bucket, or of shares where it is split, is started when its
/// last gradient exists and waited for at the end of the step, just before its update; the parameters of
/// a bucket that is split are gathered behind it, unless each pass gathers them. The loss of all ranks is
/// there before the first update: a step whose loss is not finite updates nothing, on no rank. Where
/// gradients are clipped all buckets are waited for before the first update; then the norm tells all ranks of
/// a gradient that is not finite, too.
///
/// Where updates are delayed or steps are local, the same with other sums: see `sums_of`.
#include <algorithm>
#include <set>
#include <utility>

#include "reduction.hpp"
#include "synchronisation.hpp"

namespace partita::step {
namespace {

using collective::Operation;
using collective::Purpose;
using topology::Axis;

/// Of the gradients of a bucket in one of its slots: the steps that begin to add them up, those that wait for
/// the sums, and over which axes these are.
struct Sum {
  StepKinds begun, used;
  std::size_t buffer = 0;
  bool is_of_data_rank = false;
};

std::vector<Sum> sums_of(const Cadence& cadence) {
  using enum StepKind;
  if (cadence.is_delayed)
    return {{.begun = {first, even}, .used = {odd, drain_first}, .buffer = 0},
            {.begun = {odd}, .used = {even, drain_second}, .buffer = 1}};
  if (!cadence.local.is_on()) return {{}};
  constexpr StepKinds own{local, averaging};
  std::vector<Sum> sums{{.begun = own, .used = own, .is_of_data_rank = true}};
  if (cadence.local.start > 0) sums.push_back({.begun = {synchronous}, .used = {synchronous}});
  return sums;
}

/// Steps that update, each with the slot of the gradients that it does so by.
std::vector<Synchronisation::InBuffer> updates_of(const Cadence& cadence) {
  if (!cadence.is_delayed) return {{}};
  std::vector<Synchronisation::InBuffer> updates;
  for (const auto& sum : sums_of(cadence))
    updates.push_back({sum.used, sum.buffer});
  return updates;
}

class Synchronous : public Synchronisation {
 public:
  explicit Synchronous(Assembly& assembly)
      : a_(assembly), sums_(sums_of(a_.program.cadence)), updates_(updates_of(a_.program.cadence)) {
    for (const auto b : a_.program.buckets.ids()) {
      if (!a_.program.training) break;
      std::vector<std::unique_ptr<Reduction>> reductions;
      const auto& bucket = a_.program.buckets[b];
      for (const auto& sum : sums_)
        reductions.push_back(reduction_of(a_, b, bucket.gradients[sum.buffer], axis_of(bucket, sum)));
      of_bucket_.push_back(std::move(reductions));
    }
  }

  [[nodiscard]] std::vector<InBuffer> passes() const override {
    if (!a_.program.cadence.is_delayed) return {{}};
    std::vector<InBuffer> passes;
    for (const auto& sum : sums_)
      passes.push_back({sum.begun, sum.buffer});
    return passes;
  }

  /// Where two buckets have all the room for gradients, the one before the last has to leave it.
  void gradients_begin(BucketId bucket) override {
    if (bucket.value() >= 2 && a_.program.buckets[bucket].kept_gradients) settle(bucket - 2);
  }

  /// Those that began before go on beside the first exchange of this one.
  void gradients_complete(BucketId bucket) override {
    begin_at_.push_back(a_.program.instructions.size());
    for_each_sum(bucket, &Sum::begun, [](Reduction& sum) { sum.begin(); });
    for (const auto before : begun_)
      go_on(before);
    begun_.push_back(bucket);
  }

  /// Of secure sums the losses also tell whose gradients cannot be added up, which are complete later.
  void metric_complete() override {
    if (a_.program.secret_losses) return;
    const auto all = metric_axes(a_.plan);
    if (!a_.program.cadence.local.is_on()) return begin_metric(StepKinds(), all);
    begin_metric({StepKind::synchronous, StepKind::averaging}, all);
    if (a_.program.cadence.local.period > 1) begin_metric({StepKind::local}, without_data(a_.plan, all));
  }

  void end_step() override {
    for (const auto b : begun_)
      go_on(b);
    if (a_.program.cadence.is_delayed && !a_.program.compression.is_secure()) free_codes();
    if (a_.program.secret_losses) add_up(*a_.program.secret_losses);
    for (const auto& [kinds, transfer] : of_metric_) {
      const Assembly::Only only(a_, kinds & kinds_of_passes());
      finish(transfer);
    }
    const Assembly::Only only(a_, kinds_of_updates());
    if (a_.program.squares_slot) clip(*a_.program.squares_slot);
    std::vector<std::optional<TransferId>> gathers;
    std::vector<Average> averages;
    for (const auto b : of_bucket_.ids()) {
      settle(b);
      update(b);
      const auto& bucket = a_.program.buckets[b];
      if (bucket.is_split && !a_.program.holds_share(bucket))
        gathers.push_back(begin({.operation = Operation::all_gather,
                                 .axis = bucket.axis,
                                 .purpose = Purpose::parameter,
                                 .slot = bucket.parameters}));
      if (bucket.averaging) averages.push_back(begin_average(b));
    }
    for (const auto gather : gathers)
      finish(gather);
    for (const auto& average : averages)
      finish(average);
  }

 private:
  /// Of a bucket, with the transfers that are under way.
  struct Average {
    BucketId bucket;
    std::vector<std::optional<TransferId>> transfers;
  };

  [[nodiscard]] Axis axis_of(const Bucket& bucket, const Sum& sum) const {
    return sum.is_of_data_rank ? without_data(a_.plan, bucket.axis) : bucket.axis;
  }
  [[nodiscard]] StepKinds kinds_of_passes() const {
    using enum StepKind;
    return a_.program.cadence.is_delayed ? StepKinds{first, odd, even} : StepKinds();
  }
  [[nodiscard]] StepKinds kinds_of_updates() const {
    using enum StepKind;
    return a_.program.cadence.is_delayed ? StepKinds{odd, even, drain_first, drain_second} : StepKinds();
  }
  template <class Do>
  void for_each_sum(BucketId b, StepKinds Sum::*in, const Do& act) {
    for (std::size_t i = 0; i < sums_.size(); ++i) {
      const Assembly::Only only(a_, sums_[i].*in);
      act(*of_bucket_[b][i]);
    }
  }
  void go_on(BucketId b) {
    for_each_sum(b, &Sum::begun, [](Reduction& sum) { sum.go_on(); });
  }

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
  void begin_metric(StepKinds kinds, Axis axis) {
    const Assembly::Only only(a_, kinds);
    of_metric_.emplace_back(kinds, begin({.operation = Operation::all_reduce,
                                          .axis = axis,
                                          .purpose = Purpose::metric,
                                          .slot = a_.program.metric_slot}));
  }

  void add_up(const SecretLosses& losses) {
    const Assembly::Only only(a_, kinds_of_passes());
    const SlotId own = a_.program.metric_slot;
    a_.add({.kind = Kind::encode, .reads = {own}, .writes = {losses.message}});
    finish(begin({.operation = Operation::all_reduce,
                  .axis = losses.axis,
                  .purpose = Purpose::metric,
                  .slot = losses.message}));
    a_.add({.kind = Kind::decode, .phase = Phase::finish, .reads = {losses.message}, .writes = {own}});
  }

  /// What the codes of a bucket lie in is free for the next ones once those before are decoded: that comes
  /// before the bucket is encoded.
  void free_codes() {
    auto& all = a_.program.instructions;
    for (auto i = begun_.size(); i-- > 0;) {
      if (!a_.program.buckets[begun_[i]].coding) continue;
      const auto before = static_cast<std::ptrdiff_t>(all.size());
      settle(begun_[i]);
      std::rotate(all.begin() + static_cast<std::ptrdiff_t>(begin_at_[i]), all.begin() + before, all.end());
    }
  }
  /// Waits until this rank has what it updates the bucket by, and puts that where it stays; once.
  void settle(BucketId b) {
    if (!settled_.insert(b).second) return;
    for (std::size_t i = 0; i < sums_.size(); ++i) {
      const Assembly::Only only(a_, sums_[i].used, Assembly::Only::Reach::exactly);
      of_bucket_[b][i]->finish();
    }
    const auto& bucket = a_.program.buckets[b];
    if (bucket.kept_gradients)
      a_.add({.kind = Kind::share,
              .bucket = b,
              .reads = {bucket.gradients.front()},
              .writes = {*bucket.kept_gradients}});
  }
  /// Calls act(gradients) for each slot in which steps find what they update by.
  template <class Do>
  void for_each_update(const Bucket& bucket, const Do& act) {
    for (const auto& [in, buffer] : updates_) {
      const Assembly::Only only(a_, in);
      act(bucket.kept_gradients.value_or(bucket.gradients[buffer]));
    }
  }

  /// The norm of all gradients: of this rank's buckets, of which each rank of the data axis has all, then of
  /// those of other stages and shares. The first instruction also clears what others are to fill.
  void clip(SlotId squares) {
    if (of_bucket_.empty()) a_.add({.kind = Kind::norm, .writes = {squares}});
    for (const auto b : of_bucket_.ids()) {
      settle(b);
      for_each_update(a_.program.buckets[b], [&](SlotId gradients) {
        a_.add({.kind = Kind::norm,
                .bucket = b,
                .accumulates = b != BucketId(),
                .reads = {gradients},
                .writes = {squares}});
      });
    }
    add_norm_of_all(a_);
  }

  void update(BucketId b) {
    const auto& bucket = a_.program.buckets[b];
    const SlotId metric = a_.program.metric_slot;
    if (!bucket.tensor_squares)
      return for_each_update(bucket, [&](SlotId gradients) { a_.add(update_of(a_, b, gradients, metric)); });
    for_each_update(bucket,
                    [&](SlotId gradients) { a_.add(statistics_of_update(a_, b, gradients, metric)); });
    if (bucket.is_split)
      finish(begin({.operation = Operation::all_gather,
                    .axis = bucket.axis,
                    .purpose = Purpose::norm,
                    .slot = bucket.share_squares.value_or(*bucket.tensor_squares)}));
    for_each_update(bucket, [&](SlotId gradients) { a_.add(finish_of_update(a_, b, gradients, metric)); });
  }

  /// Each rank's part of the mean, and their sum.
  Average begin_average(BucketId b) {
    const auto& bucket = a_.program.buckets[b];
    const Assembly::Only only(a_, {StepKind::averaging});
    std::vector<SlotId> means{bucket.parameters};
    for (const auto state : bucket.averaging->averaged_states)
      means.push_back(state);
    a_.add({.kind = Kind::average, .bucket = b, .reads = means, .writes = means});
    Average average{.bucket = b};
    for (const auto mean : means)
      average.transfers.push_back(begin({.operation = Operation::all_reduce,
                                         .axis = Axis::data,
                                         .purpose = Purpose::parameter,
                                         .slot = mean}));
    return average;
  }
  void finish(const Average& average) {
    const Assembly::Only only(a_, {StepKind::averaging});
    for (const auto transfer : average.transfers)
      finish(transfer);
    const auto& bucket = a_.program.buckets[average.bucket];
    auto writes = bucket.averaging->reset_states;
    if (bucket.averaging->anchor)
      for (const auto slot : {bucket.parameters, *bucket.averaging->anchor, *bucket.averaging->velocity})
        writes.push_back(slot);
    if (!writes.empty())
      a_.add({.kind = Kind::average,
              .phase = Phase::finish,
              .bucket = average.bucket,
              .reads = writes,
              .writes = writes});
  }

  Assembly& a_;
  std::vector<Sum> sums_;
  std::vector<InBuffer> updates_;
  base::IdVector<BucketId, std::vector<std::unique_ptr<Reduction>>> of_bucket_;  ///< of each bucket by sum
  std::vector<BucketId> begun_;
  std::vector<std::size_t> begin_at_;  ///< of those: the number of the instruction
  std::set<BucketId> settled_;
  std::vector<std::pair<StepKinds, std::optional<TransferId>>> of_metric_;
};

}  // namespace

Instruction update_of(const Assembly& a, BucketId b, SlotId gradients, SlotId metric) {
  Instruction whole{.kind = Kind::update,
                    .bucket = b,
                    .reads = {gradients, metric},
                    .writes = {a.program.buckets[b].parameters}};
  if (a.program.scale_slot && metric == a.program.metric_slot) whole.reads.push_back(*a.program.scale_slot);
  return whole;
}

Instruction statistics_of_update(const Assembly& a, BucketId b, SlotId gradients, SlotId metric) {
  const auto& bucket = a.program.buckets[b];
  auto statistics = update_of(a, b, gradients, metric);
  statistics.phase = Phase::statistics;
  statistics.reads.push_back(bucket.parameters);
  statistics.writes = {gradients, bucket.share_squares.value_or(*bucket.tensor_squares)};
  return statistics;
}

Instruction finish_of_update(const Assembly& a, BucketId b, SlotId gradients, SlotId metric) {
  const auto& bucket = a.program.buckets[b];
  auto whole = update_of(a, b, gradients, metric);
  whole.phase = Phase::finish;
  whole.reads.push_back(bucket.share_squares.value_or(*bucket.tensor_squares));
  if (bucket.share_squares) whole.writes.push_back(*bucket.tensor_squares);
  return whole;
}

void add_norm_of_all(Assembly& a) {
  const SlotId squares = *a.program.squares_slot;
  if (const auto axis = norm_axes(a.plan); axis != Axis::none) {
    const auto gather = a.add_transfer(
        {.operation = Operation::all_gather, .axis = axis, .purpose = Purpose::norm, .slot = squares});
    a.start(gather);
    a.wait(gather);
  }
  Instruction finish{
      .kind = Kind::norm, .phase = Phase::finish, .reads = {squares}, .writes = {*a.program.scale_slot}};
  if (const auto loss_scale = a.program.loss_scale_slot) {
    finish.reads.push_back(*loss_scale);
    finish.writes.push_back(*loss_scale);
  }
  a.add(std::move(finish));
}

std::unique_ptr<Synchronisation> synchronous(Assembly& assembly) {
  return std::make_unique<Synchronous>(assembly);
}

}  // namespace partita::step
