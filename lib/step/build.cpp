#include "partita/step/build.hpp"

#include <utility>

namespace partita::step {
namespace {

using collective::Purpose;
using model::LayerKind;

bool has_relu_epilogue(LayerKind kind) {
  return kind == LayerKind::linear || kind == LayerKind::conv || kind == LayerKind::maxpool ||
         kind == LayerKind::avgpool;
}

/// Assembles one program; the public functions below are its two recipes.
class Builder {
 public:
  Builder(const model::ModelSpec& model, const BuildOptions& options, bool training)
      : model_(model), options_(options) {
    program_.type = options.type;
    program_.training = training;
    lower();
    lay_out_parameters();
    make_slots();
  }

  Program training() {
    load_and_forward();
    reduce_metric_over_data();
    backward();
    for (std::size_t b = 0; b < program_.buckets.size(); ++b) {
      if (reduces()) wait(bucket_reduction_[b]);
      add({.kind = Kind::update,
           .bucket = static_cast<int>(b),
           .reads = {program_.parameter_gradient_slot},
           .writes = {program_.parameter_slot}});
    }
    if (reduces()) wait(metric_reduction_);
    return std::move(program_);
  }

  Program evaluation() {
    load_and_forward();
    return std::move(program_);
  }

 private:
  const model::Layer& layer(int unit) const {
    return model_.layers[static_cast<std::size_t>(program_.units[static_cast<std::size_t>(unit)].layer)];
  }
  int last_unit() const { return static_cast<int>(program_.units.size()) - 1; }
  /// Parameters are replicated along the data axis, so gradients and metrics are partial sums there.
  bool reduces() const { return options_.grid.data > 1; }

  int add_slot(SlotRole role, int unit, DataType type, Elements per_sample, Elements fixed) {
    program_.slots.push_back(
        {.role = role, .unit = unit, .type = type, .per_sample = per_sample, .fixed = fixed});
    return static_cast<int>(program_.slots.size()) - 1;
  }
  void add(Instruction instruction) { program_.instructions.push_back(std::move(instruction)); }

  /// Joins each ReLU with the layer before it where that layer's kernel can apply it.
  void lower() {
    for (std::size_t i = 0; i < model_.layers.size(); ++i) {
      auto& units = program_.units;
      const bool follows = !units.empty() && units.back().layer == static_cast<int>(i) - 1;
      if (model_.layers[i].kind == LayerKind::relu && follows && !units.back().fused_relu &&
          has_relu_epilogue(model_.layers[i - 1].kind))
        units.back().fused_relu = true;
      else
        units.push_back({.layer = static_cast<int>(i)});
    }
  }

  /// Parameters lie in the order in which backward finishes their gradients: a bucket is one contiguous
  /// range. Frozen ones have none and come last.
  void lay_out_parameters() {
    program_.parameters.resize(program_.units.size());
    Elements next{};
    for (int i = 0; i < 2 * static_cast<int>(program_.units.size()); ++i) {
      const int u = last_unit() - i % static_cast<int>(program_.units.size());
      const bool frozen_pass = i > last_unit();
      if (layer(u).frozen != frozen_pass) continue;
      auto& range = program_.parameters[static_cast<std::size_t>(u)];
      range.weight_first = next;
      range.weight_count = layer(u).weight_elements();
      range.bias_first = range.weight_first + range.weight_count;
      range.bias_count = layer(u).bias_elements();
      range.trained = layer(u).is_trained();
      next = range.bias_first + range.bias_count;
      if (!frozen_pass) program_.trained_count = next;
    }
    program_.parameter_count = next;
  }

  /// A flatten of an image whose memory order is already logical, and dropout outside training, move no data.
  bool moves_no_data(const model::Layer& layer) const {
    if (layer.kind == LayerKind::dropout) return !program_.training;
    if (layer.kind != LayerKind::flatten) return false;
    const auto& in = layer.input;
    return options_.layout == kernels::Layout::nchw || in.rank() != 3 || in[0] == 1 || in[1] * in[2] == 1;
  }

  void make_slots() {
    int current = add_slot(SlotRole::activation, -1, options_.type, model_.input.elements(), {});
    for (int u = 0; u <= last_unit(); ++u) {
      const auto& l = layer(u);
      program_.input_slot.push_back(current);
      if (!moves_no_data(l))
        current = add_slot(SlotRole::activation, u, options_.type, l.output.elements(), {});
      program_.output_slot.push_back(current);
      const bool wins = l.kind == LayerKind::maxpool;
      program_.winners_slot.push_back(
          wins ? add_slot(SlotRole::winners, u, DataType::uint8, l.output.elements(), {}) : -1);
    }
    const bool classes = model_.loss == model::Loss::cross_entropy;
    program_.labels_slot = add_slot(SlotRole::labels, -1, classes ? DataType::int32 : options_.type,
                                    classes ? Elements(1) : model_.layers.back().output.elements(), {});
    program_.metric_slot = add_slot(SlotRole::metric, -1, DataType::float64, {}, Elements(2));
    program_.parameter_slot = add_slot(SlotRole::parameters, -1, options_.type, {}, program_.parameter_count);
    program_.gradient_slot.assign(program_.units.size(), -1);
    if (program_.training) make_gradient_slots();
  }

