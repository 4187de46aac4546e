/// Factors on the figures of a machine.
#include "partita/predict/what_if.hpp"

#include <algorithm>
#include <set>

#include "partita/base/nearest.hpp"
#include "partita/base/number.hpp"

namespace partita::predict {
namespace {

using machine::Machine;

/// Beyond it and its inverse times leave what picoseconds count.
constexpr double most_factor = 1e6;

std::string_view trimmed(std::string_view text) {
  const auto first = text.find_first_not_of(" \t"), last = text.find_last_not_of(" \t");
  return first == std::string_view::npos ? std::string_view() : text.substr(first, last - first + 1);
}

void for_protocols(Machine& m, std::string_view level, const auto& change) {
  for (auto& l : m.levels)
    if (level.empty() || l.name == level)
      for (auto& protocol : l.protocols)
        change(protocol);
}

/// Figures that ranks of each part have of their own.
void for_ranks(Machine& m, const auto& change) {
  change(m);
  for (auto& part : m.parts)
    change(part.machine);
}

void turn_kernels(Machine& m, double factor, const auto& wanted) {
  for (auto& kernel : m.kernels)
    if (wanted(kernel.key.kernel))
      for (double* seconds :
           {&kernel.median_seconds, &kernel.lower_quartile_seconds, &kernel.upper_quartile_seconds})
        *seconds /= factor;
}

/// Kernels that do little more than to read and write.
bool moves_data(std::string_view kernel) {
  return kernel == "load" || kernel == "update" || kernel == "combine" || kernel == "norm" ||
         kernel == "average";
}

void compute_speed(Machine& machine, double factor) {
  for_ranks(machine, [factor](Machine& m) {
    m.flops_per_second *= factor;
    m.call_seconds /= factor;
    turn_kernels(m, factor, [](std::string_view kernel) { return !moves_data(kernel); });
  });
}

void memory_bandwidth(Machine& machine, double factor) {
  for_ranks(machine, [factor](Machine& m) {
    m.main_bytes_per_second *= factor;
    for (auto& shared : m.shared_memory)
      shared.bytes_per_second *= factor;
    turn_kernels(m, factor, moves_data);
  });
}

void level_bandwidth(Machine& m, std::string_view level, double factor) {
  for_protocols(m, level, [&](machine::Protocol& p) { p.byte_seconds /= factor; });
  for (auto& l : m.levels)
    if (level.empty() || l.name == level) l.topology.link_bytes_per_second *= factor;
}
void level_latency(Machine& m, std::string_view level, double factor) {
  for_protocols(m, level, [&](machine::Protocol& p) { p.latency_seconds *= factor; });
}
void level_overhead(Machine& m, std::string_view level, double factor) {
  for_protocols(m, level, [&](machine::Protocol& p) {
    for (double* seconds :
         {&p.send_seconds, &p.send_byte_seconds, &p.receive_seconds, &p.receive_byte_seconds})
      *seconds *= factor;
  });
}

void network_bandwidth(Machine& m, double factor) {
  m.link_bytes_per_second *= factor;
  level_bandwidth(m, "", factor);
}
void network_latency(Machine& m, double factor) {
  m.link_latency_seconds *= factor;
  level_latency(m, "", factor);
}
void network_overhead(Machine& m, double factor) { level_overhead(m, "", factor); }

void window_bandwidth(Machine& machine, double factor) {
  for_ranks(machine, [factor](Machine& m) {
    for (auto& row : m.windows)
      for (double* seconds : {&row.stage_byte_seconds, &row.load_byte_seconds, &row.store_byte_seconds})
        *seconds /= factor;
  });
}
void window_latency(Machine& m, double factor) { m.flag_seconds *= factor; }

class Changes {
 public:
  Changes(Supposed& supposed, int ranks, std::vector<base::Violation>& violations)
      : supposed_(supposed), ranks_(ranks), violations_(violations) {}

