#include "describe.hpp"

#include <iomanip>
#include <sstream>

#include "partita/memory/arena.hpp"
#include "partita/step/build.hpp"
#include "partita/step/memory.hpp"
#include "partita/step/traffic.hpp"

namespace partita::train {

std::string describe(const config::RunOptions& options, const kernels::Backend& backend) {
  const auto& model = options.model;
  const auto program = step::build_training_program(model, {.grid = options.grid,
                                                            .type = backend.type(),
                                                            .layout = backend.image_layout(),
                                                            .bucket_bytes = options.sync.bucket_bytes});
  const std::int64_t share = (options.train.batch + options.grid.data - 1) / options.grid.data;
  std::ostringstream out;
  out << "grid   " << to_string(options.grid) << "\nbatch  " << options.train.batch << " samples, at most "
      << share << " a rank\nmodel  " << model.name << ", input " << to_string(model.input) << ", "
      << model.parameters() << " parameters, " << model.training_flops() / 1e6 << " MFLOP a sample\n\n";
  out << std::left << std::setw(12) << "layer" << std::setw(16) << "output" << std::setw(20) << "weight"
      << std::right << std::setw(12) << "parameters"
      << "\n";
  for (const auto& layer : model.layers)
    out << std::left << std::setw(12) << layer.name << std::setw(16) << to_string(layer.output)
        << std::setw(20) << (layer.has_parameters() ? to_string(layer.weight_shape()) : "") << std::right
        << std::setw(12) << layer.weight_elements() + layer.bias_elements() << "\n";
  const auto parameters = bytes_of(program.type, program.parameter_count);
  const auto trained = bytes_of(program.type, program.trained_count);
  out << "\nmemory of a rank in bytes\n  parameters       " << parameters << "\n  gradients        "
      << trained << "\n  optimizer state  " << trained << "\n  activations      "
      << step::plan_memory(program, share, memory::alignment).total
      << "\n\npayload of a step by axis, operation, purpose\n";
  for (const auto& [key, row] : step::payload_of_step(program))
    out << "  " << to_string(key.axis) << ' ' << to_string(key.operation) << ' ' << to_string(key.purpose)
        << ": " << row.calls << " calls, " << row.payload << " bytes\n";
  if (program.reductions.empty()) out << "  none\n";
  if (options.print_program) out << "\nprogram of a step\n" << to_string(program, model);
  return out.str();
}

}  // namespace partita::train
