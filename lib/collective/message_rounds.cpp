/// Collectives by point-to-point messages: ring, recursive doubling and halving, binomial tree, pairwise,
/// dissemination.
///
/// Sources: Thakur, Rabenseifner, Gropp, "Optimization of collective communication operations in MPICH",
/// IJHPCA 2005; Patarasuk and Yuan, "Bandwidth optimal all-reduce algorithms", JPDC 2009.
#include <algorithm>
#include <bit>
#include <numeric>

#include "partita/base/error.hpp"
#include "partita/collective/schedule.hpp"

namespace partita::collective {
namespace {

Range share_of(std::span<const std::int64_t> cuts, int i) {
  return {cuts[static_cast<std::size_t>(i)], cuts[static_cast<std::size_t>(i) + 1]};
}

int modulo(int a, int p) { return (a % p + p) % p; }

/// p − 1 rounds around the ring; in round k rank r passes on share r + offset − k and gets the one before it.
void ring(Schedule& schedule, int p, int rank, std::span<const std::int64_t> cuts, int offset,
          Combine combine) {
  for (int k = 0; k < p - 1; ++k)
    schedule.push_back(MessageRound{.send_to = modulo(rank + 1, p),
                                    .send = share_of(cuts, modulo(rank + offset - k, p)),
                                    .receive_from = modulo(rank - 1, p),
                                    .receive = share_of(cuts, modulo(rank + offset - k - 1, p)),
                                    .combine = combine});
}

/// The largest power of two of ranks, and who of them stands for a pair: even ranks below 2·extra fold into
/// the odd ones after them.
struct Folding {
  int q, extra;
  explicit Folding(int p) : q(static_cast<int>(std::bit_floor(static_cast<unsigned>(p)))), extra(p - q) {}
  /// −1 for ranks that have folded away.
  [[nodiscard]] int virtual_rank(int rank) const {
    if (rank >= 2 * extra) return rank - extra;
    return rank % 2 == 0 ? -1 : rank / 2;
  }
  [[nodiscard]] int real_rank(int v) const { return v < extra ? 2 * v + 1 : v + extra; }