  void apply(std::string_view change) {
    const auto equals = change.find('=');
    const auto name = trimmed(change.substr(0, equals));
    const auto value = equals == std::string_view::npos ? "" : trimmed(change.substr(equals + 1));
    const auto digits = value.ends_with('x') ? value.substr(0, value.size() - 1) : value;
    const auto factor = base::number_of<double>(std::string(digits));
    if (!factor || !(*factor >= 1 / most_factor && *factor <= most_factor)) {
      refuse(change, "needs a factor from 1e-6 to 1e6, as in network.bandwidth=2x");
    } else if (!names_.insert(std::string(name)).second) {
      refuse(change, "changes " + std::string(name) + " a second time");
    } else if (name.starts_with("rank.")) {
      change_rank(change, name, *factor);
    } else if (!change_figure(name, *factor)) {
      refuse_name(change, name);
    }
  }

 private:
  void refuse(std::string_view change, const std::string& why) {
    violations_.push_back({"what-if", std::string(trimmed(change)), why});
  }

  void refuse_name(std::string_view change, std::string_view name) {
    const auto all = names();
    const std::vector<std::string_view> views(all.begin(), all.end());
    const auto nearest = base::nearest_word(name, views);
    std::string known;
    for (const auto& one : all)
      known += (known.empty() ? "" : ", ") + one;
    refuse(change,
           "names no figure of the machine; " +
               (nearest.empty() ? "there are " + known + ", rank.N.speed" : "the nearest is " + nearest));
  }

  void change_rank(std::string_view change, std::string_view name, double factor) {
    const auto dot = name.rfind('.');
    const auto rank = base::number_of<int>(std::string(name.substr(5, dot - 5)));
    if (!rank || *rank < 0 || *rank >= ranks_ || name.substr(dot) != ".speed")
      return refuse(change, "must be rank.N.speed with N from 0 to " + std::to_string(ranks_ - 1));
    supposed_.speed[*rank] = factor;
  }

  bool change_figure(std::string_view name, double factor) {
    const auto known = std::ranges::find(knobs(), name, &Knob::name);
    if (known != knobs().end()) return known->turn(supposed_.machine, factor), true;
    for (const auto& level : supposed_.machine.levels)
      for (const auto& [what, turn] : of_level)
        if (name == "network." + level.name + "." + std::string(what))
          return turn(supposed_.machine, level.name, factor), true;
    return false;
  }

  [[nodiscard]] std::vector<std::string> names() const {
    std::vector<std::string> all;
    for (const auto& knob : knobs())
      all.emplace_back(knob.name);
    for (const auto& level : supposed_.machine.levels)
      for (const auto& [what, turn] : of_level)
        all.push_back("network." + level.name + "." + std::string(what));
    return all;
  }

  static constexpr std::pair<std::string_view, void (*)(Machine&, std::string_view, double)> of_level[] = {
      {"bandwidth", level_bandwidth}, {"latency", level_latency}, {"overhead", level_overhead}};

  Supposed& supposed_;
  int ranks_;
  std::vector<base::Violation>& violations_;
  std::set<std::string> names_;  ///< that were changed
};

}  // namespace

const std::vector<Knob>& knobs() {
  static const std::vector<Knob> all{
      {"compute.speed", "how fast kernels compute", true, compute_speed},
      {"memory.bandwidth", "of main memory: loads, updates, what the model says of the rest", true,
       memory_bandwidth},
      {"network.bandwidth", "of messages on all levels", true, network_bandwidth},
      {"network.latency", "of messages on all levels", false, network_latency},
      {"network.overhead", "of the cores that send and receive", false, network_overhead},
      {"window.bandwidth", "of accesses to shared windows", true, window_bandwidth},
      {"window.latency", "until a flag in a window is seen", false, window_latency}};
  return all;
}

Supposed suppose(const Machine& machine, std::string_view changes, int ranks,
                 std::vector<base::Violation>& violations) {
  Supposed supposed{.machine = machine};
  Changes apply(supposed, ranks, violations);
  for (std::size_t begin = 0; begin <= changes.size();) {
    const auto end = std::min(changes.find(';', begin), changes.size());
    const auto change = changes.substr(begin, end - begin);
    if (!trimmed(change).empty()) apply.apply(change);
    begin = end + 1;
  }
  return supposed;
}

}  // namespace partita::predict
