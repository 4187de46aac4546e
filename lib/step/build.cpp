/// Assembles programs: a schedule orders the passes of the role's chunks; each pass becomes instructions on
/// slots; sends, receives and waits are added by one common rule for all schedules:
///   a receive is posted one pass before its consumer and waited for just before it; a send is posted after
///   its producer; an activation's send is waited for just before the backward pass of the same (chunk,
///   micro-batch), where there is one; other sends before a third buffer of their boundary would be needed;
///   all that remains before the update.
#include "partita/step/build.hpp"

#include <algorithm>
#include <bit>
#include <deque>
#include <map>
#include <utility>

#include "lower.hpp"
#include "partita/base/error.hpp"

namespace partita::step {
namespace {

using collective::Operation;
using collective::Purpose;
using topology::Axis;

enum class Way { forward, backward };

class Builder {
 public:
  Builder(const model::ModelSpec& model, const Plan& plan, const topology::Coordinate& at,
          const TensorFormat& format, bool training)
      : model_(model), plan_(plan), p_(program_), lowest_(lowest_trained_layer(model)) {
    p_.type = format.type;
    p_.layout = format.layout;
    p_.training = training;
    p_.grid = plan.grid;
    p_.at = at;
    p_.microbatches = plan.pipeline.microbatches;
    p_.chunks = plan.pipeline.chunks;
    p_.loss_placement = plan.placement.loss;
    if (plan.grains > 0) p_.gradient_levels = std::bit_width(static_cast<unsigned>(p_.microbatches));
    order_ = training ? order_of(plan.pipeline, plan.grid.pipeline, at.pipeline)
                      : forward_order_of(plan.pipeline, plan.grid.pipeline);
    std::erase_if(order_, [&](const Action& a) { return a.pass != Pass::forward && !has_backward(a.chunk); });
    make_units();
    lay_out_parameters();
    make_slots();
  }

  Program assemble() {
    if (!order_.empty()) post_receive(order_.front());
    if (p_.training && !holds_loss()) start_metric();
    for (std::size_t i = 0; i < order_.size(); ++i) {
      if (i + 1 < order_.size()) post_receive(order_[i + 1]);
      perform(order_[i]);
    }
    for (auto& [key, sends] : sends_)
      while (!sends.empty())
        wait_oldest(sends);
    if (p_.training) update();
    return std::move(program_);
  }

 private:
  // --- what the role is ---
  [[nodiscard]] int stages() const { return plan_.grid.pipeline; }
  [[nodiscard]] int global_chunk(int chunk) const { return chunk * stages() + p_.at.pipeline; }
  [[nodiscard]] int chunks_of_model() const { return stages() * p_.chunks; }
  [[nodiscard]] bool is_first(int chunk) const { return global_chunk(chunk) == 0; }
  [[nodiscard]] bool is_last(int chunk) const { return global_chunk(chunk) == chunks_of_model() - 1; }
  [[nodiscard]] bool holds_loss() const { return is_last(p_.chunks - 1); }
  [[nodiscard]] int first_layer(int chunk) const {
    return plan_.partition[static_cast<std::size_t>(global_chunk(chunk))];
  }
  [[nodiscard]] int end_layer(int chunk) const {
    return plan_.partition[static_cast<std::size_t>(global_chunk(chunk)) + 1];
  }
  [[nodiscard]] bool has_backward(int chunk) const { return p_.training && end_layer(chunk) > lowest_; }
  [[nodiscard]] bool sends_gradient(int chunk) const {
    return !is_first(chunk) && p_.training && first_layer(chunk) > lowest_;
  }
  [[nodiscard]] const model::Layer& whole(int unit) const {
    return model_.layers[static_cast<std::size_t>(p_.units[static_cast<std::size_t>(unit)].layer)];
  }
  [[nodiscard]] const Unit& unit(int u) const { return p_.units[static_cast<std::size_t>(u)]; }
  [[nodiscard]] int first_unit(int chunk) const { return chunk_begin_[static_cast<std::size_t>(chunk)]; }
  [[nodiscard]] int end_unit(int chunk) const { return chunk_begin_[static_cast<std::size_t>(chunk) + 1]; }
  [[nodiscard]] UnitSlots& slots(int u, int j) {
    return p_.tensors[static_cast<std::size_t>(u * p_.microbatches + j)];
  }
  [[nodiscard]] kernels::Shape output_shape() const { return model_.layers.back().output; }

