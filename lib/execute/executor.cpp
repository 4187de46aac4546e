/// Walks a program's instructions on a host, and holds what a host and a device need alike: memory, transfers
/// on slots of the run, times of transfers on their own, the times of a step.
#include "partita/execute/executor.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "bound.hpp"
#include "partita/base/error.hpp"
#include "partita/step/counterparts.hpp"
#include "partita/step/position.hpp"
#include "resident_data.hpp"
#include "secure_sums.hpp"

namespace partita::execute {

using kernels::Bytes;
using step::Kind;

namespace {

step::Site site_of(comm::Axes& axes, const device::DeviceLinks& links) {
  const auto nodes = axes.world().nodes();
  step::Site site{.node_of = {nodes.begin(), nodes.end()}, .table = axes.world().table()};
  for (auto& [axis, communicator] : axes.all())
    if (links.along(axis) == device::DeviceLinks::Way::ipc) site.reached.insert(axis);
  return site;
}

}  // namespace

Executor::Executor(const step::Program& program, const model::ModelSpec& model, kernels::Backend& backend,
                   comm::Axes& axes, state::Parameters& parameters, Options options)
    : program_(program),
      model_(model),
      backend_(backend),
      device_(backend.device()),
      axes_(axes),
      clock_(axes.world().virtual_clock()),
      parameters_(parameters),
      options_(std::move(options)),
      step_memory_(device_, program.microbatches, options_.largest_batch),
      done_(device_.make_event()),
      links_(device_, axes, options_.device_messages, step_memory_.memory()),
      site_(site_of(axes, links_)),
      mirrors_(device_, links_),
      position_(axes.world().position()) {
  base::expect(clock_ == nullptr || device_.is_host(), "virtual time is that of hosts");
  base::expect(program.cadence.is_uniform() || device_.is_host(), "a device takes steps that are all alike");
  base::expect(!program.training || !program.compression.is_on() || backend.codecs() != nullptr,
               "gradients are encoded where there are codecs", backend.name());
  const auto& optimizer = parameters.optimizer();
  const bool takes_norms = kernels::describe(optimizer.rule).takes_norms;
  for (const auto& bucket : program.buckets)
    base::expect(!program.training || (bucket.tensor_squares.has_value() == takes_norms &&
                                       (program.scale_slot || !optimizer.clip_norm)),
                 "a program takes the norms that its optimizer asks for", to_string(optimizer.rule));
  if (clock_) {
    auto execution =
        cost::of_part(options_.execution, clock_->machine(), clock_->part(), axes.world().size());
    execution.crowding = clock_->crowding();
    kernel_times_.emplace(clock_->own(), execution);
  }
  std::vector<std::string> layers;
  for (const auto& layer : model.layers)
    layers.push_back(layer.name);
  axes.world().name_instructions(
      [layers](std::uint64_t position) { return step::name_of_position(position, layers); });
  for (const auto& instruction : program.instructions) {
    positions_.push_back(step::position_of(program, instruction));
    if (instruction.kind == Kind::loss) last_loss_ = &instruction;
  }
  base::expect(!options_.on_outputs || program.loss_placement.spread != step::Spread::channel,
               "outputs are seen where the plan keeps them whole");
  activation_bytes_ =
      step::plan_memory(program, axes.at().data, options_.largest_batch, memory::alignment).total;
  activations_ = memory::shareable(device_, activation_bytes_);
  links_.share(activations_.bytes());
  for (const auto& memory : parameters.shared_memory())
    links_.share(memory);
  Elements most{};
  for (const auto& unit : program.units)
    for (const auto& parameter : unit.local.parameters())
      if (!parameter.is_of_inputs) most = std::max(most, parameter.shape.elements());
  no_bias_ = memory::DeviceBuffer(device_, bytes_of(program.type, most));
  messages_ = memory::DeviceBuffer(device_, program.message_bytes);
  is_sent_.resize(program.slots.size());
  if (program.secret_losses) secure_sums_ = std::make_unique<SecureSums>(program, axes, options_.run);
  under_way_.resize(program.transfers.size());
  for (const auto& t : program.transfers) {
    const auto& slot = program.slots[t.slot];
    transfers_of_run_.push_back(slot.lifetime == step::Lifetime::run
                                    ? plan(t, options_.largest_batch, mirrors_, memory_of(slot), {})
                                    : nullptr);
  }
}

Executor::~Executor() = default;

View Executor::memory_of(const step::Slot& slot) const {
  if (slot.role == step::SlotRole::metric) return step_memory_.metric();
  if (slot.role == step::SlotRole::norm) return step_memory_.scale();  // the others live for a step
  if (slot.role == step::SlotRole::message)
    return messages_.view(slot.type, slot.fixed, bytes_of(slot.type, slot.first));
  return parameters_.memory_of(slot);
}

Executor::Bound& Executor::bind(std::int64_t batch) {
  auto& entry = bound_[batch];
  if (entry) return *entry;
  auto& ledger = axes_.world().ledger();
  const auto activity = ledger.activity();
  ledger.set_activity(collective::Activity::setup);  // the ranks agree on what they plan
  entry = std::make_unique<Bound>(*this, batch);
  ledger.set_activity(activity);
  if (entry->workspace.value() > static_cast<std::int64_t>(workspace_.bytes().size()))
    grow_workspace(entry->workspace);
  return *entry;
}

std::unique_ptr<comm::Collective> Executor::plan(const step::Transfer& t, std::int64_t batch,
                                                 device::Mirrors& mirrors, View view, View target) {
  auto& axis = axes_.along(t.axis);
  if (t.operation == collective::Operation::send)
    return axis.plan_send(mirrors.moved(t.axis, view), *t.peer, *t.tag, t.purpose);
  if (t.operation == collective::Operation::receive)
    return axis.plan_receive(mirrors.moved(t.axis, view), *t.peer, *t.tag, t.purpose);
  const auto [spec, at] = step::resolve(program_, t, axes_.world().rank(), batch, site_);
  const bool reduces = t.operation == collective::Operation::all_reduce ||
                       t.operation == collective::Operation::reduce_scatter;
  const View image = parameters_.image_of(program_.slots[t.slot]);
  const auto in = reduces || !image.empty() ? mirrors.reduced(t.axis, view, works_on_shared(spec), image)
                                            : mirrors.moved(t.axis, view);
  base::expect(view.empty() || axis.place(in) == at, "a buffer lies where its program says; transfer over",
               to_string(t.axis));
  return axis.plan(spec, in, t.target ? mirrors.moved(t.axis, target) : in, t.purpose);
}

/// What was recorded names the memory that goes.
void Executor::grow_workspace(Bytes bytes) {
  device_.synchronize();
  for (const auto& [batch, bound] : bound_)
    if (bound) bound->graphs.clear();
  workspace_ = memory::DeviceBuffer(device_, bytes);
}

comm::Collective& Executor::transfer(Bound& bound, step::TransferId id) {
  return transfers_of_run_[id] ? *transfers_of_run_[id] : *bound.transfers[id];
}

Bytes Executor::optimizer_state_bytes() const {
  Bytes bytes{};
  for (const auto state : parameters_.states())
    bytes += state.bytes();
  return bytes + bytes_of(program_.type, program_.outer_count) * 2;
}

Bytes Executor::communication_bytes() const {
  Bytes bytes{};
  for (const auto& t : transfers_of_run_)
    if (t) bytes += t->buffer_bytes();
  for (const auto& [batch, bound] : bound_)
    for (const auto& t : bound->transfers)
      if (t) bytes += t->buffer_bytes();
  return bytes;
}

std::vector<const comm::Collective*> Executor::reductions() const {
  std::vector<const comm::Collective*> all;
  for (const auto& t : transfers_of_run_)
    if (t && t->description().operation == collective::Operation::all_reduce) all.push_back(t.get());
  return all;
}

namespace {

/// The shortest of a few runs on its own.
double alone_seconds(comm::Collective& transfer, kernels::Device& device, const comm::Communicator& world) {
  double fastest = INFINITY;
  for (int repetition = 0; repetition < 3; ++repetition) {
    if (auto* const clock = world.virtual_clock()) clock->set(0);  // as if all ranks came together
    const double begin = world.now_seconds();
    transfer.start();
    transfer.wait();
    device.synchronize();
    fastest = std::min(fastest, world.now_seconds() - begin);
  }
  return fastest;
}

/// Gives a view on the host its values back in the end, once no rank of the axis reads it any more.
class Kept {
 public:
  Kept(View view, comm::Communicator& axis) : view_(view), axis_(axis) {
    const auto* const bytes = static_cast<const std::byte*>(view.data());
    if (!view.empty()) values_.assign(bytes, bytes + view.bytes().value());
  }
  ~Kept() {
    if (values_.empty()) return;
    axis_.barrier();
    std::ranges::copy(values_, static_cast<std::byte*>(view_.data()));
  }
  Kept(const Kept&) = delete;
  Kept& operator=(const Kept&) = delete;

