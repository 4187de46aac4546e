/// Finds the rows that speak for an instruction: of its kernel and its relatives.
#include "partita/cost/kernel_times.hpp"

#include <algorithm>
#include <cmath>
#include <map>
#include <numbers>
#include <optional>
#include <string>
#include <unordered_map>

#include "kernel_family.hpp"
#include "partita/cost/reuse.hpp"
#include "partita/cost/slowdown.hpp"
#include "partita/cost/time.hpp"
#include "partita/kernels/few_channels.hpp"

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

/// Whether keys differ in no more than families do not: what stands side by side in a file mostly does.
bool are_alike(const KernelKey& a, const KernelKey& b) {
  return a.kernel == b.kernel && a.phase == b.phase && a.type == b.type && a.layout == b.layout &&
         a.shape.size() == b.shape.size() && a.implementation == b.implementation && a.threads == b.threads;
}

/// Of a convolution on a CPU; 0 of anything else.
double own_flops_of(const KernelKey& key) {
  constexpr std::size_t extents = 11;
  const auto& s = key.shape;
  const bool is_forward = key.phase == "forward", is_gradient = key.phase.starts_with("backward-parameters");
  if (!key.kernel.starts_with("conv") || key.layout != "nhwc" || s.size() != extents) return 0;
  if (!is_forward && !is_gradient) return 0;
  const kernels::ConvolutionShape shape{.batch = s[0],
                                        .channels = s[1],
                                        .height = s[2],
                                        .width = s[3],
                                        .filters = s[4],
                                        .kernel = {s[5], s[6]},
                                        .stride = {s[7], s[8]},
                                        .padding = {s[9], s[10]},
                                        .layout = kernels::Layout::nhwc};
  return is_forward ? kernels::flops_of_own_forward(shape) : kernels::flops_of_own_gradient(shape);
}