  void make_units() {
    for (int c = 0; c < p_.chunks; ++c) {
      chunk_begin_.push_back(static_cast<int>(p_.units.size()));
      for (auto& lowered : lower_chunk(model_, plan_, p_.at.tensor, global_chunk(c), c))
        p_.units.push_back(std::move(lowered));
    }
    chunk_begin_.push_back(static_cast<int>(p_.units.size()));
  }

  // --- parameters ---

  /// Parameters lie in the order in which the last micro-batch of a training step finishes their gradients
  /// (for evaluation too: it works on the same vector): a bucket is one contiguous range. Frozen ones come
  /// last.
  void lay_out_parameters() {
    const auto order = order_of(plan_.pipeline, stages(), p_.at.pipeline);
    std::vector<int> units;
    for (auto action = order.rbegin(); action != order.rend(); ++action) {
      if (action->pass != Pass::backward && action->pass != Pass::backward_weight) continue;
      if (std::any_of(units.begin(), units.end(), [&](int u) { return unit(u).chunk == action->chunk; }))
        continue;
      for (int u = first_unit(action->chunk); u < end_unit(action->chunk); ++u)
        units.push_back(u);
    }
    std::reverse(units.begin(), units.end());
    for (int u = 0; u < static_cast<int>(p_.units.size()); ++u)
      if (std::find(units.begin(), units.end(), u) == units.end()) units.push_back(u);
    p_.parameters.resize(p_.units.size());
    std::erase_if(units, [&](int u) { return !whole(u).has_parameters(); });
    for (const bool trained : {true, false}) {
      for (const int u : units)
        if (whole(u).is_trained() == trained) place_parameters(u, trained);
      if (trained) p_.trained_count = p_.parameter_count;
    }
    p_.chunk_gradients.resize(static_cast<std::size_t>(p_.chunks));
    for (const int u : units) {
      const auto& range = p_.parameters[static_cast<std::size_t>(u)];
      auto& gradients = p_.chunk_gradients[static_cast<std::size_t>(unit(u).chunk)];
      if (!range.trained) continue;
      if (gradients.count.value() == 0) gradients.first = range.weight_first;
      gradients.count += range.weight_count + range.bias_count;
    }
  }

  void place_parameters(int u, bool trained) {
    const auto& local = unit(u).local;
    const auto& placed = plan_.placement.layers[static_cast<std::size_t>(unit(u).layer)];
    auto& range = p_.parameters[static_cast<std::size_t>(u)];
    range.trained = trained;
    trained_units_left_ += trained ? 1 : 0;
    range.weight_first = p_.parameter_count;
    range.weight_count = local.weight_elements();
    range.bias_first = range.weight_first + range.weight_count;
    range.bias_count = local.bias_elements();
    p_.parameter_count = range.bias_first + range.bias_count;
    const std::int64_t window = local.kernel * local.kernel;
    range.logical_columns = whole(u).fan_in();
    range.columns = local.fan_in();
    range.replicated = placed.variant != Variant::column && placed.variant != Variant::row;
    const auto rank = static_cast<std::size_t>(p_.at.tensor);
    if (placed.variant == Variant::column) range.first_row = placed.out.value.offsets[rank];
    if (placed.variant == Variant::row) range.first_column = placed.in.value.offsets[rank] * window;
  }

  [[nodiscard]] Axis gradient_axes(int u) const {
    const Axis axes = gradients_are_partial(unit(u).variant) ? Axis::data | Axis::tensor : Axis::data;
    return plan_.grid.occupied(axes);
  }

  // --- slots ---

  int add_slot(Slot slot) {
    p_.slots.push_back(slot);
    return static_cast<int>(p_.slots.size()) - 1;
  }
  int tensor_slot(SlotRole role, int u, int j, const Placement& placement, const kernels::Shape& shape,
                  DataType type) {
    const bool share = placement.spread == Spread::batch;
    const auto elements = share ? shape.elements().value()
                                : storage_of(placement, shape, p_.at.tensor, plan_.grid.tensor, 1).elements();
    return add_slot({.role = role,
                     .unit = u,
                     .microbatch = j,
                     .type = type,
                     .per_sample = Elements(elements),
                     .batch_share = share});
  }
  int tensor_slot(SlotRole role, int u, int j, const Placement& placement, const kernels::Shape& shape) {
    return tensor_slot(role, u, j, placement, shape, p_.type);
  }
  /// The target of a conversion: its source, where the exchange works in place.
  int converted_slot(int source, const Conversion& c, SlotRole role, int u, int j) {
    const Exchange exchange = exchange_of(c.from, c.to);
    if (exchange == Exchange::none || exchange == Exchange::keep || exchange == Exchange::all_reduce)
      return source;
    return tensor_slot(role, u, j, c.to, c.shape);
  }

