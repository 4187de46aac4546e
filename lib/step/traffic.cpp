/// Adds up a program's transfers: calls and payload, and what their rounds exchange.
#include "partita/step/traffic.hpp"

namespace partita::step {

std::map<collective::TrafficKey, TrafficOfStep> traffic_of_step(const Program& program, int rank,
                                                                std::int64_t batch, const Site& site) {
  std::map<collective::TrafficKey, TrafficOfStep> traffic;
  for (const auto& transfer : program.transfers) {
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

}  // namespace partita::step