 private:
  View view_;
  comm::Communicator& axis_;
  std::vector<std::byte> values_;
};

}  // namespace

/// Whether a transfer adds up in place what a step does not write anew before it uses it.
bool Executor::reduces_what_stays(const step::Transfer& t) const {
  if (t.operation != collective::Operation::all_reduce &&
      t.operation != collective::Operation::reduce_scatter)
    return false;
  const auto role = program_.slots[t.slot].role;
  const bool waits = program_.is_carried(t);
  return waits || role == step::SlotRole::parameters || role == step::SlotRole::optimizer_state;
}

/// An answer, which must not overwrite parameters, takes as long as a push of as many elements.
void Executor::calibrate_pushes(Bound& bound, const std::map<std::pair<int, int>, step::TransferId>& pushes) {
  std::map<std::pair<int, Elements>, double> alone;  // by peer and size
  const auto key_of = [&](const step::Transfer& t) {
    return std::pair(*t.peer, program_.slots[t.slot].fixed);
  };
  for (const auto& [order, i] : pushes) {
    const double seconds = alone_seconds(transfer(bound, i), device_, axes_.world());
    transfer(bound, i).set_alone_seconds(seconds);
    alone[key_of(program_.transfers[i])] = seconds;
  }
  for (const auto i : program_.transfers.ids())
    if (const auto& t = program_.transfers[i];
        step::is_message(t) && !t.microbatch && t.purpose == collective::Purpose::parameter)
      transfer(bound, i).set_alone_seconds(alone.at(key_of(t)));
}

void Executor::calibrate(std::int64_t batch) {
  Bound& bound = bind(batch);
  const auto begin = clock_ ? clock_->now() : 0;
  const comm::VirtualClock::Run runs(clock_);
  if (secure_sums_)  // what transfers find there now, nothing has masked
    for (auto* const memory : {&activations_, &messages_})
      std::ranges::fill(memory->bytes(), std::byte{});
  step::MicrobatchId largest;  // which stands for all
  for (const auto j : program_.microbatch_ids())
    if (bound.samples(j, false).size() > bound.samples(largest, false).size()) largest = j;
  std::map<int, double> of_boundary;         // by direction and boundary
  std::map<int, step::TransferId> messages;  // in order of their tags, which both ends go through alike
  std::map<std::pair<int, int>, step::TransferId> pushes;  // likewise, to or from each peer in its turn
  for (const auto i : program_.transfers.ids()) {
    const auto& t = program_.transfers[i];
    if (step::is_message(t)) {
      if (t.microbatch == largest) messages[*t.tag] = i;
      if (!t.microbatch && t.purpose != collective::Purpose::parameter) pushes[{*t.tag, *t.peer}] = i;
      continue;
    }
    const Kept kept(reduces_what_stays(t) ? bound.slot(t.slot) : View(), axes_.along(t.axis));
    axes_.along(t.axis).barrier();
    transfer(bound, i).set_alone_seconds(alone_seconds(transfer(bound, i), device_, axes_.world()));
  }
  for (const auto& [tag, i] : messages)
    of_boundary[tag / program_.microbatches] = alone_seconds(transfer(bound, i), device_, axes_.world());
  for (const auto i : program_.transfers.ids())
    if (const auto& t = program_.transfers[i]; step::is_message(t) && t.microbatch)
      transfer(bound, i).set_alone_seconds(of_boundary.at(*t.tag / program_.microbatches));
  calibrate_pushes(bound, pushes);
  if (clock_) clock_->set(begin);
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
      if (instruction.turn) {
        spans.awaiting += end - begin;
        return;
      }
      auto& times = spans.transfers[*instruction.transfer];
      times.wait_begin = begin;
      times.wait_end = end;
      return;
    }
    case Kind::start:
      spans.transfers[*instruction.transfer].started = begin;
      break;
    case Kind::convert:
    case Kind::pack:
    case Kind::unpack:
    case Kind::combine:
    case Kind::sum:
    case Kind::share:
    case Kind::average:
    case Kind::norm:
      break;
    case Kind::encode:
      spans.encode += end - begin;
      break;
    case Kind::decode:
      spans.decode += end - begin;
      break;
  }
  spans.other += end - begin;
}