  void make_slots() {
    p_.tensors.resize(p_.units.size() * static_cast<std::size_t>(p_.microbatches));
    p_.metric_slot = add_slot({.role = SlotRole::metric, .type = DataType::float64, .fixed = Elements(2)});
    p_.parameter_slot =
        add_slot({.role = SlotRole::parameters, .type = p_.type, .fixed = p_.parameter_count});
    if (p_.training)
      p_.parameter_gradient_slot = add_slot({.role = SlotRole::parameter_gradients,
                                             .type = p_.type,
                                             .fixed = p_.trained_count * p_.gradient_levels});
    for (int j = 0; j < p_.microbatches; ++j) {
      for (int c = 0; c < p_.chunks; ++c)
        make_value_slots(c, j);
      for (int c = p_.chunks; p_.training && c-- > 0;)
        make_gradient_slots(c, j);
    }
  }

  /// What the producer of a chunk's input delivers; the network's input is loaded as its reader wants it.
  [[nodiscard]] Pair delivered(int chunk) const {
    const auto& first = plan_.placement.layers[static_cast<std::size_t>(first_layer(chunk))];
    if (!is_first(chunk)) return plan_.placement.layers[static_cast<std::size_t>(first_layer(chunk)) - 1].out;
    const Placement loaded{.spread =
                               first.in.value.spread == Spread::batch ? Spread::batch : Spread::replicated};
    return {loaded, loaded};
  }

  void make_value_slots(int c, int j) {
    Pair pair = delivered(c);
    const auto& shape = model_.layers[static_cast<std::size_t>(first_layer(c))].input;
    int value = -1;
    if (is_first(c))
      p_.input_slot.push_back(value = tensor_slot(SlotRole::input, -1, j, pair.value, shape));
    else if (stages() == 1)
      value = slots(first_unit(c) - 1, j).y;
    else
      value = received_value_[{c, j}] = tensor_slot(SlotRole::activation, -1, j, pair.value, shape);
    for (int u = first_unit(c); u < end_unit(c); ++u) {
      const auto& layer = whole(u);
      UnitSlots& s = slots(u, j);
      s.x = converted_slot(value, {pair.value, input_pair(plan_, unit(u)).value, layer.input},
                           SlotRole::activation, u, j);
      pair = output_pair(plan_, unit(u));
      s.y = moves_no_data(layer, p_.layout, p_.training)
                ? s.x
                : tensor_slot(SlotRole::activation, u, j, pair.value, layer.output);
      if (layer.kind == model::LayerKind::maxpool)
        s.winners = tensor_slot(SlotRole::winners, u, j, pair.value, layer.output, DataType::uint8);
      value = s.y;
    }
    if (!is_last(c)) return;
    const auto& loss = plan_.placement.loss;
    const bool share = loss.spread == Spread::batch;
    const bool classes = model_.loss == model::Loss::cross_entropy;
    p_.labels_slot.push_back(add_slot({.role = SlotRole::labels,
                                       .microbatch = j,
                                       .type = classes ? DataType::int32 : p_.type,
                                       .per_sample = classes ? Elements(1) : output_shape().elements(),
                                       .batch_share = share}));
    p_.loss_slot.push_back(
        converted_slot(value, {pair.value, loss, output_shape()}, SlotRole::activation, -1, j));
    if (loss.spread == Spread::channel)
      p_.statistics_slot.push_back(add_slot({.role = SlotRole::statistics,
                                             .microbatch = j,
                                             .type = p_.type,
                                             .per_sample = Elements(3 * plan_.grid.tensor)}));
    if (p_.training)
      p_.loss_gradient_slot.push_back(tensor_slot(SlotRole::gradient, -1, j, loss, output_shape()));
  }

