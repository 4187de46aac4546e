/// Random trainings on random grids, most of them uneven, and machines, each a pure function of its seed.
#pragma once

#include "../step/random_chains.hpp"
#include "grid_programs.hpp"

namespace partita::sim {

struct RandomGrid {
  tests::RandomChain chain;
  plan::Request request;
  machine::Machine machine;
  step::Site site;
  std::vector<double> speed;

  [[nodiscard]] std::string name() const {
    return to_string(chain) + ", " + std::string(collective::to_string(request.algorithm)) + ", grains " +
           std::to_string(request.grains) + ", buckets of " + std::to_string(request.bucket_bytes.value()) +
           (request.cadence.is_delayed ? ", delayed" : "") + ", period " +
           std::to_string(request.cadence.local.period);
  }
};

class GridDraw {
 public:
  explicit GridDraw(std::uint64_t seed) : seed_(seed), chains_(seed) {}

  RandomGrid draw(int most_ranks) {
    for (;;) {
      RandomGrid g;
      even_ = one_in(3);
      g.chain = chains_.draw(2);
      draw_grid(g, most_ranks);
      draw_request(g);
      std::vector<base::Violation> violations;
      plan::choose(g.chain.model, g.request, machine::Machine::shipped(), violations);
      if (!violations.empty()) continue;
      draw_machine(g);
      return g;
    }
  }

 private:
  int number(int least, int most) { return chains_.number(least, most); }
  bool one_in(int n) { return chains_.one_in(n); }

  void draw_grid(RandomGrid& g, int most_ranks) {
    auto& grid = g.chain.grid;
    const int layers = static_cast<int>(g.chain.layers.size());
    do
      grid = {.data = even_ ? 1 << number(1, 5) : number(1, 12),
              .pipeline = number(1, std::min(8, layers)),
              .tensor = number(1, 7)};
    while (grid.size() > most_ranks || grid.size() < 2);
    g.chain.batch = number(1, 100);
    using S = step::Schedule;
    constexpr S schedules[] = {S::naive, S::gpipe, S::one_f_one_b, S::interleaved, S::zb_h1};
    auto& pipeline = g.chain.pipeline;
    pipeline = {.schedule = schedules[number(0, 4)], .microbatches = number(1, 7)};
    if (pipeline.schedule == S::one_f_one_b)
      pipeline.warmup = number(1, 2);
    else if (pipeline.schedule != S::zb_h1)
      pipeline.chunks = number(1, 3);
    if (even_) g.chain.batch = grid.data * pipeline.microbatches * number(1, 3);
  }

  void draw_request(RandomGrid& g) {
    g.request = g.chain.split();
    g.request.bucket_bytes = kernels::Bytes(1 << number(0, 12));
    const auto all = collective::algorithms();
    if (!one_in(4))
      g.request.algorithm = all[static_cast<std::size_t>(number(0, static_cast<int>(all.size()) - 1))];
    if (even_ && one_in(2)) g.request.algorithm = collective::Algorithm::recursive_doubling;
    if (g.chain.grid.tensor == 1 && one_in(3)) {
      g.request.grains = g.chain.grid.data * (1 << number(0, 2));
      g.request.pipeline.microbatches = g.request.grains / g.chain.grid.data;
    }
    g.request.norms = {.of_gradient = one_in(4), .of_tensors = g.chain.grid.tensor == 1 && one_in(6)};
    // Drawn by the seed alone: what else is drawn is the same with and without.
    const bool splits = seed_ % 3 == 0;
    g.request.split = splits ? static_cast<step::Split>(1 + seed_ / 3 % 3) : step::Split::none;
    g.request.gather = static_cast<step::Gather>(seed_ % 2);
    g.request.compression = {};
    if (seed_ % 4 == 1 && g.request.grains == 0) {
      g.request.compression = {
          .codec = static_cast<kernels::Codec>(1 + seed_ / 4 % 6), .ratio = 0.1, .rank = 1};
      if (!kernels::codes_values(g.request.compression.codec)) g.request.split = step::Split::none;
    }
    draw_cadence(g);
    if (g.request.grains == 0 && seed_ % 5 == 2)
      for (int rank = 0; rank < g.chain.grid.data; ++rank)
        g.request.weights.push_back(
            1 + static_cast<std::int64_t>((seed_ + 3 * static_cast<std::uint64_t>(rank)) % 7));
  }