void Executor::poison(std::size_t instruction, const Bound& bound) {
  const auto now = static_cast<int>(instruction);
  const auto lives = [&](step::SlotId s) {
    return program_.slots[s].lifetime == step::Lifetime::step && bound.lives[s];
  };
  for (const auto s : program_.slots.ids())
    if (lives(s) && bound.lives[s]->first == now) live_ += bound.slots[s].bytes();
  peak_live_ = std::max(peak_live_, live_);
  for (const auto s : program_.slots.ids())
    if (lives(s) && bound.lives[s]->last == now) {
      live_ -= bound.slots[s].bytes();
      fill_with_nan(bound.slots[s]);
    }
}

void Executor::fill_with_nan(View slot) {
  if (slot.empty()) return;
  if (slot.bytes() > nan_.size()) {
    device_.synchronize();
    nan_ = memory::PinnedBuffer(device_, slot.bytes());
    std::memset(nan_.bytes().data(), 0xFF, nan_.bytes().size());
  }
  device_.copy(kernels::Device::Queue::compute, slot, nan_.view(slot.type(), slot.size()));
}

kernels::ConstView Executor::on_host(kernels::ConstView view) {
  if (device_.is_host() || view.empty()) return view;
  if (view.bytes() > image_.size()) image_ = memory::PinnedBuffer(device_, view.bytes());
  const View image = image_.view(view.type(), view.size());
  device_.copy(kernels::Device::Queue::compute, image, view);
  device_.synchronize();
  return image;
}