  void make_gradient_slots(int c, int j) {
    if (!has_backward(c)) return;
    const int last = end_unit(c) - 1;
    const auto& out = output_pair(plan_, unit(last)).gradient;
    int gradient = -1;
    if (is_last(c))
      gradient = converted_slot(p_.loss_gradient_slot.back(), {plan_.placement.loss, out, output_shape()},
                                SlotRole::gradient, last, j);
    else if (stages() == 1)
      gradient = sent_gradient_.at({c + 1, j});
    else
      gradient = tensor_slot(SlotRole::gradient, last, j, out, whole(last).output);
    for (int u = last; u >= first_unit(c); --u) {
      if (unit(u).layer < lowest_) return;
      UnitSlots& s = slots(u, j);
      s.dy = gradient;
      if (unit(u).layer == lowest_) return;
      const auto& in = input_pair(plan_, unit(u)).gradient;
      s.dx = s.x == s.y ? s.dy : tensor_slot(SlotRole::gradient, u - 1, j, in, whole(u).input);
      const Placement before =
          u > first_unit(c) ? output_pair(plan_, unit(u - 1)).gradient : delivered(c).gradient;
      gradient = converted_slot(s.dx, {in, before, whole(u).input}, SlotRole::gradient, u - 1, j);
    }
    sent_gradient_[{c, j}] = gradient;
  }

  // --- instructions ---

  void add(Instruction instruction) { p_.instructions.push_back(std::move(instruction)); }

  int add_transfer(Transfer transfer) {
    p_.transfers.push_back(transfer);
    return static_cast<int>(p_.transfers.size()) - 1;
  }
  static std::vector<int> touched(const Transfer& t) {
    return t.target < 0 ? std::vector{t.slot} : std::vector{t.slot, t.target};
  }
  void start(int id) {
    const auto& t = p_.transfers[static_cast<std::size_t>(id)];
    const bool only_reads = t.operation == Operation::send;
    add({.kind = Kind::start,
         .queue = Queue::communication,
         .microbatch = t.microbatch,
         .transfer = id,
         .reads = t.operation == Operation::receive ? std::vector<int>{} : std::vector{t.slot},
         .writes = only_reads ? std::vector<int>{} : touched(t)});
  }
  void wait(int id) {
    const auto& t = p_.transfers[static_cast<std::size_t>(id)];
    add({.kind = Kind::wait,
         .queue = Queue::communication,
         .microbatch = t.microbatch,
         .transfer = id,
         .reads = touched(t),
         .writes = t.operation == Operation::send ? std::vector<int>{} : touched(t)});
  }

  // --- conversions on the tensor axis ---

  struct Begun {
    int conversion = -1, transfer = -1, source = -1, received = -1, target = -1, chunk = -1, microbatch = -1;
  };

  Begun begin(const Conversion& c, int source, int target, bool backward, int chunk, int j) {
    const Exchange exchange = exchange_of(c.from, c.to);
    if (exchange == Exchange::none) return {};
    p_.conversions.push_back(c);
    Begun b{.conversion = static_cast<int>(p_.conversions.size()) - 1,
            .source = source,
            .target = target,
            .chunk = chunk,
            .microbatch = j};
    const auto instruct = [&](Kind kind, int from, int to) {
      add({.kind = kind,
           .queue = Queue::copy,
           .chunk = chunk,
           .microbatch = j,
           .conversion = b.conversion,
           .reads = {from},
           .writes = {to}});
    };
    if (exchange == Exchange::keep || exchange == Exchange::local)
      return instruct(Kind::convert, source, target), Begun{};
    const bool halo = c.from.spread == Spread::window || c.to.spread == Spread::window;
    Transfer t{.axis = Axis::tensor,
               .purpose = halo       ? Purpose::halo
                          : backward ? Purpose::activation_gradient
                                     : Purpose::activation,
               .microbatch = j,
               .slot = source,
               .conversion = b.conversion};
    if (exchange == Exchange::all_reduce) {
      t.operation = Operation::all_reduce;
    } else {
      t.operation = exchange == Exchange::all_gather       ? Operation::all_gather
                    : exchange == Exchange::reduce_scatter ? Operation::reduce_scatter
                                                           : Operation::all_to_all;
      t.slot = message_slot(c, exchange, true, j);
      if (exchange == Exchange::all_to_all) t.target = message_slot(c, exchange, false, j);
      instruct(Kind::pack, source, t.slot);
      b.received = exchange == Exchange::all_to_all ? t.target : t.slot;
    }
    b.transfer = add_transfer(t);
    start(b.transfer);
    return b;
  }

