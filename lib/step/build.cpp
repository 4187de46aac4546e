/// Assembles programs: a schedule orders the passes of the role's chunks; each pass becomes instructions on
/// slots.
#include "partita/step/build.hpp"

#include <bit>
#include <map>
#include <utility>

#include "exchange.hpp"
#include "gathers.hpp"
#include "messages.hpp"
#include "partita/base/error.hpp"
#include "synchronisation.hpp"

namespace partita::step {
namespace {

using collective::Operation;
using collective::Purpose;
using topology::Axis;

void append(std::vector<SlotId>& slots, const std::vector<SlotId>& more) {
  slots.insert(slots.end(), more.begin(), more.end());
}

class Builder {
 public:
  Builder(const model::ModelSpec& model, const Plan& plan, const topology::Coordinate& at,
          const TensorFormat& format, bool training)
      : a_(prepared(model, plan, at, format, training)),
        messages_(a_),
        synchronisation_(synchronisation_of(a_)) {
    if (a_.program.serves()) return;
    order_ = training ? order_of(plan.pipeline, plan.grid.pipeline, at.pipeline)
                      : forward_order_of(plan.pipeline, plan.grid.pipeline);
    expect_ascending();
    std::erase_if(order_, [&](const Action& action) {
      return action.pass != Pass::forward && !a_.has_backward(action.chunk);
    });
  }

  Program assemble() {
    perform_all();
    if (a_.program.training) synchronisation_->end_step();
    insert_gathers(a_.program, a_.plan.gather);
    return std::move(a_.program);
  }

 private:
  static std::unique_ptr<Synchronisation> synchronisation_of(Assembly& assembly) {
    if (assembly.program.servers == 0) return synchronous(assembly);
    return assembly.program.serves() ? serving(assembly) : pushing(assembly);
  }

  /// As `order_of` promises: the first micro-batch's gradients overwrite, the last one's complete them.
  void expect_ascending() const {
    std::map<std::pair<Pass, ChunkId>, int> next;
    for (const auto& action : order_)
      base::expect(next[{action.pass, action.chunk}]++ == action.microbatch.value(),
                   "a schedule takes the micro-batches of a chunk in ascending order; chunk, micro-batch",
                   action.chunk.value(), action.microbatch.value());
  }

  static Assembly prepared(const model::ModelSpec& model, const Plan& plan, const topology::Coordinate& at,
                           const TensorFormat& format, bool training) {
    Assembly assembly(model, plan, at, format, training);
    lay_out_parameters(assembly);
    make_slots(assembly);
    return assembly;
  }

  void perform_all() {
    const Assembly::Only only(a_, kinds_of_passes());
    if (!order_.empty()) messages_.post_receive(order_.front());
    if (a_.program.training && !a_.holds_loss()) synchronisation_->metric_complete();
    for (std::size_t i = 0; i < order_.size(); ++i) {
      if (i + 1 < order_.size()) messages_.post_receive(order_[i + 1]);
      perform(order_[i]);
    }
    messages_.wait_all_sent();
  }
  [[nodiscard]] StepKinds kinds_of_passes() const {
    auto all = StepKinds::none();
    for (const auto& passes : synchronisation_->passes())
      all = all | passes.in;
    return all;
  }

  void perform(const Action& action) {
    messages_.wait_received(action);
    if (action.pass == Pass::forward) return forward(action.chunk, action.microbatch);
    if (action.pass != Pass::backward_weight) {
      messages_.wait_values_sent(action.chunk, action.microbatch);
      if (a_.sends_gradient(action.chunk)) messages_.free_gradient_buffer(action.chunk);
    }
    backward(action);
  }

  void forward(ChunkId c, MicrobatchId j) {
    if (!a_.has_backward(c) && !a_.is_last(c)) messages_.free_value_buffer(c);
    Pair pair = a_.delivered(c);
    SlotId value = a_.is_first(c)     ? a_.program.input_slot[j]
                   : a_.stages() == 1 ? a_.slots(a_.last_unit(c - 1), j).y
                                      : a_.received_value.at({c, j});
    if (a_.is_first(c))
      a_.add({.kind = Kind::load, .queue = Queue::copy, .chunk = c, .microbatch = j, .writes = {value}});
    for (const auto u : a_.units(c)) {
      const UnitSlots s = a_.slots(u, j);
      convert(a_, {pair.value, input_pair(a_.plan, a_.unit(u)).value, a_.whole(u).input}, value, s.x, false,
              c, j);
      if (s.x != s.y) compute(u, j);
      pair = output_pair(a_.plan, a_.unit(u));
      value = s.y;
    }
    if (a_.is_last(c))
      loss(c, j, pair, value);
    else
      messages_.send_values(c, j, value);
  }

