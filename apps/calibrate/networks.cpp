/// Draws networks until one keeps the limits.
#include "networks.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <sstream>

#include "partita/calibrate/draws.hpp"
#include "partita/cost/work.hpp"

namespace partita::calibrate {
namespace {

using model::LayerKind;

/// Features in and out of the linear layers of the shipped models; channels in and out of their convolutions.
struct Pair {
  std::int64_t in, out;
};
constexpr Pair shipped_linear[] = {{784, 128}, {128, 10},  {784, 2048}, {2048, 2048}, {2048, 10},
                                   {784, 512}, {512, 512}, {512, 10},   {320, 50},    {50, 10},
                                   {400, 120}, {120, 84},  {84, 10},    {4096, 1024}, {1024, 1024},
                                   {1024, 10}, {1568, 64}, {64, 10},    {10, 20},     {20, 10}};
constexpr Pair shipped_convolutions[] = {{1, 10},   {10, 20},   {1, 6},     {6, 16},    {3, 64}, {64, 64},
                                         {64, 128}, {128, 128}, {128, 256}, {256, 256}, {1, 16}, {16, 32}};

bool holds(std::span<const Pair> pairs, std::int64_t in, std::int64_t out) {
  return std::any_of(pairs.begin(), pairs.end(), [&](const Pair& p) { return p.in == in && p.out == out; });
}

bool is_shipped(const model::Layer& layer) {
  switch (layer.kind) {
    case LayerKind::linear:
      return holds(shipped_linear, layer.input.elements().value(), layer.output.elements().value());
    case LayerKind::conv:
      return holds(shipped_convolutions, layer.input[0], layer.output[0]);
    default:
      return false;
  }
}

/// Half of the extents as they come, half as people choose them: powers of two, and multiples of 16.
std::int64_t extent(Draws& draws, std::int64_t least, std::int64_t most) {
  const auto drawn = draws.log_uniform(least, most);
  if (draws.chance(0.5)) return drawn;
  const auto power = std::exp2(std::round(std::log2(static_cast<double>(drawn))));
  const auto chosen =
      drawn < 24 || draws.chance(0.5) ? static_cast<std::int64_t>(power) : (drawn + 8) / 16 * 16;
  return std::clamp(chosen, least, most);
}

/// Of images; half of them as those of MNIST and CIFAR are.
std::int64_t side_of_images(Draws& draws, std::int64_t least, std::int64_t most) {
  if (draws.chance(0.5)) return draws.log_uniform(least, most);
  return draws.chance(0.5) ? 28 : 32;
}

std::string activation(Draws& draws) { return draws.chance(0.75) ? "relu" : "tanh"; }

/// Of classes, or of a target's numbers.
std::int64_t outputs(Draws& draws) { return draws.chance(0.4) ? 10 : draws.log_uniform(2, 256); }

/// What a layer does with the tensor axis, if there is one; the rest of the layers follow, or are chosen.
std::string placement(Draws& draws, const Network& network, const std::array<const char*, 4>& words) {
  const auto* word = words[static_cast<std::size_t>(draws.below(words.size()))];
  return network.grid.tensor > 1 && draws.chance(0.8) ? std::string(" placement=") + word : "";
}

/// Linear layers behind what is flat, with their activations.
void append_linear(Draws& draws, Network& network, int hidden, std::int64_t widest) {
  auto& lines = network.text.layers;
  constexpr std::array placements{"replicated", "batch", "column", "row"};
  std::int64_t width = 0;
  for (int layer = 0; layer < hidden; ++layer) {
    if (layer == 0 || draws.chance(0.7)) width = extent(draws, 8, widest);  // or as wide as the last one
    lines.push_back("linear " + std::to_string(width) + placement(draws, network, placements));
    if (draws.chance(0.1)) lines.push_back("batchnorm");
    lines.push_back(activation(draws));
    if (draws.chance(0.1)) lines.push_back("dropout 0.5");
    network.name += "-" + std::to_string(width);
  }
  const auto last = outputs(draws);
  lines.push_back("linear " + std::to_string(last) + placement(draws, network, placements));
  network.name += "-" + std::to_string(last);
}

void draw_perceptron(Draws& draws, Network& network) {
  if (draws.chance(0.5)) {
    const std::int64_t channels = draws.chance(0.5) ? 1 : 3, side = side_of_images(draws, 4, 36);
    network.text.input = std::to_string(channels) + "x" + std::to_string(side) + "x" + std::to_string(side);
    network.text.layers.push_back("flatten");
  } else {
    network.text.input = std::to_string(extent(draws, 8, 4096));
  }
  network.name = "mlp " + network.text.input;
  append_linear(draws, network, 1 + static_cast<int>(draws.below(4)), 4096);
}

/// Of a convolution on so many channels. Most networks begin with few filters and widen as images shrink; the
/// others say what is far from that.
std::int64_t filters_on(Draws& draws, std::int64_t channels, bool first) {
  constexpr std::int64_t least = 4, most_first = 64, most = 320;
  if (draws.chance(0.3)) return extent(draws, least, most);
  if (first) return extent(draws, least, most_first);
  return extent(draws, std::min(channels, most / 2), std::min(3 * channels, most));
}

/// Convolutions and what follows each, as long as images are left.
void append_convolutions(Draws& draws, Network& network, std::int64_t channels, std::int64_t side) {
  auto& lines = network.text.layers;
  constexpr std::array placements{"height", "batch", "column", "row"};
  const auto blocks = 1 + draws.below(4);
  for (std::int64_t block = 0; block < blocks && side >= 4; ++block) {
    constexpr std::array kernels{3, 3, 5, 1};
    const auto kernel = std::min<std::int64_t>(kernels[static_cast<std::size_t>(draws.below(4))], side);
    channels = filters_on(draws, channels, block == 0);
    const bool same = kernel % 2 == 1 && draws.chance(0.6);
    lines.push_back("conv " + std::to_string(channels) + " kernel=" + std::to_string(kernel) +
                    (same ? " padding=same" : "") + placement(draws, network, placements));
    if (!same) side -= kernel - 1;
    network.name += "-c" + std::to_string(channels) + "k" + std::to_string(kernel);
    if (draws.chance(0.25)) lines.push_back("batchnorm");
    const auto then = activation(draws);
    const bool pools = side >= 4 && draws.chance(0.6), pools_first = draws.chance(0.5);
    if (!pools || !pools_first) lines.push_back(then);
    if (pools) lines.push_back(draws.chance(0.75) ? "maxpool 2" : "avgpool 2");
    if (pools && pools_first) lines.push_back(then);
    if (pools) side /= 2;
  }
}

void draw_convolutional(Draws& draws, Network& network) {
  const auto channels = draws.chance(0.4) ? 1 : draws.chance(0.6) ? 3 : draws.log_uniform(2, 32);
  const auto side = side_of_images(draws, 8, 40);
  network.text.input = std::to_string(channels) + "x" + std::to_string(side) + "x" + std::to_string(side);
  network.name = "cnn " + network.text.input;
  append_convolutions(draws, network, channels, side);
  network.text.layers.push_back("flatten");
  append_linear(draws, network, static_cast<int>(draws.below(3)), 1500);
}

bool keeps(const Network& network, const model::ModelSpec& model, const Limits& limits) {
  double elements = 0;
  for (const auto& layer : model.layers)
    elements += static_cast<double>(layer.output.elements().value());
  const auto batch = static_cast<double>(network.batch);
  return cost::flops_of_sample(model) * batch <= limits.step_flops &&
         elements * batch * 4 <= limits.activation_bytes &&
         std::none_of(model.layers.begin(), model.layers.end(), is_shipped);
}

topology::GridExtent draw_grid(std::uint32_t index, int ranks) {
  if (index / 2 % 3 == 1) return {.data = ranks};
  if (index / 2 % 3 == 2) return {.tensor = ranks};
  return {};
}

std::string name_of(const Network& network) {
  std::string name = network.text.name + " b" + std::to_string(network.batch);
  if (network.microbatches > 1) name += "/" + std::to_string(network.microbatches);
  if (network.deterministic) name += " deterministic";
  if (network.clips) name += " clipped";
  if (network.split != step::Split::none) name += " split";
  if (network.codec != kernels::Codec::none) name += " " + std::string(to_string(network.codec));
  if (network.averages) name += " averaged";
  if (network.grid.data > 1) name += " data " + std::to_string(network.grid.data);
  if (network.grid.tensor > 1) name += " tensor " + std::to_string(network.grid.tensor);
  return name;
}

}  // namespace

model::ModelSpec model_of(const Network& network) {
  std::vector<base::Violation> violations;
  auto model = model::parse_model(network.text, violations);
  if (!violations.empty()) throw base::ConfigError(violations);
  return model;
}

Network draw_network(std::uint64_t seed, std::uint32_t index, int ranks, const Limits& limits) {
  for (Draws draws(seed, index);;) {
    Network network{.grid = draw_grid(index, ranks)};
    if (index % 2 == 0)
      draw_perceptron(draws, network);
    else
      draw_convolutional(draws, network);
    network.text.name = network.name;
    network.text.loss = draws.chance(0.85) ? "cross-entropy" : "mse";
    network.batch = extent(draws, 16, 4096);
    network.microbatches = draws.chance(0.7) ? 1 : 4;
    network.deterministic = network.grid == topology::GridExtent{} && draws.chance(0.05);
    if (network.deterministic) network.microbatches = 4;
    constexpr auto rules = kernels::optimizers;
    network.optimizer =
        rules[draws.chance(0.6) ? 0 : static_cast<std::size_t>(draws.below(rules.size()))].rule;
    const bool can_take_norms = network.grid.tensor == 1;
    if (kernels::describe(network.optimizer).takes_norms && !can_take_norms)
      network.optimizer = kernels::OptimizerRule::sgd;
    network.clips = draws.chance(0.1);
    if (network.grid.data > 1 && draws.chance(0.2)) network.split = step::Split::parameter;
    if (network.grid.data > 1 && network.split == step::Split::none && draws.chance(0.4))
      network.codec = static_cast<kernels::Codec>(1 + draws.below(7));
    else if (network.grid.data > 1 && network.split == step::Split::none &&
             !model_of(network).takes_statistics())
      network.averages = draws.chance(0.3);
    network.name = name_of(network);
    // Most networks are small, for there are to be many.
    const auto step_flops = draws.log_uniform(static_cast<std::int64_t>(limits.step_flops / 30),
                                              static_cast<std::int64_t>(limits.step_flops));
    const Limits own{.step_flops = static_cast<double>(step_flops),
                     .activation_bytes = limits.activation_bytes};
    if (keeps(network, model_of(network), own)) return network;
  }
}

Network reference_network() {
  return {.text = {.name = "reference", .input = "480", .layers = {"linear 480"}, .loss = "cross-entropy"},
          .batch = 240,
          .name = "reference"};
}

}  // namespace partita::calibrate