  /// One in two of those that have neither grains nor codecs, by the seed alone.
  void draw_cadence(RandomGrid& g) {
    g.request.cadence = {}, g.request.weights = {};
    if (g.request.grains > 0 || g.request.compression.is_on() || seed_ % 2 == 1) return;
    if (seed_ / 2 % 2 == 0) {
      g.request.cadence.is_delayed = true;
      if (g.request.split == step::Split::parameter) g.request.split = step::Split::state;
      return;
    }
    const bool takes_statistics =
        std::ranges::any_of(g.chain.model.layers, [](const auto& l) { return l.takes_statistics(); });
    if (takes_statistics) return;
    g.request.split = step::Split::none;
    g.request.cadence.local = {.period = 1 + static_cast<std::int64_t>(seed_ / 4 % 3),
                               .states = static_cast<step::LocalStates>(seed_ / 12 % 3),
                               .state_vectors = static_cast<int>(seed_ / 4 % 3)};
    if (seed_ / 36 % 2 == 0) g.request.cadence.local.outer_momentum = 0.9;
  }

  double some(double unit) { return unit * number(0, 1000); }

  machine::Protocol protocol(std::int64_t from, bool rendezvous) {
    return {.min_bytes = kernels::Bytes(from),
            .send_seconds = some(1e-9),
            .send_byte_seconds = some(1e-12),
            .latency_seconds = some(1e-9),
            .byte_seconds = some(1e-12),
            .receive_seconds = some(1e-9),
            .receive_byte_seconds = some(1e-12),
            .rendezvous = rendezvous};
  }

  /// Uneven grids have nodes that no extent need divide.
  void draw_machine(RandomGrid& g) {
    auto& m = g.machine = machine::Machine::shipped();
    m.flops_per_second = 1e8 * number(1, 1000);
    m.call_seconds = some(1e-9);
    const int of_node = even_ ? 1 << number(0, 6) : number(0, 1) == 0 ? 3 : 5;
    if (!one_in(6)) {
      m.levels = {{.name = "node", .ranks = of_node}, {.name = "cluster"}};
      if (one_in(3)) m.levels.insert(m.levels.begin() + 1, {.name = "rack", .ranks = 3 * of_node});
      for (auto& level : m.levels)
        level.protocols = {protocol(0, one_in(3)), protocol(number(4, 400), !one_in(3))};
    }
    if (!one_in(4)) {
      m.windows = windows();
      m.flag_seconds = some(1e-9);
    }
    m.overheads = overheads();
    if (g.request.algorithm != collective::Algorithm::window && !one_in(4))
      for (int rank = 0; rank < static_cast<int>(g.chain.grid.size()); ++rank)
        g.site.node_of.push_back(rank / of_node);
    if (one_in(4)) {
      g.speed.assign(static_cast<std::size_t>(g.chain.grid.size()), 1);
      g.speed[static_cast<std::size_t>(number(0, static_cast<int>(g.speed.size()) - 1))] = 0.5;
    }
    if (one_in(2))
      m.slowdowns = {{"products", "messages", 1 + some(1e-3)}, {"others", "messages", 1 + some(1e-3)}};
    if (one_in(3)) draw_parts(g);
  }

  std::vector<machine::WindowAccess> windows() {
    return {{.stage_byte_seconds = some(1e-12), .load_byte_seconds = some(1e-12)},
            {.min_bytes = kernels::Bytes(number(1, 300)),
             .stage_byte_seconds = some(1e-12),
             .load_byte_seconds = some(1e-12),
             .store_byte_seconds = some(1e-12)}};
  }
  machine::Overheads overheads() {
    return {.start_seconds = some(1e-10), .wait_seconds = some(1e-10), .step_seconds = some(1e-9)};
  }

  /// The second half of an even grid, or some ranks here and there.
  void draw_parts(RandomGrid& g) {
    const int ranks = static_cast<int>(g.chain.grid.size());
    for (int first = even_ ? ranks / 2 : number(0, ranks - 1); first < ranks;) {
      const int last = even_ ? ranks - 1 : std::min(ranks - 1, first + number(0, ranks / 2));
      auto m = machine::Machine::shipped();
      m.flops_per_second = 1e8 * number(1, 1000);
      m.call_seconds = some(1e-9);
      if (one_in(2)) m.windows = windows();
      m.overheads = overheads();
      if (one_in(2))
        m.slowdowns = {{"products", "messages", 1 + some(1e-3)}, {"others", "messages", 1 + some(1e-3)}};
      g.machine.parts.push_back({.first = first, .last = last, .machine = m});
      first = last + 1 + number(0, 2);
    }
  }

  std::uint64_t seed_;
  tests::ChainDraw chains_;
  bool even_ = false;  ///< so that some ranks are alike
};

}  // namespace partita::sim