/// `beyond` of so many caches; nothing lies beyond one of which nobody says.
Run run_of(const KernelKey& key, std::size_t caches) {
  Run run{.shape = key.shape,
          .beyond = key.beyond,
          .marks = {},
          .active_ranks = key.active_ranks,
          .own_flops = own_flops_of(key)};
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

/// Its rates and caches as a rank has them among so many; its rows, which are many, stay where they are.
Machine shared_by(const Machine& machine, int active_ranks) {
  Machine mine;
  mine.flops_per_second = machine.flops_per_second;
  mine.call_seconds = machine.call_seconds;
  mine.main_bytes_per_second = machine.main_bytes_per_second;
  mine.cache_bytes_per_second = machine.cache_bytes_per_second;
  mine.caches = machine.caches;
  mine.slowdowns = machine.slowdowns;
  if (active_ranks <= 1) return mine;
  for (const auto& memory : machine.shared_memory)
    if (memory.active_ranks <= active_ranks || machine.shared_memory.front() == memory)
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
        rule_(rule_of(execution)) {
    const KernelKey* last = nullptr;
    std::vector<KernelFamily::Row>* rows = nullptr;
    for (const auto& row : machine.kernels) {
      const auto& key = row.key;
      if (key.implementation != execution_.implementation || key.threads != execution_.threads) continue;
      if (last == nullptr || !are_alike(*last, key)) rows = &rows_[family_of(key)];
      rows->push_back({key, run_of(key, machine.caches.size()), row.median_seconds, variance_of(row)});
      last = &key;
    }
  }

  [[nodiscard]] const Execution& execution() const { return execution_; }

  /// Of each instruction; nothing where no row would tell. Ranks of a stage mostly share theirs, and a search
  /// comes back to plans.
  [[nodiscard]] std::shared_ptr<const std::vector<Extents>> beyond_of(const step::Program& program,
                                                                      std::int64_t batch) const {
    if (rows_.empty() || machine_.caches.empty()) return std::make_shared<const std::vector<Extents>>();
    auto text = text_of_touched(program, batch);
    const auto found = beyond_.find(text);
    if (found != beyond_.end()) return found->second;
    auto beyond = std::make_shared<const std::vector<Extents>>(
        beyond_caches(program, batch, execution_, machine_.caches));
    const auto bytes = text.size() + beyond->size() * (sizeof(Extents) + machine_.caches.size() * 8 + 16);
    if (beyond_bytes_ + bytes > most_beyond_bytes) beyond_.clear(), beyond_bytes_ = 0;
    beyond_bytes_ += bytes;
    return beyond_.emplace(std::move(text), std::move(beyond)).first->second;
  }

  [[nodiscard]] std::vector<double> slowdowns_of(const step::Program& program) const {
    return cost::slowdowns_of(program, machine_.slowdowns);
  }

  [[nodiscard]] KernelKey key_of(const step::Program& program, const step::Instruction& instruction,
                                 std::int64_t samples, const Extents& beyond) const {
    auto key = cost::key_of(program, instruction, samples, execution_);
    key.beyond = beyond;
    return key;
  }

  [[nodiscard]] InstructionTime of(const step::Program& program, const step::Instruction& instruction,
                                   std::int64_t samples, const Extents& beyond) const {
    if (!rows_.empty())
      if (const auto known = known_time(key_of(program, instruction, samples, beyond))) return *known;
    const auto work = instruction.kind == step::Kind::update
                          ? work_of_update(program.buckets[*instruction.bucket].share, program.type, rule_,
                                           instruction.phase)
                          : work_of(program, instruction, samples);
    return {static_cast<machine::Picoseconds>(picoseconds_of(work, machine_)), Basis::modelled};
  }

  [[nodiscard]] std::optional<KernelKey> nearest(const KernelKey& key) const {
    const auto* const family = family_with(key);
    if (family == nullptr) return std::nullopt;
    return family->nearest(run_of(key, machine_.caches.size())).key;
  }

 private:
  /// Fitted when it is first asked for: a model has few of a machine's kernels. Null where no row is of it.
  [[nodiscard]] const KernelFamily* family_with(const KernelKey& key) const {
    const auto family = family_of(key);
    const auto rows = rows_.find(family);
    if (rows == rows_.end()) return nullptr;
    const auto fitted = families_.find(family);
    if (fitted != families_.end()) return &fitted->second;
    const auto of_element = bytes_of_element(family.type);
    return &families_.emplace(family, KernelFamily(family.kernel, of_element, rows->second, machine_))
                .first->second;
  }

  [[nodiscard]] std::optional<InstructionTime> known_time(const KernelKey& key) const {
    if (const auto found = found_.find(key); found != found_.end()) return found->second;
    const auto* const family = family_with(key);
    if (family == nullptr) return std::nullopt;
    const auto [seconds, basis] = family->at(run_of(key, machine_.caches.size()));
    return found_.emplace(key, InstructionTime{machine::picoseconds(seconds), basis}).first->second;
  }

  Execution execution_;
  Machine machine_;
  const kernels::OptimizerDescription& rule_;
  std::map<KernelKey, std::vector<KernelFamily::Row>> rows_;  ///< by family
  mutable std::map<KernelKey, KernelFamily> families_;
  mutable std::map<KernelKey, InstructionTime> found_;
  /// By what the program touches; begins anew when it is full.
  mutable std::unordered_map<std::string, std::shared_ptr<const std::vector<Extents>>> beyond_;
  mutable std::size_t beyond_bytes_ = 0;
  static constexpr std::size_t most_beyond_bytes = 256 << 20;
};

KernelTimes::KernelTimes(const Machine& machine, Execution execution)
    : table_(std::make_shared<const Table>(machine, execution)) {}

Execution of_part(Execution execution, const Machine& machine, int part, std::int64_t ranks) {
  if (!machine.parts.empty())
    execution.active_ranks = std::min(execution.active_ranks, most_on_node(machine, part, ranks));
  return execution;
}

JobTimes::JobTimes(const Machine& machine, const Execution& execution, std::int64_t ranks) {
  for (const int part : parts_in(machine, ranks))
    of_part_.emplace(part,
                     KernelTimes(machine.of_part(part), cost::of_part(execution, machine, part, ranks)));
}

const Execution& KernelTimes::execution() const { return table_->execution(); }

ProgramTimes::ProgramTimes(KernelTimes kernels, const step::Program& program, std::int64_t batch)
    : table_(std::move(kernels.table_)),
      program_(&program),
      beyond_(table_->beyond_of(program, batch)),
      slowdowns_(table_->slowdowns_of(program)),
      alike_(step::alike(program).instructions) {}

Extents ProgramTimes::beyond_of(const step::Instruction& instruction) const {
  return beyond_->empty() ? Extents() : (*beyond_)[index_of(instruction)];
}

InstructionTime ProgramTimes::of(const step::Instruction& instruction, std::int64_t samples) const {
  const auto index = index_of(instruction);
  const auto [known, is_new] =
      known_.try_emplace({alike_[index], samples, beyond_of(instruction)}, InstructionTime());
  if (is_new) known->second = table_->of(*program_, instruction, samples, std::get<2>(known->first));
  auto found = known->second;
  if (!slowdowns_.empty()) found.time = machine::scaled(found.time, slowdowns_[index]);
  const double crowding = table_->execution().crowding;
  if (crowding > 1) found.time = machine::scaled(found.time, crowding);
  return found;
}

KernelKey ProgramTimes::key_of(const step::Instruction& instruction, std::int64_t samples) const {
  return table_->key_of(*program_, instruction, samples, beyond_of(instruction));
}

std::optional<KernelKey> KernelTimes::nearest(const KernelKey& key) const { return table_->nearest(key); }

}  // namespace partita::cost
