/// What lasts from step to step, on a host and on a device alike: memory, links to other ranks, transfers on
/// slots of the run, programs bound to batch sizes. A host walks steps (`walk.cpp`) and a server's turns
/// (`turns.cpp`), to a device they are issued (`issue.cpp`); what instructions compute is in `compute.cpp`,
/// `codes.cpp`, `averaging.cpp`, and what transfers take alone in `alone.cpp`.
#include "partita/execute/executor.hpp"

#include <algorithm>

#include "bound.hpp"
#include "partita/base/error.hpp"
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
  if (program.secret_losses) secure_sums_ = std::make_unique<SecureSums>(program, axes, options_.config_hash);
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

kernels::ConstView Executor::on_host(kernels::ConstView view) {
  if (device_.is_host() || view.empty()) return view;
  if (view.bytes() > image_.size()) image_ = memory::PinnedBuffer(device_, view.bytes());
  const View image = image_.view(view.type(), view.size());
  device_.copy(kernels::Device::Queue::compute, image, view);
  device_.synchronize();
  return image;
}

}  // namespace partita::execute
