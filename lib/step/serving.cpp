/// Parameter servers: who sends what to whom in a synchronous and in an asynchronous step, each with
/// transfers of its own between the same slots. With a codec a worker pushes codes, and a server decodes
/// them before it updates; answers are parameters as they are.
///
/// A worker's last push comes after it has begun to receive the answers, which lie where its parameters do:
/// nothing reads these any more by then, and no server answers before it has all of a push.
#include <utility>

#include "synchronisation.hpp"

namespace partita::step {
namespace {

using collective::Operation;
using collective::Purpose;
using topology::Axis;

/// Messages between a worker and a server, told apart by their tags.
enum class Direction { push, answer };
int tag_of(const Assembly& a, StepKind kind, Direction direction, std::optional<BucketId> bucket) {
  const int of_loss = static_cast<int>(a.program.buckets.size());
  const int number = bucket ? bucket->value() : of_loss;
  return (number * 2 + static_cast<int>(direction)) * 2 + (kind == StepKind::asynchronous ? 1 : 0);
}

class Role : public Synchronisation {
 public:
  explicit Role(Assembly& assembly) : a_(assembly), kinds_(kinds_of(a_.program.cadence)) {}
  [[nodiscard]] std::vector<InBuffer> passes() const override { return {{}}; }

 protected:
  TransferId add_message(Operation operation, StepKind kind, Direction direction,
                         std::optional<BucketId> bucket, int peer, SlotId slot) {
    const auto purpose = direction == Direction::answer ? Purpose::parameter
                         : bucket                       ? Purpose::gradient
                                                        : Purpose::metric;
    return a_.add_transfer({.operation = operation,
                            .axis = Axis::data,
                            .purpose = purpose,
                            .slot = slot,
                            .peer = peer,
                            .tag = tag_of(a_, kind, direction, bucket)});
  }
  void start(const std::vector<TransferId>& transfers) {
    for (const auto transfer : transfers)
      a_.start(transfer);
  }
  void wait(const std::vector<TransferId>& transfers) {
    for (const auto transfer : transfers)
      a_.wait(transfer);
  }
  TransferId add_metric_of_all() {
    return a_.add_transfer({.operation = Operation::all_reduce,
                            .axis = metric_axes(a_.plan),
                            .purpose = Purpose::metric,
                            .slot = a_.program.metric_slot});
  }

  Assembly& a_;
  std::vector<StepKind> kinds_;
};

class Pushing : public Role {
 public:
  explicit Pushing(Assembly& assembly) : Role(assembly) {
    for (const auto kind : kinds_)
      if (a_.program.training) exchanges_.push_back(make_exchange(kind));
  }

  void gradients_complete(BucketId bucket) override {
    if (a_.program.training) encode(bucket);
    for (const auto& exchange : exchanges_) {
      const Assembly::Only only(a_, {exchange.kind});
      if (bucket + 1 == a_.program.buckets.end_id()) start(exchange.answers);
      start(exchange.pushes[bucket]);
    }
  }

  void metric_complete() override {
    for (const auto& exchange : exchanges_) {
      const Assembly::Only only(a_, {exchange.kind});
      start(exchange.metric);
    }
  }

  void end_step() override {
    for (const auto& exchange : exchanges_) {
      const Assembly::Only only(a_, {exchange.kind});
      wait(exchange.metric);
      if (exchange.kind == StepKind::synchronous) {
        a_.add({.kind = Kind::norm, .writes = {*a_.program.squares_slot}});
        add_norm_of_all(a_);
      }
      for (const auto& pushes : exchange.pushes)
        wait(pushes);
      wait(exchange.answers);
    }
  }

 private:
  struct Exchange {
    StepKind kind;
    std::vector<TransferId> metric = {};
    base::IdVector<BucketId, std::vector<TransferId>> pushes = {};
    std::vector<TransferId> answers = {};
  };

  /// Where there is a codec: in the same way in every step.
  void encode(BucketId b) {
    const auto& bucket = a_.program.buckets[b];
    if (!bucket.coding) return;
    const auto& c = *bucket.coding;
    Instruction encode{
        .kind = Kind::encode, .bucket = b, .reads = {bucket.gradients.front()}, .writes = c.pushes};
    if (c.residual) encode.reads.push_back(*c.residual), encode.writes.push_back(*c.residual);
    if (const auto scale = a_.program.loss_scale_slot) encode.reads.push_back(*scale);
    a_.add(std::move(encode));
  }

