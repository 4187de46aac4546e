/// Names and shapes of what instructions run, by kind of instruction and of layer.
#include "partita/cost/kernel.hpp"

#include <algorithm>

#include "partita/base/error.hpp"
#include "partita/cost/work.hpp"

namespace partita::cost {
namespace {

using machine::KernelKey;
using model::LayerKind;
using step::Instruction;
using step::Kind;
using step::Phase;
using step::Program;
using Extents = std::vector<std::int64_t>;

constexpr std::string_view to_string(kernels::Layout layout) {
  return layout == kernels::Layout::nchw ? "nchw" : "nhwc";
}

KernelKey idle() { return {.kernel = "idle", .shape = {0}}; }

/// Channels, height and width; flat features are channels of one pixel.
Extents image_of(const kernels::Shape& shape) {
  if (shape.rank() == 3) return {shape[0], shape[1], shape[2]};
  return {shape.elements().value(), 1, 1};
}

void append(Extents& extents, std::initializer_list<kernels::Extent2> pairs) {
  for (const auto& pair : pairs)
    extents.insert(extents.end(), {pair.h, pair.w});
}

Extents shape_of(const model::Layer& layer, std::int64_t samples) {
  const auto image = image_of(layer.input);
  Extents shape{samples};
  switch (layer.kind) {
    case LayerKind::linear:
      return {samples, layer.input.elements().value(), layer.output.elements().value()};
    case LayerKind::conv:
      shape.insert(shape.end(), image.begin(), image.end());
      shape.push_back(layer.out);
      append(shape, {layer.kernel, layer.stride, layer.padding});
      return shape;
    case LayerKind::maxpool:
    case LayerKind::avgpool:
      shape.insert(shape.end(), image.begin(), image.end());
      append(shape, {layer.kernel, layer.stride});
      return shape;
    case LayerKind::batchnorm:
    case LayerKind::flatten:
      return {samples, image[0], image[1] * image[2]};
    case LayerKind::relu:
    case LayerKind::tanh:
    case LayerKind::dropout:
      break;
  }
  return {samples * layer.output.elements().value()};
}

std::string name_of(const Program& program, const Instruction& i) {
  const auto& unit = program.units[*i.unit];
  const auto& layer = unit.local;
  std::string name(to_string(layer.kind));
  const bool could_have = layer.kind == LayerKind::batchnorm || layer.has_parameters();
  const bool has = layer.kind == LayerKind::batchnorm ? layer.affine : layer.bias;
  if (could_have && !has) name += "+plain";
  const bool takes = program.tensors[*i.unit][*i.microbatch].statistics.has_value();
  if (layer.kind == LayerKind::batchnorm && !takes) name += "+running";
  if (unit.fused_relu && i.kind == Kind::forward && i.phase != Phase::statistics) name += "+relu";
  return name;
}

std::string phase_of(const Instruction& i) {
  std::string pass(to_string(i.kind));
  switch (i.phase) {
    case Phase::none:
    case Phase::finish:
      return pass;
    case Phase::activation:
      return pass + "-activation";
    case Phase::parameters:
      return pass + "-parameters" + (i.accumulates ? "+add" : "");
    case Phase::data:
      return pass + "-data";
    case Phase::statistics:
      return pass + "-statistics";
  }
  return pass;
}

KernelKey key_of_unit(const Program& program, const Instruction& i, std::int64_t samples) {
  const auto& unit = program.units[*i.unit];
  const auto& layer = unit.local;
  const auto mine = samples_of(program, unit, samples);
  if (mine == 0) return idle();
  if (i.phase == Phase::activation)
    return {.kernel = "relu", .phase = phase_of(i), .shape = {layer.output.elements().value() * mine}};
  const auto shape = shape_of(layer, mine);
  const bool of_images = layer.input.rank() == 3 && shape.size() > 1;
  return {.kernel = name_of(program, i),
          .phase = phase_of(i),
          .layout = of_images ? std::string(to_string(program.layout)) : "",
          .shape = shape};
}

/// Samples of a slot when the micro-batch has `samples`.
std::int64_t samples_of(const Program& program, const step::Slot& slot, std::int64_t samples) {
  return slot.batch_share ? topology::share(program.at.tensor, program.grid.tensor, samples).size() : samples;
}

KernelKey key_of_loss(const Program& program, const Instruction& i, std::int64_t samples) {
  const auto& labels = program.slots[program.labels_slot[*i.microbatch]];
  const auto classes = program.slots[program.loss_slot[*i.microbatch]].per_sample.value();
  const auto mine = samples_of(program, labels, samples);
  if (mine == 0) return idle();
  std::string phase = program.training ? "gradient" : "sums";
  if (i.phase == Phase::statistics) phase = "statistics";
  if (i.phase == Phase::finish) phase += "-finish";
  const bool of_classes = labels.type == kernels::DataType::int32;
  return {.kernel = std::string(to_string(of_classes ? model::Loss::cross_entropy : model::Loss::mse)),
          .phase = phase,
          .shape = {mine, classes}};
}

KernelKey key_of_load(const Program& program, const Instruction& i, std::int64_t samples) {
  const auto& slot = program.slots[i.writes.front()];
  const auto mine = samples_of(program, slot, samples);
  if (mine == 0) return idle();
  KernelKey key{
      .kernel = "load", .phase = std::string(to_string(slot.role)), .shape = {mine, slot.per_sample.value()}};
  const auto& input = program.units[step::UnitId()].local.input;
  if (slot.role == step::SlotRole::input && input.rank() == 3) {
    const auto channels = std::max<std::int64_t>(input[0], 1);  // a share may have none
    key.layout = to_string(program.layout);
    key.shape = {mine, channels, slot.per_sample.value() / channels};
  }
  return key;
}

/// Elements of a block that lie one behind the other on both sides.
std::int64_t run_of(const step::BlockMove& move) {
  std::int64_t run = 1;
  for (bool grows = true; grows;) {
    grows = false;
    for (std::size_t d = 0; d < move.extents.size(); ++d)
      if (move.extents[d] > 1 && move.source.strides[d] == run && move.target.strides[d] == run) {
        run *= move.extents[d];
        grows = true;
      }
  }
  return run;
}

KernelKey key_of_move(const Program& program, const Instruction& i, std::int64_t samples) {
  const auto& conversion = program.conversions[*i.conversion];
  const int rank = program.at.tensor, ranks = program.grid.tensor;
  const bool keeps = step::exchange_of(conversion.from, conversion.to) == step::Exchange::keep;
  const bool packs = i.kind == Kind::pack;
  std::int64_t copied = 0, runs = 0;
  const auto moves = packs ? step::pack_moves : step::unpack_moves;
  if (!keeps)
    for (const auto& move : moves(conversion, rank, ranks, samples, program.layout)) {
      const auto elements = move.extents[0] * move.extents[1] * move.extents[2] * move.extents[3];
      copied += elements;
      runs += elements / run_of(move);
    }
  const bool zeroes = keeps ? rank > 0 : !packs && step::zeroes_target(conversion);
  const auto target = program.elements(program.slots[i.writes.front()], samples).value();
  if (copied == 0 && (!zeroes || target == 0)) return idle();
  return {.kernel = std::string(to_string(i.kind)), .shape = {copied, runs, zeroes ? target : 0}};
}

std::int64_t gradients_of(const Program& program, step::ChunkId chunk) {
  std::int64_t gradients = 0;
  for (const auto& part : program.chunk_gradients[chunk])
    gradients += part.count.value();
  return gradients;
}

/// A tensor at a time.
KernelKey key_of_norm(const Program& program, const Instruction& i) {
  if (i.phase == Phase::finish)
    return {.kernel = "norm", .phase = "finish", .shape = {program.slots[i.reads.front()].fixed.value(), 1}};
  const auto [elements, tensors] = squared_by(program, i);
  if (tensors == 0) return idle();
  return {.kernel = "norm", .shape = {elements.value(), tensors}};
}

/// A bucket at a time, or by norms a tensor.
KernelKey key_of_update(const Program& program, const Instruction& i, std::string_view optimizer) {
  KernelKey key{.kernel = "update",
                .phase = std::string(optimizer),
                .shape = {program.buckets[*i.bucket].share.value()}};
  if (i.phase == Phase::none) return key;
  if (i.phase == Phase::statistics) key.phase += "-norms";
  key.shape.push_back(std::ssize(program.buckets[*i.bucket].tensors));
  return key;
}

/// All vectors that it writes; those of an outer step by another rule.
KernelKey key_of_average(const Program& program, const Instruction& i) {
  const auto& bucket = program.buckets[*i.bucket];
  KernelKey key{.kernel = "average", .shape = {bucket.count.value() * std::ssize(i.writes)}};
  if (i.phase == Phase::finish) key.phase = bucket.averaging->anchor ? "outer" : "reset";
  return key;
}

/// Messages at a time; by powersgd factors.
KernelKey key_of_code(const Program& program, const Instruction& i) {
  const auto [values, pieces] = coded_by(program, i);
  KernelKey key{.kernel = std::string(to_string(i.kind)),
                .phase = std::string(to_string(program.compression.codec)),
                .shape = {values.value(), pieces}};
  if (program.compression.codec == kernels::Codec::powersgd && i.phase == Phase::finish &&
      i.kind == Kind::encode)
    key.phase += "-finish";
  if (i.kind == Kind::encode && program.compression.residuals) key.phase += "+residual";
  return key;
}

KernelKey key_by_kind(const Program& program, const Instruction& i, std::int64_t samples,
                      std::string_view optimizer) {
  switch (i.kind) {
    case Kind::forward:
    case Kind::backward:
      return key_of_unit(program, i, samples);
    case Kind::loss:
      return key_of_loss(program, i, samples);
    case Kind::load:
      return key_of_load(program, i, samples);
    case Kind::convert:
    case Kind::pack:
    case Kind::unpack:
      return key_of_move(program, i, samples);
    case Kind::combine:
      return {.kernel = "combine", .shape = {gradients_of(program, *i.chunk)}};
    case Kind::encode:
    case Kind::decode:
      return key_of_code(program, i);
    case Kind::average:
      return key_of_average(program, i);
    case Kind::sum:
      return {.kernel = "combine",
              .shape = {program.buckets[*i.bucket].share.value() * (std::ssize(i.reads) - 1)}};
    case Kind::share:
      return {.kernel = "share", .shape = {program.buckets[*i.bucket].share.value()}};
    case Kind::norm:
      return key_of_norm(program, i);
    case Kind::update:
      return key_of_update(program, i, optimizer);
    case Kind::start:
    case Kind::wait:
      break;
  }
  throw base::ContractError("transfers run no kernel");
}

}  // namespace

const kernels::OptimizerDescription& rule_of(const Execution& execution) {
  const auto rule =
      std::ranges::find(kernels::optimizers, execution.optimizer, &kernels::OptimizerDescription::name);
  base::expect(rule != kernels::optimizers.end(), "a rank's optimizer is known", execution.optimizer);
  return *rule;
}

KernelKey key_of(const Program& program, const Instruction& i, std::int64_t samples,
                 const Execution& execution) {
  auto key = key_by_kind(program, i, samples, execution.optimizer);
  key.implementation = execution.implementation;
  key.type = std::string(to_string(program.type));
  key.threads = execution.threads;
  key.active_ranks = execution.active_ranks;
  return key;
}

}  // namespace partita::cost