  /// The rounds before (fold: even to odd) or after (unfold: odd to even) the power-of-two part.
  void fold(Schedule& schedule, int rank, std::int64_t n, Combine combine) const {
    if (rank >= 2 * extra) return;
    if (rank % 2 == 0)
      schedule.push_back(MessageRound{.send_to = rank + 1, .send = {0, n}});
    else
      schedule.push_back(MessageRound{.receive_from = rank - 1, .receive = {0, n}, .combine = combine});
  }
  void unfold(Schedule& schedule, int rank, std::int64_t n) const {
    if (rank >= 2 * extra) return;
    if (rank % 2 == 0)
      schedule.push_back(MessageRound{.receive_from = rank + 1, .receive = {0, n}});
    else
      schedule.push_back(MessageRound{.send_to = rank - 1, .send = {0, n}});
  }
};

/// Recursive halving, then doubling, among q virtual ranks over q even cuts of n.
void halve_and_double(Schedule& schedule, const Folding& folding, int v, std::int64_t n, Combine combine) {
  const auto cuts = even_cuts(folding.q, n);
  const auto block = [&](int first, int count) {
    return Range{cuts[static_cast<std::size_t>(first)], cuts[static_cast<std::size_t>(first + count)]};
  };
  int first = 0;
  for (int half = folding.q / 2; half >= 1; half /= 2) {
    const int peer = folding.real_rank(v ^ half);
    const bool upper = (v & half) != 0;
    const int mine = upper ? first + half : first, theirs = upper ? first : first + half;
    schedule.push_back(MessageRound{.send_to = peer,
                                    .send = block(theirs, half),
                                    .receive_from = peer,
                                    .receive = block(mine, half),
                                    .combine = combine});
    first = mine;
  }
  for (int half = 1; half < folding.q; half *= 2) {
    const int peer = folding.real_rank(v ^ half);
    const int theirs = first ^ half;
    schedule.push_back(MessageRound{
        .send_to = peer, .send = block(first, half), .receive_from = peer, .receive = block(theirs, half)});
    first = std::min(first, theirs);
  }
}

}  // namespace

std::vector<std::int64_t> even_cuts(int p, std::int64_t n) {
  std::vector<std::int64_t> cuts;
  for (int i = 0; i <= p; ++i)
    cuts.push_back(topology::cut(i, p, n));
  return cuts;
}

Schedule ring_all_reduce(int p, int rank, std::span<const std::int64_t> cuts, Combine combine) {
  Schedule schedule;
  ring(schedule, p, rank, cuts, -1, combine);
  ring(schedule, p, rank, cuts, 0, Combine::copy);
  return schedule;
}

Schedule ring_reduce_scatter(int p, int rank, std::span<const std::int64_t> cuts, Combine combine) {
  Schedule schedule;
  ring(schedule, p, rank, cuts, -1, combine);
  return schedule;
}

Schedule ring_all_gather(int p, int rank, std::span<const std::int64_t> cuts) {
  Schedule schedule;
  ring(schedule, p, rank, cuts, 0, Combine::copy);
  return schedule;
}

Schedule recursive_doubling_all_reduce(int p, int rank, std::int64_t n, Combine combine) {
  const Folding folding(p);
  Schedule schedule;
  folding.fold(schedule, rank, n, combine);
  if (const int v = folding.virtual_rank(rank); v >= 0)
    for (int distance = 1; distance < folding.q; distance *= 2) {
      const int peer = folding.real_rank(v ^ distance);
      schedule.push_back(MessageRound{
          .send_to = peer, .send = {0, n}, .receive_from = peer, .receive = {0, n}, .combine = combine});
    }
  folding.unfold(schedule, rank, n);
  return schedule;
}

Schedule halving_doubling_all_reduce(int p, int rank, std::int64_t n, Combine combine) {
  const Folding folding(p);
  Schedule schedule;
  folding.fold(schedule, rank, n, combine);
  if (const int v = folding.virtual_rank(rank); v >= 0) halve_and_double(schedule, folding, v, n, combine);
  folding.unfold(schedule, rank, n);
  return schedule;
}

Schedule binomial_broadcast(int p, int rank, int root, std::int64_t n) {
  Schedule schedule;
  const int v = modulo(rank - root, p);
  const auto real = [&](int virtual_rank) { return modulo(virtual_rank + root, p); };
  int mask = 1;
  while (mask < p && (v & mask) == 0)
    mask *= 2;
  if (v != 0) schedule.push_back(MessageRound{.receive_from = real(v - mask), .receive = {0, n}});
  for (mask /= 2; mask >= 1; mask /= 2)
    if (v + mask < p) schedule.push_back(MessageRound{.send_to = real(v + mask), .send = {0, n}});
  return schedule;
}

Schedule linear_gather(int p, int rank, int root, std::span<const std::int64_t> cuts) {
  Schedule schedule;
  if (rank != root) schedule.push_back(MessageRound{.send_to = root, .send = share_of(cuts, rank)});
  for (int peer = 0; rank == root && peer < p; ++peer)
    if (peer != root) schedule.push_back(MessageRound{.receive_from = peer, .receive = share_of(cuts, peer)});
  return schedule;
}

Schedule pairwise_all_to_all(int p, int rank, std::span<const std::int64_t> send_cuts,
                             std::span<const std::int64_t> receive_cuts) {
  Schedule schedule;
  for (int k = 1; k < p; ++k) {
    const int to = modulo(rank + k, p), from = modulo(rank - k, p);
    schedule.push_back(MessageRound{.send_to = to,
                                    .send = share_of(send_cuts, to),
                                    .receive_from = from,
                                    .receive = share_of(receive_cuts, from)});
  }
  return schedule;
}

Schedule dissemination_barrier(int p, int rank) {
  Schedule schedule;
  for (int distance = 1; distance < p; distance *= 2)
    schedule.push_back(MessageRound{.send_to = modulo(rank + distance, p),
                                    .send = {0, 1},
                                    .receive_from = modulo(rank - distance, p),
                                    .receive = {1, 2}});
  return schedule;
}

}  // namespace partita::collective