  /// A server's part of a slot that has all of a bucket.
  SlotId part_of(SlotId whole, topology::Range part) {
    Slot slot = a_.program.slots[whole];
    slot.first += Elements(part.begin);
    slot.fixed = Elements(part.size());
    return a_.add_slot(slot);
  }

  Exchange make_exchange(StepKind kind) {
    Exchange exchange{.kind = kind};
    const auto& p = a_.program;
    for (const auto b : p.buckets.ids()) {
      exchange.pushes.push_back({});
      for (int server = p.workers(); server < p.grid.data; ++server) {
        const auto& bucket = p.buckets[b];
        const auto share = p.share_of(bucket, server);
        const auto place = static_cast<std::size_t>(server - p.workers());
        const SlotId pushed = bucket.coding ? bucket.coding->pushes[place]
                                            : part_of(bucket.gradients.front(), share),
                     answered = part_of(bucket.parameters, share);
        exchange.pushes[b].push_back(add_message(Operation::send, kind, Direction::push, b, server, pushed));
        exchange.answers.push_back(
            add_message(Operation::receive, kind, Direction::answer, b, server, answered));
      }
    }
    if (kind == StepKind::synchronous) {
      exchange.metric.push_back(add_metric_of_all());
      return exchange;
    }
    for (int server = p.workers(); server < p.grid.data; ++server)
      exchange.metric.push_back(
          add_message(Operation::send, kind, Direction::push, {}, server, p.metric_slot));
    return exchange;
  }

  std::vector<Exchange> exchanges_;
};

class Serving : public Role {
 public:
  using Role::Role;
  void gradients_complete(BucketId) override {}
  void metric_complete() override {}

  void end_step() override {
    for (const auto kind : kinds_) {
      const Assembly::Only only(a_, {kind});
      kind == StepKind::asynchronous ? serve_each() : serve_all();
    }
  }

 private:
  /// What is between this server and one worker.
  struct Exchange {
    std::vector<TransferId> pushes, answers;
  };
  Exchange make_exchange(StepKind kind, int worker) {
    Exchange exchange;
    const auto at = static_cast<std::size_t>(worker);
    for (const auto b : a_.program.buckets.ids()) {
      const auto& bucket = a_.program.buckets[b];
      const SlotId pushed = bucket.coding ? bucket.coding->pushes[at] : bucket.gradients[at],
                   answered = bucket.answers.empty() ? bucket.parameters : bucket.answers[at];
      exchange.pushes.push_back(add_message(Operation::receive, kind, Direction::push, b, worker, pushed));
      exchange.answers.push_back(add_message(Operation::send, kind, Direction::answer, b, worker, answered));
    }
    return exchange;
  }

  void serve_all() {
    std::vector<Exchange> workers;
    for (int worker = 0; worker < a_.program.workers(); ++worker)
      workers.push_back(make_exchange(StepKind::synchronous, worker));
    const auto metric = add_metric_of_all();
    for (const auto& exchange : workers)
      start(exchange.pushes);
    a_.start(metric);
    for (const auto b : a_.program.buckets.ids()) {
      for (const auto& exchange : workers)
        a_.wait(exchange.pushes[b.index()]);
      add_up(b);
    }
    a_.wait(metric);
    take_norm();
    for (const auto b : a_.program.buckets.ids()) {
      update(b, a_.program.buckets[b].gradients.front(), a_.program.metric_slot);
      for (std::size_t w = 0; w < workers.size(); ++w) {
        copy_answer(b, static_cast<int>(w));
        a_.start(workers[w].answers[b.index()]);
      }
    }
    for (const auto& exchange : workers)
      wait(exchange.answers);
  }

