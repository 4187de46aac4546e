/// Finds the uses of shares in a program that is complete otherwise, and puts gathers before them. As all
/// ranks of a stage have the same instructions, they gather in the same order.
#include "gathers.hpp"

#include <algorithm>
#include <iterator>
#include <map>
#include <utility>
#include <vector>

#include "partita/base/error.hpp"

namespace partita::step {
namespace {

using Index = std::size_t;

/// Passes that have a gather in common, by the first of them.
struct Use {
  BucketId bucket;
  Index first = 0;
  std::vector<Index> passes = {};
};

/// The bucket of whose parameters a pass reads a share.
std::optional<BucketId> share_read_by(const Program& program, const Instruction& instruction) {
  if (instruction.kind != Kind::forward && instruction.kind != Kind::backward) return {};
  const auto bucket = program.parameters[*instruction.unit].bucket;
  if (!bucket || !program.holds_share(program.buckets[*bucket])) return {};
  const bool reads = std::ranges::count(instruction.reads, program.buckets[*bucket].parameters) > 0;
  return reads ? bucket : std::nullopt;
}

std::vector<Use> uses_of(const Program& program, Gather gather) {
  std::vector<Use> uses;
  for (Index i = 0; i < program.instructions.size(); ++i) {
    const auto bucket = share_read_by(program, program.instructions[i]);
    if (!bucket) continue;
    auto use = gather == Gather::step ? std::ranges::find(uses, *bucket, &Use::bucket) : uses.end();
    if (gather == Gather::use && !uses.empty() && uses.back().bucket == *bucket) use = uses.end() - 1;
    if (use == uses.end()) use = uses.insert(uses.end(), {.bucket = *bucket, .first = i});
    use->passes.push_back(i);
  }
  return uses;
}

/// What comes before the instructions of a program.
class Insertion {
 public:
  explicit Insertion(Program& program) : p_(program) {}

  void add(const Use& use, Index begun_before) {
    const auto& bucket = p_.buckets[use.bucket];
    const SlotId share = bucket.parameters;
    const SlotId whole = p_.slots.push_back(
        {.role = SlotRole::parameters, .type = p_.type, .fixed = bucket.count, .gathered_from = share});
    const auto transfer = p_.transfers.push_back({.operation = collective::Operation::all_gather,
                                                  .axis = bucket.axis,
                                                  .purpose = collective::Purpose::parameter,
                                                  .slot = whole,
                                                  .type = p_.type});
    auto& begin = before_[begun_before];
    begin.push_back({.kind = Kind::share, .bucket = use.bucket, .reads = {share}, .writes = {whole}});
    begin.push_back({.kind = Kind::start,
                     .queue = Queue::communication,
                     .transfer = transfer,
                     .reads = {whole},
                     .writes = {whole}});
    waits_[use.first] = {.kind = Kind::wait,
                         .queue = Queue::communication,
                         .transfer = transfer,
                         .reads = {whole},
                         .writes = {whole}};
    for (const auto pass : use.passes)
      std::ranges::replace(p_.instructions[pass].reads, share, whole);
  }

  /// A wait comes before what is started for the next use.
  void finish() {
    std::vector<Instruction> all;
    for (Index i = 0; i < p_.instructions.size(); ++i) {
      if (const auto wait = waits_.find(i); wait != waits_.end()) all.push_back(std::move(wait->second));
      if (const auto begun = before_.find(i); begun != before_.end())
        std::ranges::move(begun->second, std::back_inserter(all));
      all.push_back(std::move(p_.instructions[i]));
    }
    p_.instructions = std::move(all);
  }

 private:
  Program& p_;
  std::map<Index, std::vector<Instruction>> before_;
  std::map<Index, Instruction> waits_;
};

}  // namespace

void insert_gathers(Program& program, Gather gather) {
  if (program.split != Split::parameter) return;
  Insertion insertion(program);
  const auto uses = uses_of(program, gather);
  base::expect(uses.empty() || uses.front().first > 0, "a gather is started before it is waited for");
  for (Index k = 0; k < uses.size(); ++k)
    insertion.add(uses[k], k == 0 ? 0 : uses[k - 1].first);
  insertion.finish();
}

}  // namespace partita::step
