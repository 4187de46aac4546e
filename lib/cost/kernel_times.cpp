/// Finds the rows that speak for an instruction: of its kernel and its relatives.
#include "partita/cost/kernel_times.hpp"

#include <algorithm>
#include <cmath>
#include <map>
#include <numbers>
#include <optional>

#include "kernel_family.hpp"
#include "partita/cost/reuse.hpp"
#include "partita/cost/time.hpp"

namespace partita::cost {
namespace {

using machine::KernelKey;
using machine::Machine;

kernels::Bytes bytes_of_element(std::string_view type) {
  return kernels::Bytes(type == to_string(kernels::DataType::float64) ? 8 : 4);
}

/// Kernels that do nearly the same are one family.
struct Mark {
  std::string KernelKey::*where;
  std::string_view text;
};
constexpr Mark marks[] = {{&KernelKey::kernel, "+relu"},
                          {&KernelKey::kernel, "+plain"},
                          {&KernelKey::kernel, "+running"},
                          {&KernelKey::phase, "+add"}};

/// What families differ by: the key without marks, of whose shape only the number of extents is left.
KernelKey family_of(KernelKey key) {
  key.shape = {static_cast<std::int64_t>(key.shape.size())};
  key.beyond.clear();
  key.active_ranks = 0;
  for (const auto& mark : marks)
    if (const auto at = (key.*mark.where).find(mark.text); at != std::string::npos)
      (key.*mark.where).erase(at, mark.text.size());
  return key;
}

/// `beyond` of so many caches; nothing lies beyond one of which nobody says.
Run run_of(const KernelKey& key, std::size_t caches) {
  Run run{.shape = key.shape, .beyond = key.beyond, .marks = {}, .active_ranks = key.active_ranks};
  run.beyond.resize(caches);
  for (const auto& mark : marks)
    run.marks.push_back((key.*mark.where).find(mark.text) == std::string::npos ? 0 : 1);
  return run;
}

/// Of the logarithm of the median, were runs normally distributed.
double variance_of(const machine::KernelTime& row) {
  constexpr double quartiles_of_normal = 1.349, of_median = std::numbers::pi / 2;
  const double deviation =
      std::log(row.upper_quartile_seconds / row.lower_quartile_seconds) / quartiles_of_normal;
  return of_median * deviation * deviation / static_cast<double>(row.runs);
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
        states_(states_of(execution)) {
    std::map<KernelKey, std::vector<KernelFamily::Row>> rows;
    for (const auto& row : machine.kernels)
      if (row.key.implementation == execution_.implementation && row.key.threads == execution_.threads)
        rows[family_of(row.key)].push_back(
            {row.key, run_of(row.key, machine.caches.size()), row.median_seconds, variance_of(row)});
    for (auto& [family, of_family] : rows)
      families_.emplace(
          family, KernelFamily(family.kernel, bytes_of_element(family.type), std::move(of_family), machine_));
  }

  [[nodiscard]] const Execution& execution() const { return execution_; }

  /// Of each instruction; nothing where no row would tell.
  [[nodiscard]] std::vector<Extents> beyond_of(const step::Program& program, std::int64_t batch) const {
    if (families_.empty() || machine_.caches.empty()) return {};
    return beyond_caches(program, batch, execution_, machine_.caches);
  }

  [[nodiscard]] KernelKey key_of(const step::Program& program, const step::Instruction& instruction,
                                 std::int64_t samples, const Extents& beyond) const {
    auto key = cost::key_of(program, instruction, samples, execution_);
    key.beyond = beyond;
    return key;
  }

  [[nodiscard]] InstructionTime of(const step::Program& program, const step::Instruction& instruction,
                                   std::int64_t samples, const Extents& beyond) const {
    if (!families_.empty())
      if (const auto known = known_time(key_of(program, instruction, samples, beyond))) return *known;
    const auto work =
        instruction.kind == step::Kind::update
            ? work_of_update(program.slots[instruction.writes.front()].fixed, program.type, states_)
            : work_of(program, instruction, samples);
    return {static_cast<machine::Picoseconds>(picoseconds_of(work, machine_)), Basis::modelled};
  }

  [[nodiscard]] std::optional<KernelKey> nearest(const KernelKey& key) const {
    const auto family = families_.find(family_of(key));
    if (family == families_.end()) return std::nullopt;
    return family->second.nearest(run_of(key, machine_.caches.size())).key;
  }

 private:
  [[nodiscard]] std::optional<InstructionTime> known_time(const KernelKey& key) const {
    if (const auto found = found_.find(key); found != found_.end()) return found->second;
    const auto family = families_.find(family_of(key));
    if (family == families_.end()) return std::nullopt;
    const auto [seconds, basis] = family->second.at(run_of(key, machine_.caches.size()));
    return found_.emplace(key, InstructionTime{machine::picoseconds(seconds), basis}).first->second;
  }

  Execution execution_;
  Machine machine_;
  std::size_t states_;
  std::map<KernelKey, KernelFamily> families_;
  mutable std::map<KernelKey, InstructionTime> found_;
};

KernelTimes::KernelTimes(const Machine& machine, Execution execution)
    : table_(std::make_shared<const Table>(machine, execution)) {}

const Execution& KernelTimes::execution() const { return table_->execution(); }

ProgramTimes::ProgramTimes(KernelTimes kernels, const step::Program& program, std::int64_t batch)
    : table_(std::move(kernels.table_)), program_(&program), beyond_(table_->beyond_of(program, batch)) {}

Extents ProgramTimes::beyond_of(const step::Instruction& instruction) const {
  const auto index = &instruction - program_->instructions.data();
  return beyond_.empty() ? Extents() : beyond_[static_cast<std::size_t>(index)];
}

InstructionTime ProgramTimes::of(const step::Instruction& instruction, std::int64_t samples) const {
  return table_->of(*program_, instruction, samples, beyond_of(instruction));
}

KernelKey ProgramTimes::key_of(const step::Instruction& instruction, std::int64_t samples) const {
  return table_->key_of(*program_, instruction, samples, beyond_of(instruction));
}

std::optional<KernelKey> KernelTimes::nearest(const KernelKey& key) const { return table_->nearest(key); }

}  // namespace partita::cost