  /// A buffer for the pieces of a conversion. Where one side is cut by samples, so are the pieces.
  int message_slot(const Conversion& c, Exchange exchange, bool send, int j) {
    Slot slot{.role = SlotRole::message, .microbatch = j, .type = p_.type};
    const int ranks = plan_.grid.tensor, me = p_.at.tensor;
    if (exchange != Exchange::all_to_all) {
      slot.per_sample = Elements(c.shape.elements());
    } else if (const auto& mine = send ? c.from : c.to; mine.spread == Spread::batch) {
      slot.per_sample = c.shape.elements();
      slot.batch_share = true;
    } else if (const auto& other = send ? c.to : c.from; other.spread == Spread::batch) {
      slot.per_sample = Elements(storage_of(mine, c.shape, me, ranks, 1).elements());
    } else {
      const auto cuts = send ? send_cuts(c, me, ranks, 1) : receive_cuts(c, me, ranks, 1);
      slot.per_sample = Elements(cuts.back());
    }
    return add_slot(slot);
  }

  void finish(const Begun& b) {
    if (b.transfer < 0) return;
    wait(b.transfer);
    if (b.received < 0) return;
    add({.kind = Kind::unpack,
         .queue = Queue::copy,
         .chunk = b.chunk,
         .microbatch = b.microbatch,
         .conversion = b.conversion,
         .reads = {b.received, b.source},
         .writes = {b.target}});
  }
  void convert(const Conversion& c, int source, int target, bool backward, int chunk, int j) {
    finish(begin(c, source, target, backward, chunk, j));
  }

  // --- pipeline transfers ---

  [[nodiscard]] int tag(Way way, int boundary, int j) const {
    return ((way == Way::backward ? chunks_of_model() : 0) + boundary) * p_.microbatches + j;
  }
  /// Values cross boundary k from chunk k to chunk k + 1, gradients back.
  int pipeline_transfer(Operation operation, Way way, int chunk, int j, int slot) {
    const bool downstream = (operation == Operation::send) == (way == Way::forward);
    const int boundary = downstream ? global_chunk(chunk) : global_chunk(chunk) - 1;
    const int peer = (p_.at.pipeline + (downstream ? 1 : stages() - 1)) % stages();
    return add_transfer({.operation = operation,
                         .axis = Axis::pipeline,
                         .purpose = way == Way::forward ? Purpose::activation : Purpose::activation_gradient,
                         .microbatch = j,
                         .slot = slot,
                         .peer = peer,
                         .tag = tag(way, boundary, j)});
  }
  [[nodiscard]] bool receives(const Action& a) const {
    if (stages() == 1 || a.pass == Pass::backward_weight) return false;
    return a.pass == Pass::forward ? !is_first(a.chunk) : !is_last(a.chunk);
  }
  static Way way_of(const Action& a) { return a.pass == Pass::forward ? Way::forward : Way::backward; }
  void post_receive(const Action& a) {
    if (!receives(a)) return;
    const Way way = way_of(a);
    const int slot = way == Way::forward ? received_value_.at({a.chunk, a.microbatch})
                                         : slots(end_unit(a.chunk) - 1, a.microbatch).dy;
    const auto key = std::tuple(way, a.chunk, a.microbatch);
    if (posted_.contains(key)) return;
    posted_[key] = pipeline_transfer(Operation::receive, way, a.chunk, a.microbatch, slot);
    start(posted_[key]);
  }
  void send(Way way, int chunk, int j, int slot) {
    if (stages() == 1) return;
    const int id = pipeline_transfer(Operation::send, way, chunk, j, slot);
    start(id);
    sends_[{way, chunk}].push_back({j, id});
  }
  struct Sent {
    int microbatch = -1, transfer = -1;
  };
  void wait_oldest(std::deque<Sent>& sends) {
    wait(sends.front().transfer);
    sends.pop_front();
  }
  void free_a_buffer(Way way, int chunk) {
    auto& sends = sends_[{way, chunk}];
    while (sends.size() >= 2)
      wait_oldest(sends);
  }

