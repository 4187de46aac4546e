/// Adds up a program's transfers: calls and payload, and what their rounds exchange.
#include "partita/step/traffic.hpp"

#include <algorithm>

namespace partita::step {

base::IdVector<TransferId, StepKinds> kinds_of_starts(const Program& program) {
  base::IdVector<TransferId, StepKinds> kinds(program.transfers.size());
  for (const auto& instruction : program.instructions)
    if (instruction.kind == Kind::start) kinds[*instruction.transfer] = instruction.in;
  return kinds;
}

std::map<collective::TrafficKey, TrafficOfStep> traffic_of_step(const Program& program, int rank,
                                                                std::int64_t batch, const Site& site,
                                                                StepKind kind) {
  std::map<collective::TrafficKey, TrafficOfStep> traffic;
  const auto starts = kinds_of_starts(program);
  for (const auto id : program.transfers.ids()) {
    if (!starts[id].has(kind)) continue;
    const auto& transfer = program.transfers[id];
    auto& row = traffic[{.activity = collective::Activity::train,
                         .axis = transfer.axis,
                         .operation = transfer.operation,
                         .purpose = transfer.purpose}];
    const auto [spec, at] = resolve(program, transfer, rank, batch, site);
    row.counts += collective::traffic_of(spec, at);
    row.counts.calls += 1;
    row.counts.payload_bytes += bytes_of(spec.type, Elements(spec.elements));
    if (has_algorithm(transfer)) row.algorithms.insert(spec.algorithm);
  }
  return traffic;
}

CodedTraffic coded_traffic(const Program& program, int rank, std::int64_t batch, const Site& site) {
  CodedTraffic traffic;
  for (const auto& bucket : program.buckets) {
    if (!bucket.coding) continue;
    if (program.servers > 0) {  // a push, of a worker
      traffic.dense += bytes_of(program.type, bucket.count);
      for (const auto push : bucket.coding->pushes)
        traffic.coded += Bytes(program.slots[push].fixed.value());
      continue;
    }
    Transfer whole{.operation = bucket.is_split ? collective::Operation::reduce_scatter
                                                : collective::Operation::all_reduce,
                   .axis = bucket.axis,
                   .slot = bucket.gradients.front(),
                   .type = program.type,
                   .algorithm = collective::Algorithm::ring};
    auto [spec, at] = resolve(program, whole, rank, batch, site);
    traffic.dense += collective::traffic_of(spec, at).wire_bytes;
  }
  for (const auto& transfer : program.transfers) {
    const auto is_part = [&](const Bucket& bucket) {
      return bucket.coding &&
             (transfer.slot == bucket.coding->left || transfer.slot == bucket.coding->right ||
              transfer.slot == bucket.coding->to_owners || transfer.slot == bucket.coding->to_all ||
              (!bucket.coding->masked.empty() && transfer.slot == bucket.coding->masked.front()));
    };
    if (!std::ranges::any_of(program.buckets, is_part)) continue;
    auto [spec, at] = resolve(program, transfer, rank, batch, site);
    if (has_algorithm(transfer)) spec.algorithm = collective::Algorithm::ring;
    traffic.coded += collective::traffic_of(spec, at).wire_bytes;
  }
  return traffic;
}

}  // namespace partita::step