  void compute(UnitId u, MicrobatchId j) {
    const UnitSlots s = a_.slots(u, j);
    Part whole{.reads = {s.x}, .writes = {s.y}};
    append(whole.reads, a_.parameter_slots(u));
    append(whole.writes, s.saved);
    std::vector<Part> parts;
    if (s.statistics) {
      parts.push_back({.phase = Phase::statistics,
                       .reads = {s.x},
                       .writes = {*s.statistics},
                       .exchange = sum_of_ranks(u, j, *s.statistics)});
      whole.phase = Phase::finish;
      whole.reads.push_back(*s.statistics);
      whole.writes.push_back(a_.program.untrained_slot);  // running statistics
    }
    parts.push_back(std::move(whole));
    a_.add_parts({.kind = Kind::forward, .unit = u, .chunk = a_.unit(u).chunk, .microbatch = j},
                 std::move(parts));
  }

  /// What turns the sums of a unit over this rank's samples into those over all.
  [[nodiscard]] std::optional<Transfer> sum_of_ranks(UnitId u, MicrobatchId j, SlotId slot) const {
    const Axis axes = statistics_axes(a_.plan, a_.unit(u).layer);
    if (axes == Axis::none) return {};
    return Transfer{.operation = Operation::all_reduce,
                    .axis = axes,
                    .purpose = Purpose::statistics,
                    .microbatch = j,
                    .slot = slot};
  }

  void loss(ChunkId c, MicrobatchId j, const Pair& pair, SlotId value) {
    const auto& placement = a_.plan.placement.loss;
    const SlotId logits = a_.program.loss_slot[j], labels = a_.program.labels_slot[j];
    a_.add({.kind = Kind::load, .queue = Queue::copy, .chunk = c, .microbatch = j, .writes = {labels}});
    convert(a_, {pair.value, placement, a_.output_shape()}, value, logits, false, c, j);
    Part whole{.reads = {logits, labels}, .writes = {a_.program.metric_slot}};
    if (a_.program.training) whole.writes.push_back(a_.program.loss_gradient_slot[j]);
    std::vector<Part> parts;
    if (placement.spread == Spread::channel) {
      const SlotId statistics = a_.program.statistics_slot[j];
      parts.push_back({.phase = Phase::statistics,
                       .reads = whole.reads,
                       .writes = {statistics},
                       .exchange = Transfer{.operation = Operation::all_gather,
                                            .axis = Axis::tensor,
                                            .purpose = Purpose::activation,
                                            .microbatch = j,
                                            .slot = statistics}});
      whole.phase = Phase::finish;
      whole.reads.push_back(statistics);
    }
    parts.push_back(std::move(whole));
    a_.add_parts({.kind = Kind::loss, .chunk = c, .microbatch = j}, std::move(parts));
    if (a_.program.training && a_.is_last(j)) synchronisation_->metric_complete();
  }

  void backward(const Action& a) {
    const ChunkId c = a.chunk;
    const MicrobatchId j = a.microbatch;
    const bool inputs = a.pass != Pass::backward_weight, weights = a.pass != Pass::backward_input;
    if (inputs && a_.is_last(c))
      convert(a_,
              {a_.plan.placement.loss, output_pair(a_.plan, a_.unit(a_.last_unit(c))).gradient,
               a_.output_shape()},
              a_.program.loss_gradient_slot[j], *a_.slots(a_.last_unit(c), j).dy, true, c, j);
    for (const auto u : a_.units(c).reversed()) {
      if (a_.unit(u).layer < a_.lowest) break;
      const bool gives = inputs && a_.unit(u).layer > a_.lowest;
      if (inputs) mask(u, j);
      if (inputs && a_.slots(u, j).gradient_sums) gradient_sums(u, j, gives);
      Begun conversion;
      // A conversion of the input's gradient runs while the parameters' is computed.
      const bool first = gives && weights && exchanges(u);
      if (weights && !first) parameters(u, j);
      if (gives) {
        data(u, j);
        conversion =
            begin(a_, gradient_conversion(u), *a_.slots(u, j).dx, converted_gradient(u, j), true, c, j);
      }
      if (first) parameters(u, j);
      finish(a_, conversion);
    }
    if (weights && a_.plan.grains > 0) combine(c, j);
    if (inputs && a_.sends_gradient(c)) messages_.send_gradients(c, j, a_.sent_gradient.at({c, j}));
  }

  [[nodiscard]] Conversion gradient_conversion(UnitId u) const {
    const ChunkId c = a_.unit(u).chunk;
    const auto& before = u > a_.first_unit(c) ? output_pair(a_.plan, a_.unit(u - 1)) : a_.delivered(c);
    return {input_pair(a_.plan, a_.unit(u)).gradient, before.gradient, a_.whole(u).input};
  }
  [[nodiscard]] bool exchanges(UnitId u) const {
    const Conversion c = gradient_conversion(u);
    const Exchange exchange = exchange_of(c.from, c.to);
    return exchange != Exchange::none && exchange != Exchange::keep && exchange != Exchange::local;
  }
  SlotId converted_gradient(UnitId u, MicrobatchId j) {
    return u > a_.first_unit(a_.unit(u).chunk) ? *a_.slots(u - 1, j).dy
                                               : a_.sent_gradient.at({a_.unit(u).chunk, j});
  }