  // --- passes ---

  void perform(const Action& a) {
    if (receives(a)) wait(posted_.at({way_of(a), a.chunk, a.microbatch}));
    if (a.pass == Pass::forward) return forward(a.chunk, a.microbatch);
    if (a.pass != Pass::backward_weight) {
      auto& sends = sends_[{Way::forward, a.chunk}];
      while (!sends.empty() && sends.front().microbatch <= a.microbatch)
        wait_oldest(sends);
      if (sends_gradient(a.chunk)) free_a_buffer(Way::backward, a.chunk);
    }
    backward(a);
  }

  void forward(int c, int j) {
    if (!has_backward(c) && !is_last(c)) free_a_buffer(Way::forward, c);
    Pair pair = delivered(c);
    int value = is_first(c)     ? p_.input_slot[static_cast<std::size_t>(j)]
                : stages() == 1 ? slots(first_unit(c) - 1, j).y
                                : received_value_.at({c, j});
    if (is_first(c))
      add({.kind = Kind::load, .queue = Queue::copy, .chunk = c, .microbatch = j, .writes = {value}});
    for (int u = first_unit(c); u < end_unit(c); ++u) {
      const UnitSlots s = slots(u, j);
      convert({pair.value, input_pair(plan_, unit(u)).value, whole(u).input}, value, s.x, false, c, j);
      if (s.x != s.y) {
        Instruction instruction{
            .kind = Kind::forward, .unit = u, .chunk = c, .microbatch = j, .reads = {s.x}, .writes = {s.y}};
        if (whole(u).has_parameters()) instruction.reads.push_back(p_.parameter_slot);
        if (s.winners >= 0) instruction.writes.push_back(s.winners);
        add(std::move(instruction));
      }
      pair = output_pair(plan_, unit(u));
      value = s.y;
    }
    if (is_last(c))
      loss(c, j, pair, value);
    else
      send(Way::forward, c, j, value);
  }

  void loss(int c, int j, const Pair& pair, int value) {
    const auto i = static_cast<std::size_t>(j);
    const auto& placement = plan_.placement.loss;
    const int logits = p_.loss_slot[i], labels = p_.labels_slot[i];
    add({.kind = Kind::load, .queue = Queue::copy, .chunk = c, .microbatch = j, .writes = {labels}});
    convert({pair.value, placement, output_shape()}, value, logits, false, c, j);
    Instruction instruction{.kind = Kind::loss,
                            .chunk = c,
                            .microbatch = j,
                            .reads = {logits, labels},
                            .writes = {p_.metric_slot}};
    if (p_.training) instruction.writes.push_back(p_.loss_gradient_slot[i]);
    if (placement.spread == Spread::channel) {
      const int statistics = p_.statistics_slot[i];
      add({.kind = Kind::loss,
           .phase = Phase::statistics,
           .chunk = c,
           .microbatch = j,
           .reads = {logits, labels},
           .writes = {statistics}});
      const int gather = add_transfer({.operation = Operation::all_gather,
                                       .axis = Axis::tensor,
                                       .purpose = Purpose::activation,
                                       .microbatch = j,
                                       .slot = statistics});
      start(gather);
      wait(gather);
      instruction.phase = Phase::finish;
      instruction.reads.push_back(statistics);
    }
    add(std::move(instruction));
    if (p_.training && j == p_.microbatches - 1) start_metric();
  }

  void backward(const Action& a) {
    const int c = a.chunk, j = a.microbatch;
    const bool inputs = a.pass != Pass::backward_weight, weights = a.pass != Pass::backward_input;
    if (inputs && is_last(c))
      convert({plan_.placement.loss, output_pair(plan_, unit(end_unit(c) - 1)).gradient, output_shape()},
              p_.loss_gradient_slot[static_cast<std::size_t>(j)], slots(end_unit(c) - 1, j).dy, true, c, j);
    for (int u = end_unit(c) - 1; u >= first_unit(c) && unit(u).layer >= lowest_; --u) {
      if (inputs) mask(u, j);
      Begun conversion;
      const bool gives = inputs && unit(u).layer > lowest_;
      // A conversion of the input's gradient runs while the parameters' is computed.
      const bool first = gives && weights && exchanges(u);
      if (weights && !first) parameters(u, j);
      if (gives) {
        data(u, j);
        conversion = begin(gradient_conversion(u), slots(u, j).dx, converted_gradient(u, j), true, c, j);
      }
      if (first) parameters(u, j);
      finish(conversion);
    }
    if (weights && plan_.grains > 0) combine(c, j);
    if (inputs && sends_gradient(c)) send(Way::backward, c, j, sent_gradient_.at({c, j}));
  }

