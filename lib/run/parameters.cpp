#include "partita/run/parameters.hpp"

namespace partita::run {
namespace {

template <class T>
void fill(View target, const model::ModelSpec& model, int layer, bool is_bias, model::Initializer initializer,
          std::uint64_t seed) {
  std::int64_t index = 0;
  for (T& value : target.as<T>())
    value = static_cast<T>(
        model::initial_value(model, layer, is_bias, kernels::Elements(index++), initializer, seed));
}

}  // namespace

Parameters::Parameters(const step::Program& program, comm::Communicator& axis)
    : storage_(memory::padded(bytes_of(program.type, program.parameter_count)) +
               memory::padded(bytes_of(program.type, program.trained_count))),
      gradient_storage_(axis.allocate_shared(bytes_of(program.type, program.trained_count))) {
  memory::Arena arena(storage_.bytes());
  weights_ = arena.allocate(program.type, program.parameter_count);
  velocities_ = arena.allocate(program.type, program.trained_count);
  gradients_ = gradient_storage_.view(program.type, program.trained_count);
}

void Parameters::initialize(const step::Program& program, const model::ModelSpec& model,
                            model::Initializer initializer, std::uint64_t seed) {
  for (std::size_t u = 0; u < program.units.size(); ++u) {
    const int layer = program.units[u].layer;
    const auto draw = [&](View target, bool is_bias) {
      if (program.type == kernels::DataType::float64)
        fill<double>(target, model, layer, is_bias, initializer, seed);
      else
        fill<float>(target, model, layer, is_bias, initializer, seed);
    };
    draw(weight_of(weights_, program.parameters[u]), false);
    draw(bias_of(weights_, program.parameters[u]), true);
  }
}

}  // namespace partita::run
