/// Collectives by point-to-point messages: ring, recursive doubling and halving, binomial tree, pairwise,
/// dissemination.
///
/// Sources: Thakur, Rabenseifner, Gropp, "Optimization of collective communication operations in MPICH",
/// IJHPCA 2005; Patarasuk and Yuan, "Bandwidth optimal all-reduce algorithms", JPDC 2009.
#include <algorithm>
#include <array>
#include <bit>

#include "partita/base/error.hpp"
#include "partita/collective/rounds.hpp"

namespace partita::collective {
namespace {

Range share_of(std::span<const std::int64_t> cuts, int i) {
  return {cuts[static_cast<std::size_t>(i)], cuts[static_cast<std::size_t>(i) + 1]};
}

int modulo(int a, int p) { return (a % p + p) % p; }

/// p − 1 rounds around the ring; in round k rank r passes on share r + offset − k and gets the one before it.
void ring(Rounds& rounds, int p, int rank, std::span<const std::int64_t> cuts, int offset, Combine combine) {
  rounds.reserve(rounds.size() + static_cast<std::size_t>(p - 1));
  for (int k = 0; k < p - 1; ++k)
    rounds.push_back(MessageRound{.send_to = modulo(rank + 1, p),
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
  void fold(Rounds& rounds, int rank, std::int64_t n, Combine combine) const {
    if (rank >= 2 * extra) return;
    if (rank % 2 == 0)
      rounds.push_back(MessageRound{.send_to = rank + 1, .send = {0, n}});
    else
      rounds.push_back(MessageRound{.receive_from = rank - 1, .receive = {0, n}, .combine = combine});
  }
  void unfold(Rounds& rounds, int rank, std::int64_t n) const {
    if (rank >= 2 * extra) return;
    if (rank % 2 == 0)
      rounds.push_back(MessageRound{.receive_from = rank + 1, .receive = {0, n}});
    else
      rounds.push_back(MessageRound{.send_to = rank - 1, .send = {0, n}});
  }
};

/// The ranges of those shares that a condition on virtual ranks picks, neighbours as one; a folded rank's
/// share goes with that of the rank it folds into, which follows it.
template <class Picks>
std::vector<Range> shares_of(const Folding& folding, std::span<const std::int64_t> cuts, Picks picks) {
  std::vector<Range> ranges;
  for (int v = 0; v < folding.q; ++v) {
    if (!picks(v)) continue;
    const int last = folding.real_rank(v), first = v < folding.extra ? last - 1 : last;
    const Range share{cuts[static_cast<std::size_t>(first)], cuts[static_cast<std::size_t>(last) + 1]};
    if (!ranges.empty() && ranges.back().end == share.begin)
      ranges.back().end = share.end;
    else
      ranges.push_back(share);
  }
  return ranges;
}

/// At each distance in turn a rank gives its peer the shares of those on the peer's side, and adds what the
/// peer has of the others.
Rounds halving_reduce_scatter(int p, int rank, std::span<const std::int64_t> cuts, Combine combine,
                              bool nearest_first) {
  const Folding folding(p);
  Rounds rounds;
  folding.fold(rounds, rank, cuts.back(), combine);
  const int v = folding.virtual_rank(rank);
  int met = 0;  // bits of the distances so far: what a rank is left with is equal to it in these
  for (int i = 1; v >= 0 && i < folding.q; i *= 2) {
    const int distance = nearest_first ? i : folding.q / 2 / i;
    const int peer = folding.real_rank(v ^ distance);
    const auto left = [&](int of) {
      return shares_of(folding, cuts, [&](int w) { return ((w ^ of) & (met | distance)) == 0; });
    };
    const auto theirs = left(v ^ distance), mine = left(v);
    for (std::size_t k = 0; k < std::max(theirs.size(), mine.size()); ++k) {
      const Range none{};
      rounds.push_back(MessageRound{.send_to = peer,
                                    .send = k < theirs.size() ? theirs[k] : none,
                                    .receive_from = peer,
                                    .receive = k < mine.size() ? mine[k] : none,
                                    .combine = combine});
    }
    met |= distance;
  }
  if (rank < 2 * folding.extra && rank % 2 == 0)
    rounds.push_back(MessageRound{.receive_from = rank + 1, .receive = share_of(cuts, rank)});
  else if (rank < 2 * folding.extra)
    rounds.push_back(MessageRound{.send_to = rank - 1, .send = share_of(cuts, rank - 1)});
  return rounds;
}

/// Recursive halving, then doubling, among q virtual ranks over q even cuts of n.
void halve_and_double(Rounds& rounds, const Folding& folding, int v, std::int64_t n, Combine combine) {
  const auto cuts = even_cuts(folding.q, n);
  const auto block = [&](int first, int count) {
    return Range{cuts[static_cast<std::size_t>(first)], cuts[static_cast<std::size_t>(first + count)]};
  };
  int first = 0;
  for (int half = folding.q / 2; half >= 1; half /= 2) {
    const int peer = folding.real_rank(v ^ half);
    const bool upper = (v & half) != 0;
    const int mine = upper ? first + half : first, theirs = upper ? first : first + half;
    rounds.push_back(MessageRound{.send_to = peer,
                                  .send = block(theirs, half),
                                  .receive_from = peer,
                                  .receive = block(mine, half),
                                  .combine = combine});
    first = mine;
  }
  for (int half = 1; half < folding.q; half *= 2) {
    const int peer = folding.real_rank(v ^ half);
    const int theirs = first ^ half;
    rounds.push_back(MessageRound{
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

Rounds ring_all_reduce(int p, int rank, std::span<const std::int64_t> cuts, Combine combine) {
  Rounds rounds;
  rounds.reserve(2 * static_cast<std::size_t>(p - 1));
  ring(rounds, p, rank, cuts, -1, combine);
  ring(rounds, p, rank, cuts, 0, Combine::copy);
  return rounds;
}

Rounds ring_reduce_scatter(int p, int rank, std::span<const std::int64_t> cuts, Combine combine) {
  Rounds rounds;
  ring(rounds, p, rank, cuts, -1, combine);
  return rounds;
}

Rounds recursive_doubling_reduce_scatter(int p, int rank, std::span<const std::int64_t> cuts,
                                         Combine combine) {
  return halving_reduce_scatter(p, rank, cuts, combine, true);
}

Rounds halving_doubling_reduce_scatter(int p, int rank, std::span<const std::int64_t> cuts, Combine combine) {
  return halving_reduce_scatter(p, rank, cuts, combine, false);
}

Rounds ring_all_gather(int p, int rank, std::span<const std::int64_t> cuts) {
  Rounds rounds;
  ring(rounds, p, rank, cuts, 0, Combine::copy);
  return rounds;
}

Rounds bruck_all_gather(int p, int rank, std::span<const std::int64_t> cuts) {
  Rounds rounds;
  // Shares first, …, first + count − 1, modulo p: up to the last one, and on from the first.
  const auto ranges = [&](int first, int count) {
    const int end = first + count;
    const auto between = [&](int a, int b) {
      return Range{cuts[static_cast<std::size_t>(a)], cuts[static_cast<std::size_t>(b)]};
    };
    return std::array{between(first, std::min(end, p)), between(0, std::max(end - p, 0))};
  };
  for (int distance = 1; distance < p; distance *= 2) {
    const int count = std::min(distance, p - distance);
    const auto sent = ranges(rank, count), received = ranges(modulo(rank + distance, p), count);
    for (std::size_t half = 0; half < 2; ++half)
      rounds.push_back(MessageRound{.send_to = modulo(rank - distance, p),
                                    .send = sent[half],
                                    .receive_from = modulo(rank + distance, p),
                                    .receive = received[half]});
  }
  return rounds;
}

Rounds recursive_doubling_all_reduce(int p, int rank, std::int64_t n, Combine combine) {
  const Folding folding(p);
  Rounds rounds;
  folding.fold(rounds, rank, n, combine);
  if (const int v = folding.virtual_rank(rank); v >= 0)
    for (int distance = 1; distance < folding.q; distance *= 2) {
      const int peer = folding.real_rank(v ^ distance);
      rounds.push_back(MessageRound{
          .send_to = peer, .send = {0, n}, .receive_from = peer, .receive = {0, n}, .combine = combine});
    }
  folding.unfold(rounds, rank, n);
  return rounds;
}

Rounds halving_doubling_all_reduce(int p, int rank, std::int64_t n, Combine combine) {
  const Folding folding(p);
  Rounds rounds;
  folding.fold(rounds, rank, n, combine);
  if (const int v = folding.virtual_rank(rank); v >= 0) halve_and_double(rounds, folding, v, n, combine);
  folding.unfold(rounds, rank, n);
  return rounds;
}

Rounds binomial_broadcast(int p, int rank, int root, std::int64_t n) {
  Rounds rounds;
  const int v = modulo(rank - root, p);
  const auto real = [&](int virtual_rank) { return modulo(virtual_rank + root, p); };
  int mask = 1;
  while (mask < p && (v & mask) == 0)
    mask *= 2;
  if (v != 0) rounds.push_back(MessageRound{.receive_from = real(v - mask), .receive = {0, n}});
  for (mask /= 2; mask >= 1; mask /= 2)
    if (v + mask < p) rounds.push_back(MessageRound{.send_to = real(v + mask), .send = {0, n}});
  return rounds;
}

Rounds linear_gather(int p, int rank, int root, std::span<const std::int64_t> cuts) {
  Rounds rounds;
  if (rank != root) rounds.push_back(MessageRound{.send_to = root, .send = share_of(cuts, rank)});
  for (int peer = 0; rank == root && peer < p; ++peer)
    if (peer != root) rounds.push_back(MessageRound{.receive_from = peer, .receive = share_of(cuts, peer)});
  return rounds;
}

Rounds pairwise_all_to_all(int p, int rank, std::span<const std::int64_t> send_cuts,
                           std::span<const std::int64_t> receive_cuts, bool keeps_own) {
  Rounds rounds;
  for (int k = keeps_own ? 1 : 0; k < p; ++k) {
    const int to = modulo(rank + k, p), from = modulo(rank - k, p);
    rounds.push_back(MessageRound{.send_to = to,
                                  .send = share_of(send_cuts, to),
                                  .receive_from = from,
                                  .receive = share_of(receive_cuts, from)});
  }
  return rounds;
}

Rounds dissemination_barrier(int p, int rank) {
  Rounds rounds;
  for (int distance = 1; distance < p; distance *= 2)
    rounds.push_back(MessageRound{.send_to = modulo(rank + distance, p),
                                  .send = {0, 1},
                                  .receive_from = modulo(rank - distance, p),
                                  .receive = {1, 2}});
  return rounds;
}

}  // namespace partita::collective