  void make_gradient_slots() {
    program_.parameter_gradient_slot =
        add_slot(SlotRole::parameter_gradients, -1, options_.type, {}, program_.trained_count);
    for (int u = last_unit(); u >= 0; --u) {
      const auto index = static_cast<std::size_t>(u);
      const bool shares =
          u < last_unit() && program_.input_slot[index + 1] == program_.output_slot[index + 1];
      if (shares)  // the next unit moves no data: its gradient is this unit's
        program_.gradient_slot[index] = program_.gradient_slot[index + 1];
      else
        program_.gradient_slot[index] =
            add_slot(SlotRole::gradient, u, options_.type, layer(u).output.elements(), {});
    }
  }

  void load_and_forward() {
    add({.kind = Kind::load,
         .queue = Queue::copy,
         .writes = {program_.input_slot.front(), program_.labels_slot}});
    for (int u = 0; u <= last_unit(); ++u) {
      const auto index = static_cast<std::size_t>(u);
      if (program_.input_slot[index] == program_.output_slot[index]) continue;
      Instruction forward{.kind = Kind::forward,
                          .unit = u,
                          .reads = {program_.input_slot[index]},
                          .writes = {program_.output_slot[index]}};
      if (layer(u).weight_elements().value() > 0) forward.reads.push_back(program_.parameter_slot);
      if (program_.winners_slot[index] >= 0) forward.writes.push_back(program_.winners_slot[index]);
      add(std::move(forward));
    }
    Instruction loss{.kind = Kind::loss,
                     .reads = {program_.output_slot.back(), program_.labels_slot},
                     .writes = {program_.metric_slot}};
    if (program_.training) loss.writes.push_back(program_.gradient_slot.back());
    add(std::move(loss));
  }

  int start_reduction(Reduction reduction) {
    const int id = static_cast<int>(program_.reductions.size());
    program_.reductions.push_back(reduction);
    add({.kind = Kind::all_reduce,
         .queue = Queue::communication,
         .reduction = id,
         .reads = {reduction.slot},
         .writes = {reduction.slot}});
    return id;
  }
  void wait(int reduction) {
    const int slot = program_.reductions[static_cast<std::size_t>(reduction)].slot;
    add({.kind = Kind::wait,
         .queue = Queue::communication,
         .reduction = reduction,
         .reads = {slot},
         .writes = {slot}});
  }
  void reduce_metric_over_data() {
    if (!reduces()) return;
    metric_reduction_ =
        start_reduction({.purpose = Purpose::metric, .slot = program_.metric_slot, .count = Elements(2)});
  }

  int lowest_trained_unit() const {
    for (int u = 0; u <= last_unit(); ++u)
      if (layer(u).is_trained()) return u;
    return last_unit() + 1;
  }

  void backward() {
    const int lowest = lowest_trained_unit();
    for (int u = last_unit(); u >= lowest; --u)
      backward_of(u, lowest);
  }

  /// Phases of one unit. The parameters' gradient comes first, so that its reduction overlaps the data
  /// gradient.
  void backward_of(int u, int lowest) {
    const auto index = static_cast<std::size_t>(u);
    const int x = program_.input_slot[index], y = program_.output_slot[index],
              dy = program_.gradient_slot[index];
    if (x == y) return;
    if (program_.units[index].fused_relu)
      add({.kind = Kind::backward, .phase = Phase::activation, .unit = u, .reads = {y, dy}, .writes = {dy}});
    if (layer(u).is_trained()) {
      add({.kind = Kind::backward,
           .phase = Phase::parameters,
           .unit = u,
           .reads = {x, dy},
           .writes = {program_.parameter_gradient_slot}});
      start_full_bucket(u, u == lowest);
    }
    if (u == lowest) return;
    Instruction data{.kind = Kind::backward,
                     .phase = Phase::data,
                     .unit = u,
                     .reads = {y, dy, program_.parameter_slot},
                     .writes = {program_.gradient_slot[index - 1]}};
    if (program_.winners_slot[index] >= 0) data.reads.push_back(program_.winners_slot[index]);
    add(std::move(data));
  }

  /// Closes the open bucket with this unit when it is large enough or the last one, and starts its reduction.
  void start_full_bucket(int u, bool last) {
    const auto& range = program_.parameters[static_cast<std::size_t>(u)];
    const Elements end = range.bias_first + range.bias_count;
    const Elements count = end - bucket_first_;
    if (!last && bytes_of(options_.type, count) < options_.bucket_bytes) return;
    program_.buckets.push_back({.first = bucket_first_, .count = count});
    bucket_first_ = end;
    if (reduces())
      bucket_reduction_.push_back(start_reduction({.purpose = Purpose::gradient,
                                                   .slot = program_.parameter_gradient_slot,
                                                   .first = program_.buckets.back().first,
                                                   .count = count}));
  }

  const model::ModelSpec& model_;
  const BuildOptions& options_;
  Program program_;
  Elements bucket_first_{};
  std::vector<int> bucket_reduction_;
  int metric_reduction_ = -1;
};

}  // namespace

Program build_training_program(const model::ModelSpec& model, const BuildOptions& options) {
  return Builder(model, options, true).training();
}

Program build_evaluation_program(const model::ModelSpec& model, const BuildOptions& options) {
  return Builder(model, options, false).evaluation();
}

}  // namespace partita::step