  void mask(UnitId u, MicrobatchId j) {
    const UnitSlots s = a_.slots(u, j);
    if (!a_.unit(u).fused_relu) return;
    Instruction instruction = backward_of(u, j, Phase::activation);
    instruction.reads = {s.y, *s.dy};
    instruction.writes = {*s.dy};
    a_.add(std::move(instruction));
  }
  void data(UnitId u, MicrobatchId j) {
    const UnitSlots s = a_.slots(u, j);
    if (s.x == s.y) return;
    Instruction instruction = backward_of(u, j, Phase::data);
    instruction.reads = {s.y, *s.dy};
    instruction.writes = {*s.dx};
    append(instruction.reads, a_.parameter_slots(u));
    append(instruction.reads, s.saved);
    if (s.gradient_sums) append(instruction.reads, {s.x, *s.statistics, *s.gradient_sums});
    a_.add(std::move(instruction));
  }
  /// The sums that the gradient of a unit's input needs of all ranks. The gradients of its parameters are
  /// this rank's part of them, taken here in any schedule: an exchange in place follows.
  void gradient_sums(UnitId u, MicrobatchId j, bool exchanged) {
    const UnitSlots s = a_.slots(u, j);
    Instruction sums = backward_of(u, j, Phase::statistics);
    sums.reads = {s.x, *s.dy, *s.statistics};
    sums.writes = {*s.gradient_sums};
    a_.add(std::move(sums));
    if (a_.whole(u).is_trained()) add_parameter_gradients(u, j, {*s.gradient_sums});
    if (const auto exchange = sum_of_ranks(u, j, *s.gradient_sums); exchanged && exchange) {
      const auto transfer = a_.add_transfer(*exchange);
      a_.start(transfer);
      a_.wait(transfer);
    }
  }
  void parameters(UnitId u, MicrobatchId j) {
    if (!a_.whole(u).is_trained()) return;
    const UnitSlots s = a_.slots(u, j);
    if (!s.gradient_sums) add_parameter_gradients(u, j, {s.x, *s.dy});
    if (a_.plan.grains == 0 && a_.is_last(j)) complete(u);
  }
  /// The gradients of a unit are complete on this rank, and so are those of the buckets that it closes.
  void complete(UnitId u) {
    for (const auto b : a_.program.buckets.ids())
      if (a_.program.buckets[b].closing_unit == u) synchronisation_->gradients_complete(b);
  }
  void add_parameter_gradients(UnitId u, MicrobatchId j, std::vector<SlotId> reads) {
    const auto bucket = *a_.program.parameters[u].bucket;
    if (j == MicrobatchId() && u == a_.program.buckets[bucket].units.front())
      synchronisation_->gradients_begin(bucket);
    Instruction instruction = backward_of(u, j, Phase::parameters);
    instruction.accumulates = a_.plan.grains == 0 && j > MicrobatchId();
    instruction.reads = std::move(reads);
    const auto level = static_cast<std::size_t>(a_.plan.grains > 0 ? level_of(j) : 0);
    for (const auto& [in, buffer] : synchronisation_->passes()) {
      const Assembly::Only only(a_, in);
      instruction.writes = {gradients_of(bucket, level + buffer)};
      a_.add(instruction);
    }
  }
  /// The slot of a bucket's gradients at a level of the stack, and the level of a grain when it is new.
  [[nodiscard]] SlotId gradients_of(BucketId bucket, std::size_t level) const {
    return a_.program.buckets[bucket].gradients[level];
  }
  static int level_of(MicrobatchId grain) { return std::popcount(static_cast<unsigned>(grain.value())); }
  [[nodiscard]] Instruction backward_of(UnitId u, MicrobatchId j, Phase phase) const {
    return {.kind = Kind::backward, .phase = phase, .unit = u, .chunk = a_.unit(u).chunk, .microbatch = j};
  }

  /// A binary counter: each carry adds the gradients of two equal neighbours, the left one first.
  void combine(ChunkId c, MicrobatchId j) {
    auto level = static_cast<std::size_t>(level_of(j));
    for (int carries = std::countr_one(static_cast<unsigned>(j.value())); carries > 0; --carries, --level) {
      Instruction instruction{.kind = Kind::combine, .chunk = c, .microbatch = j};
      for (const auto& part : a_.program.chunk_gradients[c]) {
        instruction.reads.push_back(gradients_of(part.bucket, level));
        instruction.writes.push_back(gradients_of(part.bucket, level - 1));
      }
      a_.add(std::move(instruction));
    }
    if (!a_.is_last(j)) return;
    for (const auto u : a_.units(c).reversed())
      if (a_.whole(u).is_trained()) complete(u);
  }

  Assembly a_;
  Messages messages_;
  std::unique_ptr<Synchronisation> synchronisation_;
  std::vector<Action> order_;
};

}  // namespace

Program build_training_program(const model::ModelSpec& model, const Plan& plan,
                               const topology::Coordinate& at, const TensorFormat& format) {
  return Builder(model, plan, at, format, true).assemble();
}

Program build_evaluation_program(const model::ModelSpec& model, const Plan& plan,
                                 const topology::Coordinate& at, const TensorFormat& format) {
  return Builder(model, plan, at, format, false).assemble();
}

}  // namespace partita::step
