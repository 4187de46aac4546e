/// Sizes come from slots and conversions, the algorithm from the program's wish and the site. The window of
/// the data axis serves transfers along that axis alone; for others what lies in it is private memory.
#include "partita/step/rounds.hpp"

#include <algorithm>

#include "partita/step/compression.hpp"

namespace partita::step {

using collective::Operation;

namespace {

/// The pieces of a transfer of codes.
void cut_codes(collective::Spec& spec, const Program& program, const Bucket& bucket, int place) {
  if (spec.operation == Operation::all_gather) {
    spec.cuts = cuts_to_all(program, bucket);
  } else {
    spec.cuts = cuts_to_owners(program, bucket);
    spec.keeps_own = true;
    spec.receive_cuts = cuts_from_ranks(program, bucket, place);
  }
}

collective::Spec spec_of(const Program& program, const Transfer& t, std::int64_t samples, int place) {
  collective::Spec spec{.operation = t.operation,
                        .combine = t.combine,
                        .type = t.type,
                        .elements = program.payload(t, samples).value(),
                        .peer = t.peer.value_or(0)};
  const int rank = program.at.tensor, ranks = program.grid.tensor;
  const auto* const conversion = t.conversion ? &program.conversions[*t.conversion] : nullptr;
  if (t.coded) {
    cut_codes(spec, program, program.buckets[*t.coded], place);
  } else if (t.operation == Operation::all_to_all) {
    spec.cuts = send_cuts(*conversion, rank, ranks, samples);
    spec.receive_cuts = receive_cuts(*conversion, rank, ranks, samples);
  } else if (t.operation == Operation::all_gather || t.operation == Operation::reduce_scatter) {
    spec.cuts = conversion ? buffer_cuts(*conversion, ranks, samples)
                           : collective::even_cuts(program.grid.along(t.axis), spec.elements);
  }
  return spec;
}

collective::Place place_of(const Program& program, const Transfer& t, int rank, const Site& site) {
  const auto group = topology::group_of(program.grid, rank, t.axis);
  std::vector<int> nodes;
  for (const int member : group)
    nodes.push_back(site.node_of.empty() ? 0 : site.node_of[static_cast<std::size_t>(member)]);
  return {.rank = static_cast<int>(std::ranges::find(group, rank) - group.begin()),
          .node_of = collective::numbered_nodes(nodes)};
}

/// Longer all-gathers go round the ring, whose messages are all alike; for shorter ones their number counts.
constexpr kernels::Bytes longest_doubling{64 << 10};

/// A reduce-scatter adds as the all-reduce in its place would; an all-gather loads where it can, unless
/// messages are wanted.
collective::Algorithm algorithm_of(const Program& program, const collective::Spec& spec,
                                   const collective::Place& at, const Site& site) {
  if (spec.operation == Operation::all_gather) {
    const auto named = program.all_reduces.named();
    const bool loads = named == collective::Algorithm::automatic || named == collective::Algorithm::window;
    if (loads && (at.reached || reach_of(at) == collective::Reach::window))
      return collective::Algorithm::window;
    return bytes_of(spec.type, Elements(spec.elements)) <= longest_doubling
               ? collective::Algorithm::recursive_doubling
               : collective::Algorithm::ring;
  }
  const auto all_reduce =
      choose(program.all_reduces, at, bytes_of(spec.type, Elements(spec.elements)), site.table);
  return spec.operation == Operation::all_reduce ? all_reduce : collective::scatter_like(all_reduce);
}

}  // namespace

bool has_algorithm(const Transfer& t) {
  if (t.operation == Operation::all_reduce) return true;
  const bool of_shares = t.operation == Operation::reduce_scatter || t.operation == Operation::all_gather;
  return of_shares && !t.conversion;
}

bool differs_by_rank(const Transfer& t) { return t.coded && t.operation == Operation::all_to_all; }

ResolvedTransfer resolve(const Program& program, const Transfer& t, int rank, std::int64_t batch,
                         const Site& site) {
  return resolve(program, t, program.samples_of(t.microbatch, rank, batch), place_of(program, t, rank, site),
                 site);
}

ResolvedTransfer resolve(const Program& program, const Transfer& t, std::int64_t samples,
                         collective::Place place, const Site& site) {
  ResolvedTransfer resolved{.spec = spec_of(program, t, samples, place.rank), .at = std::move(place)};
  auto& [spec, at] = resolved;
  at.in_window = t.axis == topology::Axis::data && program.slots[t.slot].in_window;
  at.reached = site.reached.contains(t.axis);
  if (has_algorithm(t))
    spec.algorithm =
        t.algorithm != collective::Algorithm::automatic ? t.algorithm : algorithm_of(program, spec, at, site);
  at.reached = at.reached && works_on_shared(spec);  // else the host does it, on images
  at.in_window = at.in_window && !at.reached;
  return resolved;
}

Program resolve(Program program, int rank, std::int64_t batch, const Site& site) {
  for (auto& transfer : program.transfers)
    if (has_algorithm(transfer))
      transfer.algorithm = resolve(program, transfer, rank, batch, site).spec.algorithm;
  return program;
}

}  // namespace partita::step
