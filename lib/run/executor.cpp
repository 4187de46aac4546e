#include "partita/run/executor.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

#include "bound.hpp"
#include "partita/base/clock.hpp"
#include "partita/base/error.hpp"
#include "partita/data/batch.hpp"
#include "partita/step/counterparts.hpp"
#include "partita/step/position.hpp"

namespace partita::run {

using kernels::Bytes;
using kernels::Write;
using step::Kind;
using step::Phase;

Executor::Executor(const step::Program& program, const model::ModelSpec& model, kernels::Backend& backend,
                   Axes& axes, Parameters& parameters, Options options)
    : program_(program),
      model_(model),
      backend_(backend),
      axes_(axes),
      parameters_(parameters),
      options_(std::move(options)),
      loss_levels_(static_cast<std::size_t>(program.gradient_levels)),
      position_(axes.world().position()) {
  std::vector<std::string> layers;
  for (const auto& layer : model.layers)
    layers.push_back(layer.name);
  axes.world().name_instructions(
      [layers](std::uint64_t position) { return step::name_of_position(position, layers); });
  for (const auto& instruction : program.instructions)
    positions_.push_back(step::position_of(program, instruction));
  base::expect(!options_.on_outputs || program.loss_placement.spread != step::Spread::channel,
               "outputs are seen where the plan keeps them whole");
  activation_bytes_ =
      step::plan_memory(program, axes.at().data, options_.largest_batch, memory::alignment).total;
  activations_ = memory::HostBuffer(activation_bytes_);
  Elements most{};
  for (const auto& range : program.parameters)
    most = std::max(most, range.bias_count);
  no_bias_ = memory::HostBuffer(bytes_of(program.type, most));
  for (const auto& t : program.transfers) {
    fixed_.push_back(nullptr);
    if (t.microbatch >= 0) continue;
    const View whole = t.slot == program.metric_slot ? View(std::span(metric_)) : parameters.gradients();
    fixed_.back() = axes.along(t.axis).plan_all_reduce(whole.slice(t.first, t.count), comm::Combine::sum,
                                                       options_.algorithm, t.purpose);
  }
}

Executor::~Executor() = default;

Executor::Bound& Executor::bind(std::int64_t batch) {
  auto& entry = bound_[batch];
  if (entry) return *entry;
  auto& ledger = axes_.world().ledger();
  const auto activity = ledger.activity();
  ledger.set_activity(collective::Activity::setup);  // the ranks agree on what they plan
  entry = std::make_unique<Bound>(*this, batch);
  ledger.set_activity(activity);
  if (entry->workspace.value() > static_cast<std::int64_t>(workspace_.bytes().size()))
    workspace_ = memory::HostBuffer(entry->workspace);
  return *entry;
}

comm::Collective& Executor::transfer(Bound& bound, int id) {
  const auto i = static_cast<std::size_t>(id);
  return fixed_[i] ? *fixed_[i] : *bound.transfers[i];
}

Bytes Executor::communication_bytes() const {
  Bytes bytes{};
  for (const auto& t : fixed_)
    if (t) bytes += t->buffer_bytes();
  for (const auto& [batch, bound] : bound_)
    for (const auto& t : bound->transfers)
      if (t) bytes += t->buffer_bytes();
  return bytes;
}

std::vector<const comm::Collective*> Executor::reductions() const {
  std::vector<const comm::Collective*> all;
  for (const auto& t : fixed_)
    if (t) all.push_back(t.get());
  return all;
}

namespace {

/// The shortest of a few runs on its own.
double alone_seconds(comm::Collective& transfer) {
  double fastest = INFINITY;
  for (int repetition = 0; repetition < 3; ++repetition) {
    const double begin = base::now_seconds();
    transfer.start();
    transfer.wait();
    fastest = std::min(fastest, base::now_seconds() - begin);
  }
  return fastest;
}

}  // namespace

void Executor::calibrate(std::int64_t batch) {
  Bound& bound = bind(batch);
  int largest = 0;  // micro-batch, which stands for all
  for (int j = 1; j < program_.microbatches; ++j)
    if (bound.samples(j, false).size() > bound.samples(largest, false).size()) largest = j;
  std::map<int, double> of_boundary;  // by direction and boundary
  std::map<int, int> messages;        // in order of their tags, which both ends go through alike
  for (int i = 0; i < static_cast<int>(program_.transfers.size()); ++i) {
    const auto& t = program_.transfers[static_cast<std::size_t>(i)];
    if (step::is_message(t)) {
      if (t.microbatch == largest) messages[t.tag] = i;
      continue;
    }
    axes_.along(t.axis).barrier();
    transfer(bound, i).set_alone_seconds(alone_seconds(transfer(bound, i)));
  }
  for (const auto& [tag, i] : messages)
    of_boundary[tag / program_.microbatches] = alone_seconds(transfer(bound, i));
  for (int i = 0; i < static_cast<int>(program_.transfers.size()); ++i)
    if (const auto& t = program_.transfers[static_cast<std::size_t>(i)]; step::is_message(t))
      transfer(bound, i).set_alone_seconds(of_boundary.at(t.tag / program_.microbatches));
}

void Executor::load(const step::Instruction& instruction, Bound& bound, const Batch& batch) {
  const int target = instruction.writes.front();
  const auto& slot = program_.slots[static_cast<std::size_t>(target)];
  const auto range = bound.samples(instruction.microbatch, slot.batch_share);
  const auto indices =
      batch.indices.subspan(static_cast<std::size_t>(range.begin), static_cast<std::size_t>(range.size()));
  if (slot.role == step::SlotRole::labels)
    return data::fill_answers(*batch.dataset, indices, bound.slot(target));
  data::fill_samples(*batch.dataset, indices,
                     model_.input.rank() == 3 ? program_.layout : kernels::Layout::nchw, bound.slot(target));
}

void Executor::loss(const step::Instruction& instruction, Bound& bound, const Batch& batch) {
  const auto j = static_cast<std::size_t>(instruction.microbatch);
  const auto& placement = program_.loss_placement;
  const View logits = bound.slot(program_.loss_slot[j]), labels = bound.slot(program_.labels_slot[j]);
  const View gradient = program_.training ? bound.slot(program_.loss_gradient_slot[j]) : View();
  const auto samples = bound.samples(instruction.microbatch, placement.spread == step::Spread::batch);
  const auto n = samples.size();
  if (options_.on_outputs) options_.on_outputs({.samples = samples, .values = logits});
  const double scale = 1.0 / static_cast<double>(batch.divisor);
  const auto outputs = model_.layers.back().output.elements().value();
  kernels::LossSums sums;
  if (placement.spread == step::Spread::channel) {
    const auto me = static_cast<std::size_t>(program_.at.tensor);
    const auto first = placement.offsets[me], classes = placement.offsets[me + 1] - first;
    const View statistics = bound.slot(program_.statistics_slot[j]);
    if (instruction.phase == Phase::statistics)
      return backend_.cross_entropy_statistics(
          n, classes, first, logits, labels,
          statistics.slice(Elements(3 * n * program_.at.tensor), Elements(3 * n)));
    sums = backend_.cross_entropy_finish(n, classes, first, placement.offsets, statistics, logits, labels,
                                         scale, gradient);
  } else if (model_.loss == model::Loss::cross_entropy) {
    sums = backend_.cross_entropy(n, outputs, logits, labels, scale, gradient);
  } else {
    sums = backend_.mean_squared_error(n, outputs, logits, labels, scale, gradient);
  }
  add_to_metric(instruction.microbatch, sums);
}

/// In the deterministic mode in the tree of the gradients, else one after the other.
void Executor::add_to_metric(int microbatch, const kernels::LossSums& sums) {
  metric_[1] += static_cast<double>(sums.correct);
  if (program_.gradient_levels == 1) {
    metric_[0] += sums.loss;
    return;
  }
  const auto grain = static_cast<unsigned>(microbatch);
  auto level = static_cast<std::size_t>(std::popcount(grain));
  loss_levels_[level] = sums.loss;
  for (int carries = std::countr_one(grain); carries > 0; --carries, --level)
    loss_levels_[level - 1] += loss_levels_[level];
  metric_[0] = lost_step_ ? NAN : loss_levels_[0];
}

void Executor::move(const step::Instruction& instruction, Bound& bound) {
  const auto& conversion = program_.conversions[static_cast<std::size_t>(instruction.conversion)];
  const auto& moves = bound.moves[static_cast<std::size_t>(instruction.conversion)];
  const View target = bound.slot(instruction.writes.front());
  if (step::exchange_of(conversion.from, conversion.to) == step::Exchange::keep) {
    if (program_.at.tensor > 0) backend_.zero(target);
    return;
  }
  const bool packs = instruction.kind == Kind::pack;
  if (!packs && step::zeroes_target(conversion)) backend_.zero(target);
  const View source = bound.slot(instruction.reads.back());
  const View buffer = packs ? source : bound.slot(instruction.reads.front());
  for (const auto& m : packs ? moves.pack : moves.unpack)
    backend_.copy_block(m.extents, m.source, m.from == step::Memory::buffer ? buffer : source, m.target,
                        target, m.add ? Write::accumulate : Write::overwrite);
}

nn::StepPosition Executor::position_in(const Bound& bound, const step::Instruction& instruction,
                                       const Batch& batch) const {
  const auto& unit = program_.units[static_cast<std::size_t>(instruction.unit)];
  return {.seed = batch.seed,
          .step = batch.step,
          .first_sample = kernels::Samples(
              bound.samples(instruction.microbatch, unit.variant == step::Variant::batch).begin)};
}

void Executor::compute(const step::Instruction& instruction, Bound& bound, const Batch& batch,
                       const kernels::SgdStep& optimizer) {
  switch (instruction.kind) {
    case Kind::load:
      return load(instruction, bound, batch);
    case Kind::loss:
      return loss(instruction, bound, batch);
    case Kind::convert:
    case Kind::pack:
    case Kind::unpack:
      return move(instruction, bound);
    case Kind::forward:
    case Kind::backward: {
      const auto i = bound.at(instruction.unit, instruction.microbatch);
      const auto& t = bound.tensors[i];
      const auto position = position_in(bound, instruction, batch);
      if (instruction.kind == Kind::forward)
        return bound.operators[i]->forward(t, position, workspace_.bytes());
      if (instruction.phase == Phase::activation) return backend_.relu_backward(t.y, t.dy, t.dy);
      if (instruction.phase == Phase::parameters) {
        auto gradients = t;
        const auto& range = program_.parameters[static_cast<std::size_t>(instruction.unit)];
        gradients.dweight = weight_of(parameters_.gradients(instruction.level), range);
        gradients.dbias = bias_of(parameters_.gradients(instruction.level), range);
        return bound.operators[i]->backward_parameters(
            gradients, instruction.accumulates ? Write::accumulate : Write::overwrite, workspace_.bytes());
      }
      return bound.operators[i]->backward_data(t, position, workspace_.bytes());
    }
    case Kind::update:
      return update(instruction, batch, optimizer);
    case Kind::combine: {
      const auto& range = program_.chunk_gradients[static_cast<std::size_t>(instruction.chunk)];
      const kernels::StridedBlock contiguous{.strides = {0, 0, 0, 1}};
      return backend_.copy_block(
          {1, 1, 1, range.count.value()}, contiguous,
          parameters_.gradients(instruction.level).slice(range.first, range.count), contiguous,
          parameters_.gradients(instruction.level - 1).slice(range.first, range.count), Write::accumulate);
    }
    case Kind::start:
    case Kind::wait:
      break;
  }
  throw base::ContractError("a compute instruction was expected");
}

void Executor::keep_time(const step::Instruction& instruction, double begin, double end, StepSpans& spans) {
  switch (instruction.kind) {
    case Kind::load:
      spans.load += end - begin;
      return;
    case Kind::forward:
    case Kind::loss:
      spans.forward += end - begin;
      return;
    case Kind::backward:
      spans.backward += end - begin;
      return;
    case Kind::update:
      spans.update += end - begin;
      return;
    case Kind::wait: {
      auto& times = spans.transfers[static_cast<std::size_t>(instruction.transfer)];
      times.wait_begin = begin;
      times.wait_end = end;
      return;
    }
    case Kind::start:
      spans.transfers[static_cast<std::size_t>(instruction.transfer)].started = begin;
      break;
    case Kind::convert:
    case Kind::pack:
    case Kind::unpack:
    case Kind::combine:
      break;
  }
  spans.other += end - begin;
}

void Executor::poison(std::size_t instruction, const Bound& bound) {
  const auto now = static_cast<int>(instruction);
  for (std::size_t s = 0; s < program_.slots.size(); ++s)
    if (program_.slots[s].transient() && bound.lives[s].first == now) live_ += bound.slots[s].bytes();
  peak_live_ = std::max(peak_live_, live_);
  for (std::size_t s = 0; s < program_.slots.size(); ++s)
    if (program_.slots[s].transient() && bound.lives[s].first >= 0 && bound.lives[s].last == now) {
      live_ -= bound.slots[s].bytes();
      if (!bound.slots[s].empty())
        std::memset(bound.slots[s].data(), 0xFF, static_cast<std::size_t>(bound.slots[s].bytes().value()));
    }
}

kernels::LossSums Executor::run(const Batch& batch, const kernels::SgdStep& optimizer, StepSpans& spans) {
  Bound& bound = bind(static_cast<std::int64_t>(batch.indices.size()));
  spans.transfers.resize(program_.transfers.size());
  spans.progress = 0;
  if (times_) times_->clear();
  metric_ = {lost_step_ ? NAN : 0.0, 0.0};
  int in_flight = 0;
  double begin = base::now_seconds();
  const std::uint64_t* where = positions_.data();
  for (const auto& instruction : program_.instructions) {
    position_.set(*where++);
    double progressed = 0;
    if (instruction.kind == Kind::start) {
      transfer(bound, instruction.transfer).start();
      ++in_flight;
    } else if (instruction.kind == Kind::wait) {
      transfer(bound, instruction.transfer).wait();
      --in_flight;
    } else {
      if (options_.instead_of_kernels)
        options_.instead_of_kernels(instruction);
      else
        compute(instruction, bound, batch, optimizer);
      if (inspects_) inspect(instruction, bound, batch);
      if (in_flight > 0) {
        progressed = -base::now_seconds();
        axes_.world().progress();
      }
    }
    const double now = base::now_seconds();
    if (progressed < 0) progressed += now;
    const double end = now - progressed;  // moving data is no part of the kernel before
    spans.progress += progressed;
    keep_time(instruction, begin, end, spans);
    if (times_) times_->push_back({begin, end});
    if (options_.poison_released)
      poison(static_cast<std::size_t>(&instruction - program_.instructions.data()), bound);
    begin = now;
  }
  return {.loss = metric_[0], .correct = static_cast<std::int64_t>(metric_[1])};
}

}  // namespace partita::run
