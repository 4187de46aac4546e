/// One class for each way: a transfer of the gradients, codes of everything, codes of shares, factors of
/// matrices, whole numbers under masks.
#include "reduction.hpp"

#include <algorithm>
#include <utility>

#include "partita/step/compression.hpp"

namespace partita::step {
namespace {

using collective::Operation;

/// What the ways of reducing have in common.
class OfBucket : public Reduction {
 public:
  OfBucket(Assembly& assembly, BucketId bucket, SlotId gradients, topology::Axis axis)
      : a_(assembly), id_(bucket), gradients_(gradients), axis_(axis) {}

 protected:
  [[nodiscard]] const Bucket& bucket() const { return a_.program.buckets[id_]; }
  [[nodiscard]] const Coding& coding() const { return *bucket().coding; }
  [[nodiscard]] SlotId gradients() const { return gradients_; }
  [[nodiscard]] topology::Axis axis() const { return axis_; }

  void start(Operation operation, SlotId slot, std::optional<SlotId> target = {}) {
    Transfer transfer{.operation = operation,
                      .axis = axis_,
                      .purpose = collective::Purpose::gradient,
                      .slot = slot,
                      .target = target};
    if (a_.program.slots[slot].type == DataType::uint8) transfer.coded = id_;
    a_.start(open_.emplace(a_.add_transfer(transfer)));
  }
  /// Waits for what was started last; whether there was something.
  bool wait() {
    const auto transfer = std::exchange(open_, {});
    if (transfer) a_.wait(*transfer);
    return transfer.has_value();
  }

  /// `reads` and `writes` as far as they are there.
  void add(Kind kind, Phase phase, std::initializer_list<std::optional<SlotId>> reads,
           std::initializer_list<std::optional<SlotId>> writes) {
    Instruction instruction{.kind = kind, .phase = phase, .bucket = id_};
    const auto append = [](std::vector<SlotId>& slots, auto those) {
      for (const auto slot : those)
        if (slot) slots.push_back(*slot);
    };
    append(instruction.reads, reads), append(instruction.writes, writes);
    a_.add(std::move(instruction));
  }
  [[nodiscard]] std::optional<SlotId> loss_scale() const { return a_.program.loss_scale_slot; }

  Assembly& a_;

 private:
  BucketId id_;
  SlotId gradients_;
  topology::Axis axis_;
  std::optional<TransferId> open_;
};

class Plain : public OfBucket {
 public:
  using OfBucket::OfBucket;
  void begin() override {
    if (axis() != topology::Axis::none)
      start(bucket().is_split ? Operation::reduce_scatter : Operation::all_reduce, gradients());
  }
  void finish() override { wait(); }
};

/// Everybody tells all others what it has.
class Gathered : public OfBucket {
 public:
  using OfBucket::OfBucket;
  void begin() override {
    add(Kind::encode, Phase::none, {gradients(), coding().residual, loss_scale()},
        {coding().to_all, coding().residual});
    start(Operation::all_gather, *coding().to_all);
  }
  void finish() override {
    if (wait()) add(Kind::decode, Phase::finish, {coding().to_all, loss_scale()}, {gradients()});
  }
};

/// Owners add up their shares, and tell the others.
class Scattered : public OfBucket {
 public:
  using OfBucket::OfBucket;
  void begin() override {
    const auto& c = coding();
    add(Kind::encode, Phase::none, {gradients(), c.residual, loss_scale()}, {c.to_owners, c.residual});
    start(Operation::all_to_all, *c.to_owners, c.from_ranks);
    scatters_ = true;
  }
  void go_on() override {
    const auto& c = coding();
    if (!std::exchange(scatters_, false)) return;
    wait();
    const auto own = bucket().is_split ? c.residual : std::nullopt;
    add(Kind::decode, Phase::none, {c.from_ranks, gradients(), own, loss_scale()}, {gradients(), own});
    if (!c.to_all) return;
    add(Kind::encode, Phase::finish, {gradients(), c.residual, loss_scale()}, {c.to_all, c.residual});
    start(Operation::all_gather, *c.to_all);
  }
  void finish() override {
    go_on();
    if (wait()) add(Kind::decode, Phase::finish, {coding().to_all, loss_scale()}, {gradients()});
  }

 private:
  bool scatters_ = false;
};

/// Of each matrix the left factors are added up, then the right ones that belong to their sum.
class Factors : public OfBucket {
 public:
  using OfBucket::OfBucket;
  void begin() override {
    const auto& c = coding();
    add(Kind::encode, Phase::none, {gradients(), c.residual, c.basis}, {c.left, gradients()});
    start(Operation::all_reduce, *c.left);
    has_left_ = true;
  }
  void go_on() override {
    const auto& c = coding();
    if (!std::exchange(has_left_, false)) return;
    wait();
    add(Kind::encode, Phase::finish, {c.left, gradients()}, {c.left, c.right, c.residual});
    start(Operation::all_reduce, *c.right);
  }
  void finish() override {
    go_on();
    const auto& c = coding();
    if (wait()) add(Kind::decode, Phase::finish, {c.left, c.right}, {gradients(), c.basis});
  }

 private:
  bool has_left_ = false;
};

/// Whole numbers under masks are added up in place of the gradients, each buffer of which has a message.
class Masked : public OfBucket {
 public:
  using OfBucket::OfBucket;
  void begin() override {
    add(Kind::encode, Phase::none, {gradients()}, {message()});
    start(bucket().is_split ? Operation::reduce_scatter : Operation::all_reduce, message());
  }
  void finish() override {
    wait();
    add(Kind::decode, Phase::finish, {message()}, {gradients()});
  }

 private:
  [[nodiscard]] SlotId message() const {
    const auto buffer = std::ranges::find(bucket().gradients, gradients()) - bucket().gradients.begin();
    return coding().masked[static_cast<std::size_t>(buffer)];
  }
};

}  // namespace

std::unique_ptr<Reduction> reduction_of(Assembly& a, BucketId b, SlotId gradients, topology::Axis axis) {
  const auto& bucket = a.program.buckets[b];
  if (!bucket.coding) return std::make_unique<Plain>(a, b, gradients, axis);
  if (a.program.compression.is_secure()) return std::make_unique<Masked>(a, b, gradients, axis);
  if (a.program.compression.codec == kernels::Codec::powersgd)
    return std::make_unique<Factors>(a, b, gradients, axis);
  if (scatters_codes(a.program, bucket)) return std::make_unique<Scattered>(a, b, gradients, axis);
  return std::make_unique<Gathered>(a, b, gradients, axis);
}

}  // namespace partita::step
