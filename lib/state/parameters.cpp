/// Where weights, gradients and the optimizer's states lie on a host and on a device, and how the elements of
/// a rank's flat vector and those of the model's whole tensors correspond.
#include "partita/state/parameters.hpp"

#include <map>
#include <string>

#include "partita/base/error.hpp"

namespace partita::state {
namespace {

/// Calls `each(flat index, logical index)` for the elements of one tensor of a unit.
template <class Each>
void for_each_element(const step::TensorRange& range, Each each) {
  for (std::int64_t i = 0; i < range.count.value(); ++i)
    each(range.first.value() + i, range.logical(i));
}

double read(kernels::ConstView view, std::int64_t i) {
  const auto at = static_cast<std::size_t>(i);
  return view.type() == kernels::DataType::float64 ? view.as<double>()[at]
                                                   : static_cast<double>(view.as<float>()[at]);
}

void write(View view, std::int64_t i, double value) {
  const auto at = static_cast<std::size_t>(i);
  if (view.type() == kernels::DataType::float64)
    view.as<double>()[at] = value;
  else
    view.as<float>()[at] = static_cast<float>(value);
}

}  // namespace

Parameters::Parameters(const step::Program& program, kernels::Device& device, comm::Communicator& data_axis,
                       const kernels::OptimizerSpec& optimizer)
    : device_(device),
      storage_(device, memory::padded(bytes_of(program.type, program.parameter_count)) +
                           memory::padded(bytes_of(program.type, program.trained_count)) *
                               std::ssize(kernels::states_of(optimizer.rule))),
      optimizer_(optimizer) {
  memory::Arena arena(storage_.bytes());
  weights_ = arena.allocate(program.type, program.parameter_count);
  for (std::size_t s = 0; s < kernels::states_of(optimizer.rule).size(); ++s)
    states_.push_back(arena.allocate(program.type, program.trained_count));
  const auto all_levels = program.trained_count * program.gradient_levels;
  if (device.is_host()) {
    shared_gradients_ = data_axis.allocate_shared(bytes_of(program.type, all_levels));
    gradients_ = window_ = shared_gradients_.view(program.type, all_levels);
    return;
  }
  gradient_storage_ = memory::shareable(device, bytes_of(program.type, all_levels));
  gradients_ = gradient_storage_.view(program.type, all_levels);
  shared_gradients_ = data_axis.allocate_shared(bytes_of(program.type, program.trained_count));
  window_ = shared_gradients_.view(program.type, program.trained_count);
  device.pin({static_cast<std::byte*>(window_.data()), static_cast<std::size_t>(window_.bytes().value())});
  image_ = memory::PinnedBuffer(device, storage_.size());
}

Parameters::~Parameters() {
  if (!device_.is_host()) device_.unpin(static_cast<std::byte*>(window_.data()));
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

std::vector<View> Parameters::states_on_host() const {
  std::vector<View> states;
  for (const View state : states_)
    states.push_back(on_host(state));
  return states;
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
    for (const auto u : program.units.ids())
      for (int t = 0; t < static_cast<int>(program.parameters[u].tensors.size()); ++t) {
        const model::InitialValues initial(model, program.units[u].layer, t, initializer, seed);
        for_each_element(program.parameters[u].tensors[static_cast<std::size_t>(t)],
                         [&](std::int64_t flat, std::int64_t logical) {
                           write(weights, flat, initial(Elements(logical)));
                         });
      }
  });
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
        values[static_cast<std::size_t>(row * columns + column)] = read(flat, next++);
      }
    }
    base::expect(next == flat.size().value(), "a rank sends what is its own", r);
  }
  return tensors;
}

void scatter_logical(const LogicalTensor& tensor, const step::Program& program, View flat) {
  for (const auto u : program.units.ids())
    if (program.units[u].layer == tensor.layer)
      for_each_element(program.parameters[u].tensors[static_cast<std::size_t>(tensor.tensor)],
                       [&](std::int64_t i, std::int64_t logical) {
                         write(flat, i, tensor.values[static_cast<std::size_t>(logical)]);
                       });
}

}  // namespace partita::state
