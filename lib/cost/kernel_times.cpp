/// Finds the rows that speak for an instruction: of its kernel, of a relative, of as many active ranks.
#include "partita/cost/kernel_times.hpp"

#include <algorithm>
#include <cmath>
#include <map>
#include <optional>

#include "kernel_family.hpp"
#include "partita/base/error.hpp"
#include "partita/cost/time.hpp"
#include "partita/kernels/optimizer.hpp"

namespace partita::cost {
namespace {

using machine::KernelKey;
using machine::Machine;

kernels::Bytes bytes_of_element(std::string_view type) {
  return kernels::Bytes(type == to_string(kernels::DataType::float64) ? 8 : 4);
}

/// All that families of rows differ by: the key, of whose shape only the number of extents is left.
KernelKey family_of(KernelKey key) {
  key.shape = {static_cast<std::int64_t>(key.shape.size())};
  key.active_ranks = 0;
  return key;
}

std::string without(std::string text, std::string_view part) {
  if (const auto at = text.find(part); at != std::string::npos) text.erase(at, part.size());
  return text;
}

/// Kernels that do nearly the same, the nearest first.
std::vector<KernelKey> relatives_of(const KernelKey& key) {
  std::vector<KernelKey> relatives{key};
  const auto vary = [&relatives](std::string KernelKey::*name, const std::string& mark) {
    for (std::size_t i = 0, n = relatives.size(); i < n; ++i) {
      auto other = relatives[i];
      const auto bare = without(other.*name, mark);
      other.*name = bare == other.*name ? bare + mark : bare;
      relatives.push_back(other);
    }
  };
  vary(&KernelKey::phase, "+add");
  vary(&KernelKey::kernel, "+relu");
  vary(&KernelKey::kernel, "+plain");
  return relatives;
}

/// The machine as a rank has it among so many.
Machine shared_by(const Machine& machine, int active_ranks) {
  Machine mine = machine;
  mine.kernels.clear();
  if (active_ranks <= 1) return mine;
  for (const auto& memory : machine.shared_memory)
    if (memory.active_ranks <= active_ranks || mine.shared_memory.front() == memory)
      mine.main_bytes_per_second = memory.bytes_per_second;
  return mine;
}

}  // namespace

std::string_view to_string(Basis basis) {
  switch (basis) {
    case Basis::measured:
      return "measured";
    case Basis::interpolated:
      return "interpolated";
    case Basis::extrapolated:
      return "extrapolated";
    case Basis::modelled:
      return "modelled";
  }
  return "unknown";
}

class KernelTimes::Table {
 public:
  Table(const Machine& machine, Execution execution)
      : execution_(execution),
        machine_(shared_by(machine, execution_.active_ranks)),
        states_(states_of(execution.optimizer)) {
    std::map<KernelKey, std::map<int, std::vector<KernelFamily::Row>>> rows;
    for (const auto& [key, runs, median, lower, upper] : machine.kernels)
      if (key.implementation == execution_.implementation && key.threads == execution_.threads)
        rows[family_of(key)][key.active_ranks].push_back({key.shape, median});
    for (auto& [family, by_ranks] : rows)
      for (auto& [ranks, of_ranks] : by_ranks)
        families_[family].emplace(
            ranks, KernelFamily(family.kernel, bytes_of_element(family.type), std::move(of_ranks), machine_));
  }

  [[nodiscard]] InstructionTime of(const step::Program& program, const step::Instruction& instruction,
                                   std::int64_t samples) const {
    if (!families_.empty())
      if (const auto known = known_time(key_of(program, instruction, samples, execution_))) return *known;
    const auto work =
        instruction.kind == step::Kind::update
            ? work_of_update(program.slots[instruction.writes.front()].fixed, program.type, states_)
            : work_of(program, instruction, samples);
    return {static_cast<machine::Picoseconds>(picoseconds_of(work, machine_)), Basis::modelled};
  }

  [[nodiscard]] std::optional<KernelKey> nearest(const KernelKey& key) const {
    auto relatives = relatives_of(key);
    for (auto& relative : relatives) {
      const auto family = families_.find(family_of(relative));
      if (family == families_.end()) continue;
      const auto& [ranks, rows] = nearest(family->second);
      relative.shape = rows.nearest(key.shape);
      relative.active_ranks = ranks;
      return relative;
    }
    return std::nullopt;
  }

 private:
  using ByRanks = std::map<int, KernelFamily>;

  [[nodiscard]] std::optional<InstructionTime> known_time(const KernelKey& key) const {
    const auto relatives = relatives_of(key);
    for (const auto& relative : relatives) {
      const auto family = families_.find(family_of(relative));
      if (family == families_.end()) continue;
      auto [seconds, basis] = nearest(family->second).second.at(key.shape);
      if (&relative != relatives.data()) basis = Basis::extrapolated;
      basis = std::max(basis, basis_of_ranks(family->second));
      return InstructionTime{machine::picoseconds(seconds), basis};
    }
    return std::nullopt;
  }

  /// Of as many active ranks, or the nearest number of them; of two the larger.
  [[nodiscard]] const ByRanks::value_type& nearest(const ByRanks& by_ranks) const {
    const auto distance = [this](const auto& entry) {
      return std::pair(std::abs(entry.first - execution_.active_ranks), -entry.first);
    };
    return *std::ranges::min_element(by_ranks, {}, distance);
  }

  /// How sure it is that the nearest number of active ranks stands for this one.
  [[nodiscard]] Basis basis_of_ranks(const ByRanks& by_ranks) const {
    if (by_ranks.contains(execution_.active_ranks)) return Basis::measured;
    return by_ranks.rbegin()->first > execution_.active_ranks ? Basis::interpolated : Basis::extrapolated;
  }

  /// Of an optimizer by its name.
  static std::size_t states_of(std::string_view name) {
    const auto rule = std::ranges::find(kernels::optimizers, name, &kernels::OptimizerDescription::name);
    base::expect(rule != kernels::optimizers.end(), "a rank's optimizer is known", name);
    return rule->states.size();
  }

  Execution execution_;
  Machine machine_;
  std::size_t states_;  ///< of the optimizer
  std::map<KernelKey, ByRanks> families_;
};

KernelTimes::KernelTimes(const Machine& machine, Execution execution)
    : table_(std::make_shared<const Table>(machine, execution)) {}

InstructionTime KernelTimes::of(const step::Program& program, const step::Instruction& instruction,
                                std::int64_t samples) const {
  return table_->of(program, instruction, samples);
}

std::optional<KernelKey> KernelTimes::nearest(const KernelKey& key) const { return table_->nearest(key); }

}  // namespace partita::cost