kernels::LossSums Executor::run(const Batch& batch, const kernels::StepValues& values, StepSpans& spans,
                                step::StepKind kind) {
  Bound& bound = bind(static_cast<std::int64_t>(batch.indices.size()));
  spans.transfers.resize(program_.transfers.size());
  spans.progress = 0;
  if (times_) times_->clear();
  const comm::VirtualClock::Run runs(clock_);
  const double begin = spans.begin = axes_.world().now_seconds();
  step_memory_.begin(values, batch.indices);
  if (secure_sums_) secure_sums_->begin_pass();
  if (non_finite_step_) step_memory_.invalidate_sums();
  if (device_.is_host()) {
    walk(bound, batch, kind, begin, spans);
    if (clock_) clock_->pass_overhead(clock_->own().overheads.step_seconds);
    step_memory_.end();
  } else {
    issue(bound, batch, begin, spans);
  }
  if (!non_finite_step_) non_finite_step_ = step_memory_.reported_non_finite_step();
  return step_memory_.sums();
}

void Executor::start(Bound& bound, step::TransferId id) {
  transfer(bound, id).start();
  under_way_[id] = 1;
  ++count_under_way_;
}

/// What the step before started may have been waited for between the two.
void Executor::wait(Bound& bound, step::TransferId id) {
  if (std::exchange(under_way_[id], 0) == 0) {
    base::expect(program_.is_carried(program_.transfers[id]), "what is waited for was started", id);
    return;
  }
  transfer(bound, id).wait();
  --count_under_way_;
}

void Executor::settle() {
  if (count_under_way_ == 0) return;
  Bound& bound = bind(options_.largest_batch);  // what is under way between steps is of slots of the run
  for (const auto id : under_way_.ids())
    if (under_way_[id]) wait(bound, id);
  decode_what_waits(bound);
}

