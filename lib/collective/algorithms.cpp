/// A row for each algorithm of an all-reduce: its word, its generator, where it is possible. Words,
/// `sync.algorithm`, the candidates of tables and of partita-bench-comm, and the rounds of every all-reduce
/// come from here.
#include <algorithm>
#include <map>

#include "partita/base/error.hpp"
#include "partita/collective/spec.hpp"

namespace partita::collective {
namespace {

enum class Where { anywhere, one_node, some_ranks_a_node };

struct Row {
  Algorithm algorithm;
  std::string_view word;
  Rounds (*rounds)(const Spec&, const Place&);  ///< null: the vendor's
  /// Of a reduce-scatter with the same additions; null: there is none.
  Rounds (*scatter)(const Spec&, const Place&) = nullptr;
  Where where = Where::anywhere;
  bool on_shared = false;  ///< see `works_on_shared`
};

/// Elements of a window's staging slot, and up to which every rank reduces everything itself.
WindowTuning window_tuning(const Spec& spec) {
  const auto element = kernels::size_of(spec.type);
  return {.chunk = (256 << 10) / element, .gather = 4096 / element};
}

Rounds ring(const Spec& s, const Place& at) {
  return ring_all_reduce(at.ranks(), at.rank, even_cuts(at.ranks(), s.elements), s.combine);
}
Rounds recursive_doubling(const Spec& s, const Place& at) {
  return recursive_doubling_all_reduce(at.ranks(), at.rank, s.elements, s.combine);
}
Rounds halving_doubling(const Spec& s, const Place& at) {
  return halving_doubling_all_reduce(at.ranks(), at.rank, s.elements, s.combine);
}
/// Short enough that a tree is full of chunks soon, long enough that their number does not weigh.
constexpr Bytes tree_chunk(128 << 10);

Rounds double_tree(const Spec& s, const Place& at) {
  return double_tree_all_reduce(at.ranks(), at.rank, s.elements, s.combine,
                                tree_chunk.value() / kernels::size_of(s.type));
}
Rounds window(const Spec& s, const Place& at) {
  if (at.in_window || at.reached) return direct_window_all_reduce(at.ranks(), at.rank, s.elements, s.combine);
  return staged_window_all_reduce(at.ranks(), at.rank, s.elements, s.combine, window_tuning(s));
}
Rounds hierarchical(const Spec& s, const Place& at) {
  return hierarchical_all_reduce(at.rank, at.node_of, s.elements, s.combine);
}

/// A generator of reduce-scatters that needs no more than the cuts.
template <Rounds (*generator)(int, int, std::span<const std::int64_t>, Combine)>
Rounds scatter(const Spec& s, const Place& at) {
  return generator(at.ranks(), at.rank, s.cuts, s.combine);
}
Rounds window_scatter(const Spec& s, const Place& at) {
  if (at.in_window || at.reached) return direct_window_reduce_scatter(at.ranks(), at.rank, s.cuts, s.combine);
  return staged_window_reduce_scatter(at.ranks(), at.rank, s.cuts, s.combine, window_tuning(s).chunk);
}

constexpr Row rows[] = {
    {.algorithm = Algorithm::ring,
     .word = "ring",
     .rounds = ring,
     .scatter = scatter<ring_reduce_scatter>,
     .on_shared = true},
    {.algorithm = Algorithm::recursive_doubling,
     .word = "recursive-doubling",
     .rounds = recursive_doubling,
     .scatter = scatter<recursive_doubling_reduce_scatter>},
    {.algorithm = Algorithm::halving_doubling,
     .word = "halving-doubling",
     .rounds = halving_doubling,
     .scatter = scatter<halving_doubling_reduce_scatter>,
     .on_shared = true},
    {.algorithm = Algorithm::double_tree, .word = "double-tree", .rounds = double_tree, .on_shared = true},
    {.algorithm = Algorithm::window,
     .word = "window",
     .rounds = window,
     .scatter = window_scatter,
     .where = Where::one_node,
     .on_shared = true},
    {.algorithm = Algorithm::hierarchical,
     .word = "hierarchical",
     .rounds = hierarchical,
     .where = Where::some_ranks_a_node},
    {.algorithm = Algorithm::mpi, .word = "mpi", .rounds = nullptr},
};

const Row* row_of(Algorithm algorithm) {
  const auto* const found = std::ranges::find(rows, algorithm, &Row::algorithm);
  return found == std::end(rows) ? nullptr : found;
}

const Row& possible_row(const Spec& spec, const Place& at) {
  const auto* const row = row_of(spec.algorithm);
  base::expect(row != nullptr, "a reduction has an algorithm;", to_string(spec.algorithm));
  base::expect(row->where != Where::one_node || std::ranges::count(at.node_of, 0) == at.ranks(),
               "a window needs all ranks on one node; ranks", at.ranks());
  return *row;
}

Rounds all_reduce(const Spec& spec, const Place& at) {
  const auto& row = possible_row(spec, at);
  return row.rounds ? row.rounds(spec, at) : Rounds();
}

Rounds reduce_scatter(const Spec& spec, const Place& at) {
  const auto& row = possible_row(spec, at);
  base::expect(row.scatter != nullptr, "a reduce-scatter can be done so;", to_string(spec.algorithm));
  return row.scatter(spec, at);
}

Rounds all_gather(const Spec& spec, const Place& at) {
  if (spec.algorithm == Algorithm::window && (at.in_window || at.reached))
    return direct_window_all_gather(at.ranks(), at.rank, spec.cuts);
  if (spec.algorithm == Algorithm::recursive_doubling)
    return bruck_all_gather(at.ranks(), at.rank, spec.cuts);
  return ring_all_gather(at.ranks(), at.rank, spec.cuts);
}

Rounds message(const Spec& spec) {
  const Range all{0, spec.elements};
  if (spec.operation == Operation::send) return {MessageRound{.send_to = spec.peer, .send = all}};
  return {MessageRound{.receive_from = spec.peer, .receive = all}};
}

}  // namespace

std::string_view to_string(Algorithm algorithm) {
  const auto* const row = row_of(algorithm);
  return row ? row->word : "auto";
}

std::optional<Algorithm> parse_algorithm(std::string_view text) {
  if (text == to_string(Algorithm::automatic)) return Algorithm::automatic;
  const auto* const found = std::ranges::find(rows, text, &Row::word);
  return found == std::end(rows) ? std::nullopt : std::optional(found->algorithm);
}

std::span<const Algorithm> algorithms() {
  static const auto all = [] {
    std::vector<Algorithm> in_order;
    for (const auto& row : rows)
      in_order.push_back(row.algorithm);
    return in_order;
  }();
  return all;
}

bool is_candidate(Algorithm algorithm, Reach reach) {
  const auto* const row = row_of(algorithm);
  if (!row) return false;
  switch (row->where) {
    case Where::one_node:
      return reach == Reach::window || reach == Reach::node;
    case Where::some_ranks_a_node:
      return reach == Reach::mixed;
    case Where::anywhere:
      break;
  }
  return true;
}

Algorithm scatter_like(Algorithm all_reduce) {
  const auto* const row = row_of(all_reduce);
  return row && row->scatter ? all_reduce : Algorithm::ring;
}

bool works_on_shared(Algorithm algorithm) {
  const auto* const row = row_of(algorithm);
  return !row || row->on_shared;
}

bool works_on_shared(const Spec& spec) {
  const bool reduces = spec.operation == Operation::all_reduce || spec.operation == Operation::reduce_scatter;
  return !reduces || works_on_shared(spec.algorithm);
}

std::string_view to_string(Reach reach) {
  switch (reach) {
    case Reach::window:
      return "window";
    case Reach::node:
      return "node";
    case Reach::mixed:
      return "mixed";
    case Reach::spread:
      return "spread";
  }
  return "unknown";
}

Reach reach_of(const Place& at) {
  const int nodes = 1 + *std::ranges::max_element(at.node_of);
  if (nodes == 1) return at.in_window ? Reach::window : Reach::node;
  return nodes < at.ranks() ? Reach::mixed : Reach::spread;
}

std::vector<int> numbered_nodes(std::span<const int> nodes) {
  std::map<int, int> numbers;
  std::vector<int> numbered;
  for (const int node : nodes)
    numbered.push_back(numbers.emplace(node, static_cast<int>(numbers.size())).first->second);
  return numbered;
}

Rounds rounds_of(const Spec& spec, const Place& at) {
  const int p = at.ranks();
  switch (spec.operation) {
    case Operation::all_reduce:
      return all_reduce(spec, at);
    case Operation::reduce_scatter:
      return reduce_scatter(spec, at);
    case Operation::all_gather:
      return all_gather(spec, at);
    case Operation::all_to_all:
      return pairwise_all_to_all(p, at.rank, spec.cuts, spec.receive_cuts, spec.keeps_own);
    case Operation::broadcast:
      return binomial_broadcast(p, at.rank, spec.peer, spec.elements);
    case Operation::gather:
      return linear_gather(p, at.rank, spec.peer, spec.cuts);
    case Operation::barrier:
      return dissemination_barrier(p, at.rank);
    case Operation::send:
    case Operation::receive:
      break;
  }
  return message(spec);
}

Bytes memory_of(const Spec& spec, const Place& at) {
  if (is_vendors(spec)) return {};
  const Bytes element = bytes_of(spec.type, kernels::Elements(1));
  const auto mine = memory_of(rounds_of(spec, at));
  const Bytes received = element * mine.received;
  if (!mine.staged) return received;
  // Slots are as large on all ranks of a node, and every one of them stages as much (test `collective`).
  return received + Bytes(window_bytes(slot_bytes((element * *mine.staged).value())));
}

TrafficCounts traffic_of(const Spec& spec, const Place& at) {
  const Bytes element = bytes_of(spec.type, kernels::Elements(1));
  if (is_vendors(spec)) {
    TrafficCounts counts;
    counts.modelled_wire_bytes = modelled_vendor_all_reduce(at.ranks(), at.rank, spec.elements, element);
    return counts;
  }
  const auto rounds = rounds_of(spec, at);
  return traffic_of(at.reached ? with_loads(rounds) : rounds, at.rank, element);
}

}  // namespace partita::collective