  [[nodiscard]] Conversion gradient_conversion(int u) const {
    const int c = unit(u).chunk;
    const auto& before = u > first_unit(c) ? output_pair(plan_, unit(u - 1)) : delivered(c);
    return {input_pair(plan_, unit(u)).gradient, before.gradient, whole(u).input};
  }
  [[nodiscard]] bool exchanges(int u) const {
    const Conversion c = gradient_conversion(u);
    const Exchange exchange = exchange_of(c.from, c.to);
    return exchange != Exchange::none && exchange != Exchange::keep && exchange != Exchange::local;
  }
  int converted_gradient(int u, int j) {
    return u > first_unit(unit(u).chunk) ? slots(u - 1, j).dy : sent_gradient_.at({unit(u).chunk, j});
  }

  void mask(int u, int j) {
    const UnitSlots s = slots(u, j);
    if (!unit(u).fused_relu) return;
    add({.kind = Kind::backward,
         .phase = Phase::activation,
         .unit = u,
         .chunk = unit(u).chunk,
         .microbatch = j,
         .reads = {s.y, s.dy},
         .writes = {s.dy}});
  }
  void data(int u, int j) {
    const UnitSlots s = slots(u, j);
    if (s.x == s.y) return;
    Instruction instruction{.kind = Kind::backward,
                            .phase = Phase::data,
                            .unit = u,
                            .chunk = unit(u).chunk,
                            .microbatch = j,
                            .reads = {s.y, s.dy, p_.parameter_slot},
                            .writes = {s.dx}};
    if (s.winners >= 0) instruction.reads.push_back(s.winners);
    add(std::move(instruction));
  }
  void parameters(int u, int j) {
    if (!whole(u).is_trained()) return;
    const UnitSlots s = slots(u, j);
    add({.kind = Kind::backward,
         .phase = Phase::parameters,
         .unit = u,
         .chunk = unit(u).chunk,
         .microbatch = j,
         .accumulates = plan_.grains == 0 && j > 0,
         .level = plan_.grains > 0 ? std::popcount(static_cast<unsigned>(j)) : 0,
         .reads = {s.x, s.dy},
         .writes = {p_.parameter_gradient_slot}});
    if (plan_.grains == 0 && j == p_.microbatches - 1) extend_bucket(u);
  }

  /// A binary counter: each carry adds the gradients of two equal neighbours, the left one first.
  void combine(int c, int j) {
    int level = std::popcount(static_cast<unsigned>(j));
    for (int carries = std::countr_one(static_cast<unsigned>(j)); carries > 0; --carries, --level)
      add({.kind = Kind::combine,
           .chunk = c,
           .microbatch = j,
           .level = level,
           .reads = {p_.parameter_gradient_slot},
           .writes = {p_.parameter_gradient_slot}});
    if (j < p_.microbatches - 1) return;
    for (int u = end_unit(c) - 1; u >= first_unit(c); --u)
      if (whole(u).is_trained()) extend_bucket(u);
  }

  // --- reductions and updates ---