void Executor::walk(Bound& bound, const Batch& batch, step::StepKind kind, double begin, StepSpans& spans) {
  if (times_) times_->resize(program_.instructions.size());
  for (std::size_t i = 0; i < program_.instructions.size(); ++i) {
    const auto& instruction = program_.instructions[i];
    position_.set(positions_[i]);
    // Who looks for what is not finite changes nothing that stays.
    const bool averages =
        inspects_ && communicates(instruction) &&
        program_.transfers[*instruction.transfer].operation == collective::Operation::all_reduce &&
        program_.transfers[*instruction.transfer].purpose == collective::Purpose::parameter;
    if (!instruction.in.has(kind) || averages) {
      if (times_) (*times_)[i] = {begin, begin};
    } else {
      begin = carry_out(i, bound, batch, begin, spans);
    }
    if (options_.poison_released) poison(i, bound);
  }
  spans.end = begin;
}

double Executor::carry_out(std::size_t number, Bound& bound, const Batch& batch, double begin,
                           StepSpans& spans) {
  const auto& instruction = program_.instructions[number];
  const auto& world = axes_.world();
  double progressed = 0;
  if (communicates(instruction) && options_.instead_of_kernels) options_.instead_of_kernels(instruction);
  if (instruction.kind == Kind::start) {
    start(bound, *instruction.transfer);
  } else if (instruction.kind == Kind::wait) {
    wait(bound, *instruction.transfer);
  } else {
    do_compute(instruction, bound, batch);
    if (count_under_way_ > 0) {
      progressed = -world.now_seconds();
      world.progress();
    }
  }
  const double now = world.now_seconds();
  if (progressed < 0) progressed += now;
  const double end = now - progressed;  // moving data is no part of the kernel before
  spans.progress += progressed;
  keep_time(instruction, begin, end, spans);
  if (times_) (*times_)[number] = {begin, end};
  return now;
}

void Executor::run_turn(const step::Turn& turn, const kernels::StepValues& values, StepSpans& spans) {
  Bound& bound = bind(options_.largest_batch);
  spans.transfers.resize(program_.transfers.size());
  const comm::VirtualClock::Run runs(clock_);
  double begin = axes_.world().now_seconds();
  if (times_) times_->resize(program_.instructions.size());
  step_memory_.begin(values, {});
  for (std::size_t i = 0; i < program_.instructions.size(); ++i) {
    if (program_.instructions[i].turn != turn) continue;
    position_.set(positions_[i]);
    begin = carry_out(i, bound, {}, begin, spans);
  }
  step_memory_.end();
  if (!non_finite_step_) non_finite_step_ = step_memory_.reported_non_finite_step();
}

template <class Act>
void Executor::for_each_of_push(int worker, const Act& act) {
  Bound& bound = bind(options_.largest_batch);
  for (const auto& instruction : program_.instructions)
    if (instruction.turn == step::Turn{worker, step::TurnPart::receive})
      act(transfer(bound, *instruction.transfer));
}

comm::Collective* Executor::missing_of_push(int worker) {
  comm::Collective* missing = nullptr;
  for_each_of_push(worker, [&](comm::Collective& receive) {
    if (missing == nullptr && !receive.test()) missing = &receive;
  });
  return missing;
}

double Executor::meet_push(int worker) {
  const double begin = axes_.world().now_seconds();
  for_each_of_push(worker, [](comm::Collective& receive) { receive.catch_up(); });
  return axes_.world().now_seconds() - begin;
}

bool Executor::has_push(int worker) { return missing_of_push(worker) == nullptr; }

double Executor::wait_for_push(int worker, const std::function<bool()>& done) {
  const double begin = axes_.world().now_seconds();
  if (auto* const missing = missing_of_push(worker)) missing->wait_until(done);
  return axes_.world().now_seconds() - begin;
}

void Executor::let_pass(const step::Instruction& instruction, const Bound& bound) {
  const auto samples = program_.samples_of(instruction.microbatch, axes_.world().rank(), bound.batch);
  auto& of_batch =
      program_times_.try_emplace(bound.batch, *kernel_times_, program_, bound.batch).first->second;
  clock_->pass(of_batch.of(instruction, samples).time);
}

void Executor::do_compute(const step::Instruction& instruction, Bound& bound, const Batch& batch) {
  if (options_.instead_of_kernels) {
    options_.instead_of_kernels(instruction);
  } else {
    compute(instruction, bound, batch);
    if (clock_) let_pass(instruction, bound);
  }
  if (inspects_) inspect(instruction, bound);
}

}  // namespace partita::execute