  void serve_each() {
    for (int worker = 0; worker < a_.program.workers(); ++worker) {
      auto exchange = make_exchange(StepKind::asynchronous, worker);
      const SlotId metric = a_.add_slot({.role = SlotRole::pushed_metric,
                                         .type = DataType::float64,
                                         .fixed = Elements(2),
                                         .lifetime = Lifetime::run,
                                         .first = a_.program.pushed_metric_count});
      a_.program.pushed_metric_count += Elements(2);
      exchange.pushes.push_back(
          add_message(Operation::receive, StepKind::asynchronous, Direction::push, {}, worker, metric));
      take_turn({worker, TurnPart::receive}, [&] { start(exchange.pushes); });
      take_turn({worker, TurnPart::update}, [&] {
        wait(exchange.pushes);
        for (const auto b : a_.program.buckets.ids())
          update(b, gradients_of(b, worker), metric);
      });
      take_turn({worker, TurnPart::answer}, [&] {
        for (const auto b : a_.program.buckets.ids()) {
          copy_answer(b, worker);
          a_.start(exchange.answers[b.index()]);
        }
      });
      take_turn({worker, TurnPart::settle}, [&] { wait(exchange.answers); });
    }
    order_turns();
  }

  /// What all workers pushed, in the order of their ranks.
  void add_up(BucketId b) {
    const auto& bucket = a_.program.buckets[b];
    if (bucket.coding) {
      for (int worker = 0; worker < a_.program.workers(); ++worker)
        decode(b, worker, worker > 0);
    } else if (bucket.gradients.size() > 1) {
      a_.add(
          {.kind = Kind::sum, .bucket = b, .reads = bucket.gradients, .writes = {bucket.gradients.front()}});
    }
  }
  /// What one has pushed.
  SlotId gradients_of(BucketId b, int worker) {
    const auto& bucket = a_.program.buckets[b];
    if (!bucket.coding) return bucket.gradients[static_cast<std::size_t>(worker)];
    decode(b, worker, false);
    return bucket.gradients.front();
  }
  void decode(BucketId b, int worker, bool adds) {
    const auto& bucket = a_.program.buckets[b];
    const SlotId gradients = bucket.gradients.front();
    Instruction decode{.kind = Kind::decode,
                       .bucket = b,
                       .accumulates = adds,
                       .reads = {bucket.coding->pushes[static_cast<std::size_t>(worker)]},
                       .writes = {gradients}};
    if (adds) decode.reads.push_back(gradients);
    if (const auto scale = a_.program.loss_scale_slot) decode.reads.push_back(*scale);
    a_.add(std::move(decode));
  }

  template <class Add>
  void take_turn(Turn turn, const Add& add) {
    const auto before = a_.program.instructions.size();
    add();
    for (auto i = before; i < a_.program.instructions.size(); ++i)
      a_.program.instructions[i].turn = turn;
  }
  /// All pushes are received before any answer is waited for.
  void order_turns() {
    const auto rank = [](const Instruction& i) {
      if (!i.turn || i.turn->part == TurnPart::receive) return 0;
      return i.turn->part == TurnPart::settle ? 2 : 1;
    };
    std::ranges::stable_sort(a_.program.instructions, {}, rank);
  }

  void copy_answer(BucketId b, int worker) {
    const auto& bucket = a_.program.buckets[b];
    if (bucket.answers.empty()) return;
    a_.add({.kind = Kind::share,
            .bucket = b,
            .reads = {bucket.parameters},
            .writes = {bucket.answers[static_cast<std::size_t>(worker)]}});
  }

  void take_norm() {
    const SlotId squares = *a_.program.squares_slot;
    if (a_.program.buckets.empty()) a_.add({.kind = Kind::norm, .writes = {squares}});
    for (const auto b : a_.program.buckets.ids())
      a_.add({.kind = Kind::norm,
              .bucket = b,
              .accumulates = b != BucketId(),
              .reads = {a_.program.buckets[b].gradients.front()},
              .writes = {squares}});
    add_norm_of_all(a_);
  }

  void update(BucketId b, SlotId gradients, SlotId metric) {
    if (!a_.program.buckets[b].tensor_squares) return a_.add(update_of(a_, b, gradients, metric));
    a_.add(statistics_of_update(a_, b, gradients, metric));
    a_.add(finish_of_update(a_, b, gradients, metric));
  }
};

}  // namespace

std::unique_ptr<Synchronisation> pushing(Assembly& assembly) { return std::make_unique<Pushing>(assembly); }

std::unique_ptr<Synchronisation> serving(Assembly& assembly) { return std::make_unique<Serving>(assembly); }

}  // namespace partita::step
