/// Where weights, gradients and the optimizer's states lie on a host and on a device, and how the elements of
/// a rank's flat vector and those of the model's whole tensors correspond.
#include "partita/state/parameters.hpp"

#include <algorithm>
#include <cstring>
#include <map>
#include <string>

#include "partita/base/error.hpp"
#include "partita/kernels/philox.hpp"
#include "partita/step/compression.hpp"
#include "values.hpp"

namespace partita::state {

using step::SlotRole;

namespace {

/// Calls `each(flat index, logical index)` for the elements of a piece.
template <class Each>
void for_each_element(const step::Piece& piece, const model::ModelSpec& model, Each each) {
  const auto& layer = model.layers[static_cast<std::size_t>(piece.layer)];
  const auto columns = layer.parameters()[static_cast<std::size_t>(piece.tensor)].columns();
  for (std::int64_t i = 0; i < piece.elements().value(); ++i)
    each(piece.flat.value() + i,
         (piece.first_row + i / piece.columns) * columns + piece.first_column + i % piece.columns);
}

/// How much of the vector of a role its slots in the window reach.
Elements in_window(const step::Program& program, step::SlotRole role) {
  Elements end{};
  for (const auto& slot : program.slots)
    if (slot.role == role && slot.in_window) end = std::max(end, slot.first + slot.fixed);
  return end;
}

/// Among what checkpoints store.
constexpr std::string_view waiting_gradient = "waiting_gradient";

/// Small gradients are multiplied by it before fp16 rounds them (Micikevicius et al. 2018, arXiv:1710.03740).
constexpr double first_loss_scale = 65536;

kernels::Bytes bytes_of_codecs(const step::Program& program) {
  const auto scale =
      program.loss_scale_slot ? bytes_of(kernels::DataType::float64, Elements(2)) : kernels::Bytes(0);
  return memory::padded(bytes_of(program.type, program.residual_count)) +
         memory::padded(bytes_of(program.type, program.basis_count)) + memory::padded(scale);
}

}  // namespace

Parameters::Parameters(const step::Program& program, kernels::Device& device, comm::Communicator& data_axis,
                       const kernels::OptimizerSpec& optimizer)
    : device_(device), optimizer_(optimizer), data_rank_(data_axis.rank()) {
  const auto type = program.type;
  const auto names = kernels::states_of(optimizer.rule);
  const bool is_host = device.is_host();
  // Of a host the slots themselves lie in the window, of a device their images; of secure sums nothing does.
  const bool in_private = !is_host || program.compression.is_secure();
  const Elements gradients =
      in_private ? in_window(program, SlotRole::parameter_gradients) : program.gradient_count;
  Elements weights = in_window(program, SlotRole::parameters);
  const bool in_storage = !is_host || weights == Elements(0);
  if (!in_storage) weights = program.held_count;  // a vector is in one piece
  const auto window_bytes =
      memory::padded(bytes_of(type, gradients)) + memory::padded(bytes_of(type, weights));
  window_ = data_axis.allocate_shared(window_bytes);
  const View window = window_.view(kernels::DataType::uint8, Elements(window_bytes.value()));
  memory::Arena shared(
      {static_cast<std::byte*>(window.data()), static_cast<std::size_t>(window_bytes.value())});
  gradients_ = gradient_images_ = shared.allocate(type, gradients);
  weights_ = weight_images_ = shared.allocate(type, weights);

  const auto weight_bytes =
      in_storage ? memory::padded(bytes_of(type, program.held_count)) : kernels::Bytes(0);
  storage_ = memory::shareable(
      device, weight_bytes + memory::padded(bytes_of(type, program.state_count)) * std::ssize(names) +
                  memory::padded(bytes_of(type, program.outer_count)) * 2 + bytes_of_codecs(program) +
                  memory::padded(bytes_of(kernels::DataType::float64, program.pushed_metric_count)));
  memory::Arena arena(storage_.bytes());
  if (in_storage) weights_ = arena.allocate(type, program.held_count);
  for (std::size_t s = 0; s < names.size(); ++s)
    states_.push_back(arena.allocate(type, program.state_count));
  anchors_ = arena.allocate(type, program.outer_count);
  outer_velocity_ = arena.allocate(type, program.outer_count);
  has_outer_steps_ = program.cadence.local.has_outer_step();
  residuals_ = arena.allocate(type, program.residual_count);
  basis_ = arena.allocate(type, program.basis_count);
  pushed_metrics_ = arena.allocate(kernels::DataType::float64, program.pushed_metric_count);
  if (program.loss_scale_slot) {
    loss_scale_ = arena.allocate(kernels::DataType::float64, Elements(2));
    loss_scale_.as<double>()[0] = first_loss_scale;
  }
  if (in_private) {
    gradient_storage_ = memory::shareable(device, bytes_of(type, program.gradient_count));
    gradients_ = gradient_storage_.view(type, program.gradient_count);
  }
  if (is_host) return;
  device.pin({static_cast<std::byte*>(window.data()), static_cast<std::size_t>(window_bytes.value())});
  pinned_ = window;
  image_ = memory::PinnedBuffer(device, storage_.size());
}

Parameters::~Parameters() {
  if (!pinned_.empty()) device_.unpin(static_cast<std::byte*>(pinned_.data()));
}

std::vector<std::span<std::byte>> Parameters::shared_memory() const {
  if (device_.is_host()) return {};
  return {gradient_storage_.bytes(), storage_.bytes()};
}

const View& Parameters::vector_of(const step::Slot& slot) const {
  switch (slot.role) {
    case SlotRole::optimizer_state:
      return states_[static_cast<std::size_t>(slot.state)];
    case SlotRole::anchor:
      return anchors_;
    case SlotRole::outer_velocity:
      return outer_velocity_;
    case SlotRole::parameter_gradients:
    case SlotRole::pushed:
    case SlotRole::answer:
      return gradients_;
    case SlotRole::pushed_metric:
      return pushed_metrics_;
    case SlotRole::residual:
      return residuals_;
    case SlotRole::basis:
      return basis_;
    case SlotRole::loss_scale:
      return loss_scale_;
    default:
      return weights_;
  }
}

/// The part of the image that a view of the storage has.
View Parameters::on_host(View view) const {
  if (device_.is_host()) return view;
  const auto offset = static_cast<std::byte*>(view.data()) - storage_.bytes().data();
  const View image = image_.view(view.type(), view.size(), kernels::Bytes(offset));
  device_.copy(kernels::Device::Queue::compute, image, view);
  device_.synchronize();
  return image;
}

std::vector<std::string> Parameters::stored_names() const {
  const auto of_rule = kernels::states_of(optimizer_.rule);
  std::vector<std::string> names(of_rule.begin(), of_rule.end());
  if (has_outer_steps_) names.emplace_back("outer_velocity");
  if (is_waiting_) names.emplace_back(waiting_gradient);
  return names;
}

std::vector<View> Parameters::states_on_host() const {
  std::vector<View> states;
  for (const View state : states_)
    states.push_back(on_host(state));
  if (has_outer_steps_) states.push_back(outer_velocity_);
  if (is_waiting_) states.push_back(waiting_);
  return states;
}

void Parameters::for_each_waiting(const step::Program& program, std::size_t buffer,
                                  const std::function<void(View, View)>& copy) {
  if (waiting_.empty() && program.state_count > Elements(0)) {
    waiting_storage_ = memory::HostBuffer(bytes_of(program.type, program.state_count));
    waiting_ = waiting_storage_.view(program.type, program.state_count);
  }
  for (const auto& bucket : program.buckets) {
    const auto own = program.own(bucket, data_rank_);
    copy(memory_of(program.slots[bucket.gradients[buffer]]).slice(Elements(own.begin), Elements(own.size())),
         waiting_.slice(bucket.first_state, Elements(own.size())));
  }
}

namespace {

void copy_values(View to, View from) {
  if (!to.empty()) std::memcpy(to.data(), from.data(), static_cast<std::size_t>(from.bytes().value()));
}

}  // namespace

void Parameters::keep_waiting(const step::Program& program, std::optional<step::StepKind> kind) {
  is_waiting_ = kind.has_value();
  if (kind)
    for_each_waiting(program, kind == step::StepKind::odd ? 1 : 0,
                     [](View gradients, View waiting) { copy_values(waiting, gradients); });
}

bool Parameters::expect_waiting(const step::Program& program, std::span<const std::string> stored) {
  is_waiting_ = program.cadence.is_delayed && std::ranges::count(stored, waiting_gradient) > 0;
  if (is_waiting_) for_each_waiting(program, 0, [](View, View) {});
  return is_waiting_;
}

void Parameters::restore_waiting(const step::Program& program) {
  if (is_waiting_)
    for_each_waiting(program, 0, [](View gradients, View waiting) { copy_values(gradients, waiting); });
}

void Parameters::edit(const std::function<void(View, std::span<const View>)>& change) {
  const View weights = on_host(weights_);
  const auto states = states_on_host();
  change(weights, states);
  if (device_.is_host()) return;
  device_.copy(kernels::Device::Queue::compute, weights_, weights);
  for (std::size_t s = 0; s < states.size(); ++s)
    device_.copy(kernels::Device::Queue::compute, states_[s], states[s]);
  device_.synchronize();
}

void Parameters::initialize(const step::Program& program, const model::ModelSpec& model,
                            model::Initializer initializer, std::uint64_t seed) {
  edit([&](View weights, std::span<const View>) {
    for (const auto& piece : step::held_pieces(program, data_rank_)) {
      const model::InitialValues initial(model, piece.layer, piece.tensor, initializer, seed);
      for_each_element(piece, model, [&](std::int64_t flat, std::int64_t logical) {
        set_value(weights, flat, initial(Elements(logical)));
      });
    }
  });
  initialize_basis(program, seed);
}

void Parameters::set_anchors(const step::Program& program) {
  for (const auto& bucket : program.buckets) {
    if (!bucket.averaging || !bucket.averaging->anchor) continue;
    const View from = memory_of(program.slots[bucket.parameters]),
               to = memory_of(program.slots[*bucket.averaging->anchor]);
    device_.copy(kernels::Device::Queue::compute, to, from);
  }
  device_.synchronize();
}

void Parameters::initialize_basis(const step::Program& program, std::uint64_t seed) {
  for (const auto& bucket : program.buckets) {
    if (!bucket.coding || !bucket.coding->basis) continue;
    const View basis = memory_of(program.slots[*bucket.coding->basis]);
    const auto factors = step::factored_of(program, bucket);
    for (std::size_t t = 0; t < factors.size(); ++t) {
      const auto layer = program.units[bucket.tensors[t].unit].layer;
      const auto stream =
          kernels::random_stream(seed, kernels::RandomPurpose::factors, static_cast<std::uint32_t>(layer));
      for (std::int64_t i = 0; i < factors[t].in_right().value(); ++i)
        set_value(basis, factors[t].right.value() + i,
                  kernels::random_normal(stream, static_cast<std::uint64_t>(i)));
    }
  }
}

std::vector<LogicalTensor> gather_logical(comm::Communicator& world, const model::ModelSpec& model,
                                          kernels::ConstView mine,
                                          const std::vector<std::vector<step::Piece>>& owned,
                                          Receivers receivers) {
  std::string bytes;
  for (const auto& piece : owned[static_cast<std::size_t>(world.rank())]) {
    const auto part = mine.slice(piece.flat, piece.elements());
    bytes.append(static_cast<const char*>(part.data()), static_cast<std::size_t>(part.bytes().value()));
  }
  auto texts = receivers == Receivers::all ? world.all_gather_text(bytes, collective::Purpose::parameter)
                                           : world.gather_text(bytes, 0, collective::Purpose::parameter);
  std::vector<LogicalTensor> tensors;
  if (texts.empty()) return tensors;
  std::map<std::pair<int, int>, LogicalTensor*> at;
  for (std::size_t l = 0; l < model.layers.size(); ++l) {
    int t = 0;
    for (const auto& parameter : model.layers[l].parameters())
      tensors.push_back(
          {.layer = static_cast<int>(l),
           .tensor = t++,
           .values = std::vector<double>(static_cast<std::size_t>(parameter.shape.elements().value()))});
  }
  for (auto& tensor : tensors)
    at[{tensor.layer, tensor.tensor}] = &tensor;
  for (std::size_t r = 0; r < texts.size(); ++r) {
    const View flat(texts[r].data(), mine.type(),
                    Elements(static_cast<std::int64_t>(texts[r].size()) / kernels::size_of(mine.type())));
    std::int64_t next = 0;
    for (const auto& piece : owned[r]) {
      const auto& layer = model.layers[static_cast<std::size_t>(piece.layer)];
      const auto columns = layer.parameters()[static_cast<std::size_t>(piece.tensor)].columns();
      auto& values = at.at({piece.layer, piece.tensor})->values;
      for (std::int64_t i = 0; i < piece.elements().value(); ++i) {
        const auto row = piece.first_row + i / piece.columns, column = piece.first_column + i % piece.columns;
        values[static_cast<std::size_t>(row * columns + column)] = value_at(flat, next++);
      }
    }
    base::expect(next == flat.size().value(), "a rank sends what is its own", r);
  }
  return tensors;
}

void scatter_logical(const LogicalTensor& tensor, const model::ModelSpec& model,
                     std::span<const step::Piece> held, View flat) {
  for (const auto& piece : held)
    if (piece.layer == tensor.layer && piece.tensor == tensor.tensor)
      for_each_element(piece, model, [&](std::int64_t i, std::int64_t logical) {
        set_value(flat, i, tensor.values[static_cast<std::size_t>(logical)]);
      });
}

}  // namespace partita::state