  /// Closes the open bucket before a unit that is reduced over other axes, and after one that makes it large
  /// enough or is the last. Sizes are even shares, not this rank's, so that all tensor coordinates close the
  /// same buckets; those of a rank without a share of their layers are empty.
  void extend_bucket(int u) {
    const auto& range = p_.parameters[static_cast<std::size_t>(u)];
    const Axis axes = gradient_axes(u);
    if (open_units_ > 0 && open_.axis != axes) close_bucket();
    ++open_units_;
    open_.axis = axes;
    open_.count += range.weight_count + range.bias_count;
    const auto elements = (whole(u).weight_elements() + whole(u).bias_elements()).value();
    const int shares = range.replicated ? 1 : plan_.grid.tensor;
    open_share_ += Elements((elements + shares - 1) / shares);
    --trained_units_left_;
    if (bytes_of(p_.type, open_share_) >= plan_.bucket_bytes || trained_units_left_ == 0) close_bucket();
  }
  void close_bucket() {
    p_.buckets.push_back(open_);
    int reduction = -1;
    if (open_.axis != Axis::none) {
      reduction = add_transfer({.operation = Operation::all_reduce,
                                .axis = open_.axis,
                                .purpose = Purpose::gradient,
                                .slot = p_.parameter_gradient_slot,
                                .first = open_.first,
                                .count = open_.count});
      start(reduction);
    }
    bucket_reduction_.push_back(reduction);
    open_ = {.first = open_.first + open_.count};
    open_share_ = {};
    open_units_ = 0;
  }
  void start_metric() {
    const Axis axes = metric_axes(plan_);
    if (axes == Axis::none) return;
    metric_reduction_ = add_transfer({.operation = Operation::all_reduce,
                                      .axis = axes,
                                      .purpose = Purpose::metric,
                                      .slot = p_.metric_slot,
                                      .count = Elements(2)});
    start(metric_reduction_);
  }
  void update() {
    for (std::size_t b = 0; b < p_.buckets.size(); ++b) {
      if (bucket_reduction_[b] >= 0) wait(bucket_reduction_[b]);
      add({.kind = Kind::update,
           .bucket = static_cast<int>(b),
           .reads = {p_.parameter_gradient_slot},
           .writes = {p_.parameter_slot}});
    }
    if (metric_reduction_ >= 0) wait(metric_reduction_);
  }

  const model::ModelSpec& model_;
  const Plan& plan_;
  Program program_;
  Program& p_;
  int lowest_;
  std::vector<Action> order_;
  std::vector<int> chunk_begin_;  ///< first unit of each chunk, then their number
  std::map<std::pair<int, int>, int> received_value_, sent_gradient_;  ///< slot by (chunk, micro-batch)
  std::map<std::tuple<Way, int, int>, int> posted_;
  std::map<std::pair<Way, int>, std::deque<Sent>> sends_;
  Bucket open_;
  Elements open_share_{};  ///< what a rank has of the open bucket when shares are even
  int open_units_ = 0, trained_units_left_ = 0;
  std::vector<int> bucket_reduction_;
  int metric_reduction_ = -1;
};

}  // namespace

Plan plan(const model::ModelSpec& model, const PlanOptions& options,
          std::vector<base::Violation>& violations) {
  Plan plan{.grid = options.grid,
            .pipeline = options.pipeline,
            .placement = place(model, options.grid, options.batch, {}, options.outputs),
            .bucket_bytes = options.bucket_bytes,
            .grains = options.grains};
  plan.partition =
      partition(model, plan.placement, options.grid.pipeline * options.pipeline.chunks, violations);
  return plan;
}

Plan plan(const model::ModelSpec& model, const PlanOptions& options) {
  std::vector<base::Violation> violations;
  auto planned = plan(model, options, violations);
  if (!violations.empty()) throw base::ConfigError(violations);
  return planned;
}

topology::Axis metric_axes(const Plan& plan) {
  const Axis axes = Axis::data | Axis::pipeline;
  return plan.grid.occupied(plan.placement.loss.spread == Spread::batch ? axes | Axis::tensor : axes);
}

bool uses_axis(const model::ModelSpec& model, const Plan& plan, Axis axis) {
  if (axis == Axis::pipeline || axis == Axis::tensor) {
    if (plan.grid.along(axis) > 1) return true;
  }
  if (axis != Axis::none && axis == metric_axes(plan)) return true;
  for (std::size_t l = 0; l < model.layers.size(); ++l) {
    const bool partial = gradients_are_partial(plan.placement.layers[l].variant);
    const Axis reduced = plan.grid.occupied(partial ? Axis::data | Axis::tensor : Axis::data);
    if (model.layers[l].is_trained() && reduced == axis) return true;
  }
  return false;
}

Program build_training_program(const model::ModelSpec& model, const Plan& plan,
                               const topology::Coordinate& at, const TensorFormat& format) {
  return Builder(model, plan, at, format, true).assemble();
}

Program build_evaluation_program(const model::ModelSpec& model, const Plan& plan,
                                 const topology::Coordinate& at, const TensorFormat& format) {
  return Builder(model, plan, at, format, false).assemble();
}

}  // namespace partita::step
