/// Counts operations and bytes, by layer and pass and by kind of instruction.
#include "partita/cost/work.hpp"

#include <algorithm>

#include "partita/step/compression.hpp"

namespace partita::cost {
namespace {

using kernels::Bytes;
using kernels::DataType;
using kernels::Elements;
using step::Instruction;
using step::Kind;
using step::Phase;
using step::Program;

/// One pass of an element-wise layer over `elements`, of which it reads and writes `operands`.
Work element_wise(Elements elements, int operands, DataType type) {
  return {.flops = static_cast<double>(elements.value()), .cache = bytes_of(type, elements * operands)};
}

/// The ReLU that a unit applies to its output at no call of its own.
Work relu_inside(const step::Unit& unit, std::int64_t samples, DataType type) {
  return unit.fused_relu ? element_wise(unit.local.output.elements() * samples, 0, type) : Work{};
}

/// Whether an instruction takes the gradients of parameters from sums that stand already.
bool only_takes_sums(const Program& program, const Instruction& i) {
  return i.phase == Phase::parameters && program.tensors[*i.unit][*i.microbatch].statistics;
}

/// Which part of a pass over a unit an instruction is. A pass that needs statistics takes them in its first
/// half; those of gradients are the pass for the parameters, where there are some to train.
double part_of_pass(const Program& program, const Instruction& i) {
  if (!program.tensors[*i.unit][*i.microbatch].statistics) return 1;
  const bool trained = program.units[*i.unit].local.is_trained();
  return i.kind == Kind::backward && trained ? 1 : 0.5;
}

Bytes touched_by(const Program& program, const Instruction& i, std::int64_t samples) {
  Bytes bytes{};
  for (const auto* touched : {&i.reads, &i.writes})
    for (const auto s : *touched) {
      const auto& slot = program.slots[s];
      bytes += bytes_of(slot.type, program.elements(slot, samples));
    }
  return bytes;
}

Work of_unit(const Program& program, const Instruction& i, std::int64_t samples) {
  const auto& unit = program.units[*i.unit];
  const auto mine = samples_of(program, unit, samples);
  if (mine == 0) return {};
  if (i.phase == Phase::activation) {
    auto work = element_wise(unit.local.output.elements() * mine, 3, program.type);
    work.calls = 1;
    return work;
  }
  if (only_takes_sums(program, i)) return {.cache = touched_by(program, i, samples), .calls = 1};
  auto work = work_of(unit.local, mine, program.type);
  work.flops *= part_of_pass(program, i);
  if (i.kind == Kind::forward && i.phase != Phase::statistics) work += relu_inside(unit, mine, program.type);
  return work;
}

Work of_norm(const Program& program, const Instruction& i, std::int64_t samples) {
  if (i.phase == Phase::finish) return {.cache = touched_by(program, i, samples), .calls = 1};
  const auto [elements, tensors] = squared_by(program, i);
  return {.flops = 2 * static_cast<double>(elements.value()),
          .main = bytes_of(program.type, elements),
          .calls = tensors};
}

/// Of ChaCha20 a word of the stream: 80 quarter rounds of 12 operations, and 16 additions, make 16 words.
constexpr double operations_of_word = 61;

/// A value is read and written once, and once more where something is left of it; by powersgd each value
/// enters a product for each column of the factors.
Work of_code(const Program& program, const Instruction& i) {
  const auto [values, pieces] = coded_by(program, i);
  if (program.compression.is_secure()) {
    const auto streams = i.kind == Kind::encode ? static_cast<double>(pieces) : 0;
    return {.flops = (4 + operations_of_word * streams) * static_cast<double>(values.value()),
            .main = bytes_of(program.type, values) + bytes_of(DataType::int32, values),
            .calls = pieces};
  }
  const bool leaves = i.kind == Kind::encode && program.compression.residuals;
  const double products =
      program.compression.codec == kernels::Codec::powersgd ? 2 * static_cast<double>(pieces) : 4;
  return {.flops = products * static_cast<double>(values.value()),
          .main = bytes_of(program.type, values * (leaves ? 4 : 2)),
          .calls = pieces};
}

}  // namespace

Squared squared_by(const Program& program, const Instruction& i) {
  Squared squared;
  if (!i.bucket) return squared;
  const auto& bucket = program.buckets[*i.bucket];
  const bool shared = contains(bucket.axis, topology::Axis::tensor) && !program.norms_by_layer;
  for (const auto& tensor : bucket.tensors)
    if (shared || tensor.is_own) squared.elements += tensor.count, ++squared.tensors;
  const std::int64_t ranks = shared ? program.grid.tensor : 1;
  squared.elements = bucket.is_split ? std::min(squared.elements, bucket.share)
                                     : Elements((squared.elements.value() + ranks - 1) / ranks);
  return squared;
}

namespace {

Coded masked_by(const Program& program, const Instruction& i) {
  const bool encodes = i.kind == Kind::encode;
  const auto& message = program.slots[(encodes ? i.writes : i.reads).front()];
  const auto axis = i.bucket ? program.buckets[*i.bucket].axis : program.secret_losses->axis;
  const auto sums = i.bucket && !encodes ? program.buckets[*i.bucket].share : message.fixed;
  return {.values = Elements(bytes_of(message.type, sums).value() / size_of(DataType::int32)),
          .pieces = encodes ? program.grid.along(axis) - 1 : 1};
}

}  // namespace

/// Of a worker what it pushes to each server, of a server what one worker does.
Coded pushed_by(const Program& program, const Instruction& i) {
  const auto& bucket = program.buckets[*i.bucket];
  Coded coded;
  const int first = program.serves() ? program.at.data : program.workers();
  for (int server = first; server < (program.serves() ? first + 1 : program.grid.data); ++server)
    for (const auto& part : parts_of_push(program, bucket, server)) {
      const bool of_kept = program.serves() && program.compression.codec == kernels::Codec::topk;
      coded.values += Elements(of_kept ? part.bytes / 8 : part.values.size());
      ++coded.pieces;
    }
  return coded;
}

Coded coded_by(const Program& program, const Instruction& i) {
  if (program.compression.is_secure()) return masked_by(program, i);
  if (program.servers > 0) return pushed_by(program, i);
  const auto& bucket = program.buckets[*i.bucket];
  const std::int64_t ranks = program.grid.along(bucket.axis);
  const bool encodes = i.kind == Kind::encode, first = i.phase == Phase::none;
  const Elements share((bucket.count.value() + ranks - 1) / ranks);
  switch (program.compression.codec) {
    case kernels::Codec::powersgd:
      return {bucket.count, program.compression.rank};
    case kernels::Codec::topk: {
      Elements kept{};
      for (const auto& tensor : parts_of_all(program, bucket))
        kept += Elements(tensor.bytes / 8);
      const auto tensors = std::ssize(bucket.tensors);
      return encodes ? Coded{bucket.count, tensors} : Coded{kept * ranks, tensors * ranks};
    }
    default:
      break;
  }
  const auto parts = std::ssize(parts_of_all(program, bucket));
  if (!scatters_codes(program, bucket))
    return encodes ? Coded{bucket.count, parts} : Coded{bucket.count * ranks, parts * ranks};
  if (first) return {share * (ranks - 1), parts * (ranks - 1)};
  return encodes ? Coded{share, parts} : Coded{bucket.count, parts * ranks};
}

std::int64_t samples_of(const Program& program, const step::Unit& unit, std::int64_t samples) {
  if (unit.idle) return 0;
  if (!step::cuts_of(unit.variant).samples) return samples;
  return topology::share(program.at.tensor, program.grid.tensor, samples).size();
}

Work& Work::operator+=(const Work& other) {
  flops += other.flops;
  cache += other.cache;
  main += other.main;
  calls += other.calls;
  return *this;
}

Work work_of(const model::Layer& layer, std::int64_t samples, DataType type) {
  // Of each pass one operand is like the input, one like the output, one like the parameters.
  const auto operands =
      (layer.input.elements() + layer.output.elements()) * samples + layer.parameter_elements();
  return {.flops = layer.forward_flops() * static_cast<double>(samples),
          .cache = bytes_of(type, operands),
          .calls = 1};
}

bool moves_states(const kernels::OptimizerDescription& rule, Phase phase) {
  return phase == Phase::statistics ? rule.has_direction : phase == Phase::none || !rule.has_direction;
}

Work work_of_update(Elements parameters, DataType type, const kernels::OptimizerDescription& rule,
                    Phase phase) {
  const bool takes_norms = phase == Phase::statistics;
  std::int64_t vectors = takes_norms ? 2 : 3;
  if (moves_states(rule, phase)) vectors += 2 * std::ssize(rule.states) + (takes_norms ? 3 : 0);
  return {.flops = 6 * static_cast<double>(parameters.value()),
          .main = bytes_of(type, parameters * vectors),
          .calls = 1};
}

Work work_of(const Program& program, const Instruction& i, std::int64_t samples) {
  switch (i.kind) {
    case Kind::forward:
    case Kind::backward:
      return of_unit(program, i, samples);
    case Kind::norm:
      return of_norm(program, i, samples);
    case Kind::update:
      return work_of_update(program.buckets[*i.bucket].share, program.type);
    case Kind::encode:
    case Kind::decode:
      return of_code(program, i);
    case Kind::average: {
      const auto values = program.buckets[*i.bucket].count * std::ssize(i.writes);
      return {.flops = 3 * static_cast<double>(values.value()),
              .main = bytes_of(program.type, values * 2),
              .calls = 1};
    }
    case Kind::sum: {
      const auto added = program.buckets[*i.bucket].share * (std::ssize(i.reads) - 1);
      return {.flops = static_cast<double>(added.value()),
              .main = bytes_of(program.type, added * 3),
              .calls = std::ssize(i.reads) - 1};
    }
    case Kind::share:
      return {.main = bytes_of(program.type, program.buckets[*i.bucket].share * 2), .calls = 1};
    case Kind::combine: {
      Elements gradients{};
      for (const auto& part : program.chunk_gradients[*i.chunk])
        gradients += part.count;
      return {.flops = static_cast<double>(gradients.value()),
              .main = bytes_of(program.type, gradients * 3),
              .calls = 1};
    }
    case Kind::load:
      return {.main = touched_by(program, i, samples) * 2, .calls = 1};
    case Kind::loss:
    case Kind::convert:
    case Kind::pack:
    case Kind::unpack:
      return {.cache = touched_by(program, i, samples), .calls = 1};
    case Kind::start:
    case Kind::wait:
      break;
  }
  return {};
}

double flops_of_sample(const model::ModelSpec& model, int layer) {
  const auto& whole = model.layers[static_cast<std::size_t>(layer)];
  return model::passes_over(model, layer) * work_of(whole, 1, DataType::float32).flops;
}

double flops_of_sample(const model::ModelSpec& model) {
  double flops = 0;
  for (int l = 0; l < static_cast<int>(model.layers.size()); ++l)
    flops += flops_of_sample(model, l);
  return flops;
}

}  // namespace partita::cost
