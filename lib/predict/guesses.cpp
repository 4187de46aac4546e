/// Asks for the time of every kernel of every role, on every number of samples that a data rank has of a
/// micro-batch.
#include "partita/predict/guesses.hpp"

#include <array>
#include <set>

namespace partita::predict {
namespace {

using cost::Basis;
using machine::KernelKey;
using step::Kind;

/// "cpu linear forward float32 64x784x128 threads=1 active_ranks=2", in the order of a machine file.
std::string text_of(const KernelKey& key) {
  std::string text;
  for (const auto* const word : {&key.implementation, &key.kernel, &key.phase, &key.type, &key.layout})
    text += *word + (word->empty() ? "" : " ");
  const auto list = [&](const std::vector<std::int64_t>& numbers) {
    for (const auto& number : numbers)
      text += std::to_string(number) + (&number == &numbers.back() ? " " : "x");
  };
  list(key.shape);
  if (!key.beyond.empty()) text += "beyond=";
  list(key.beyond);
  return text + "threads=" + std::to_string(key.threads) +
         " active_ranks=" + std::to_string(key.active_ranks);
}

/// `who` has the rows: "the machine file", or what the file calls some of its ranks.
base::Violation violation_of(const KernelKey& key, Basis basis, const std::optional<KernelKey>& nearest,
                             const std::string& who) {
  const auto why = "would be " + std::string(to_string(basis)) +
                   (nearest ? "; the nearest that " + who + " has is " + text_of(*nearest)
                            : "; " + who + " has no such kernel of any shape");
  return {"no-extrapolation", text_of(key), why};
}

/// Samples that data ranks have of a micro-batch, or of what belongs to none.
std::set<std::int64_t> samples_of(const step::Program& program, const step::Instruction& instruction,
                                  std::int64_t batch) {
  if (!instruction.microbatch) return {0};
  std::set<std::int64_t> sizes;
  for (int data = 0; data < program.grid.data; ++data)
    sizes.insert(program.microbatch(*instruction.microbatch, data, batch).size());
  return sizes;
}

}  // namespace

const Guesses::Times& Guesses::times_of(int part, const cost::Execution& execution) {
  const std::tuple key(part, execution.active_ranks, execution.crowding);
  const auto known = times_.find(key);
  if (known != times_.end()) return known->second;
  const cost::KernelTimes kernels(machine_->of_part(part), execution);
  return times_.emplace(key, Times(part, kernels)).first->second;
}

void Guesses::add(const Subject& subject, std::span<const std::int64_t> batches) {
  const auto roles = roles_of(subject);
  for (const auto& program : roles.programs)
    for (const auto& ranks : parts_of(program, *machine_)) {
      const auto& times = times_of(
          ranks.part, cost::of_part(subject.execution, *machine_, ranks.part, std::ssize(roles.by_rank)));
      for (const auto batch : batches)
        add(times, program, batch);
    }
}

void Guesses::add(const Times& times, const step::Program& program, std::int64_t batch) {
  const auto& [part, kernels] = times;
  const auto who = part == 0 ? "the machine file" : name_of_part(*machine_, part);
  const cost::ProgramTimes of_program(kernels, program, batch);
  for (const auto& instruction : program.instructions) {
    if (instruction.kind == Kind::start || instruction.kind == Kind::wait) continue;
    for (const auto samples : samples_of(program, instruction, batch)) {
      const auto [time, basis] = of_program.of(instruction, samples);
      if (basis < Basis::extrapolated || time == 0) continue;
      const auto key = of_program.key_of(instruction, samples);
      if (!violations_.contains({part, key}))
        violations_.emplace(std::pair(part, key), violation_of(key, basis, kernels.nearest(key), who));
    }
  }
}

void Guesses::add_candidates(const config::RunOptions& run, int ranks, Shares shares,
                             const collective::AlgorithmTable& table, std::span<const std::int64_t> batches) {
  Splitter splitter(run, *machine_);
  for (const auto& candidate : candidates_of(run, ranks, shares))
    for (const auto& variant : splitter.variants_of(candidate)) {
      std::vector<base::Violation> refused;
      if (auto split = splitter.split(variant, refused))
        add(subject_of(with(run, variant), std::move(*split), *machine_, table), batches);
    }
}

void Guesses::add_scaling(const config::RunOptions& run, const collective::AlgorithmTable& table, int first,
                          int last) {
  for (const auto& subject : scaled_subjects(run, *machine_, table, first, last))
    add(subject, std::array{subject.split.batch});
}

void Guesses::refuse() const {
  std::vector<base::Violation> all;
  for (const auto& [key, violation] : violations_)
    all.push_back(violation);
  if (!all.empty()) throw base::ConfigError(all);
}

}  // namespace partita::predict
