/// The control exchanges of a program: agreement on plans and on bad input, texts, the ledger itself.
#include <algorithm>
#include <cstring>
#include <numeric>
#include <sstream>

#include "state.hpp"

namespace partita::comm {
namespace {

using collective::Activity;
using collective::Operation;
using collective::Purpose;

/// Offsets of pieces laid end to end.
std::vector<std::int64_t> offsets_of(std::span<const std::int64_t> sizes) {
  std::vector<std::int64_t> cuts(sizes.size() + 1, 0);
  std::partial_sum(sizes.begin(), sizes.end(), cuts.begin() + 1);
  return cuts;
}

/// An all-gather of `width` numbers a rank without an agreement of its own; result by rank.
std::vector<std::int64_t> all_gather_numbers(const std::shared_ptr<Communicator::State>& state,
                                             std::span<const std::int64_t> mine, Purpose purpose) {
  const auto width = static_cast<std::int64_t>(mine.size());
  std::vector<std::int64_t> numbers(static_cast<std::size_t>(width * state->size));
  std::copy(mine.begin(), mine.end(), numbers.begin() + width * state->rank);
  const View view{std::span(numbers)};
  const Description d{
      .operation = Operation::all_gather, .purpose = purpose, .elements = view.size(), .type = view.type()};
  const collective::Spec spec{.operation = d.operation,
                              .type = d.type,
                              .elements = d.elements.value(),
                              .cuts = collective::even_cuts(state->size, view.size().value())};
  const auto operation = make_round_collective(
      state, d, view, view, collective::rounds_of(spec, {.rank = state->rank, .node_of = state->node_of}));
  operation->start();
  operation->wait();
  return numbers;
}

std::vector<std::string> split(const std::string& all, std::span<const std::int64_t> cuts) {
  std::vector<std::string> texts;
  for (std::size_t i = 0; i + 1 < cuts.size(); ++i)
    texts.push_back(
        all.substr(static_cast<std::size_t>(cuts[i]), static_cast<std::size_t>(cuts[i + 1] - cuts[i])));
  return texts;
}

View bytes_view(std::string& text) {
  return {text.data(), DataType::uint8, Elements(static_cast<std::int64_t>(text.size()))};
}

/// FNV-1a over the combination, the root and the cuts.
std::int64_t digest_of(const collective::Spec& spec) {
  std::uint64_t digest = 1469598103934665603ULL;
  const auto add = [&](std::int64_t value) {
    digest = (digest ^ static_cast<std::uint64_t>(value)) * 1099511628211ULL;
  };
  add(static_cast<std::int64_t>(spec.combine));
  add(spec.peer);
  for (const auto cut : spec.cuts)
    add(cut);
  return static_cast<std::int64_t>(digest);
}

}  // namespace

void Communicator::require_agreement(const collective::Spec& spec, const Description& d) {
  base::expect(d.elements.value() >= 0, "a count is not negative", d.elements);
  if (size() == 1 || d.operation == Operation::all_to_all) return;
  const std::int64_t mine[] = {static_cast<std::int64_t>(d.operation),
                               d.elements.value(),
                               static_cast<std::int64_t>(d.type),
                               static_cast<std::int64_t>(d.algorithm),
                               static_cast<std::int64_t>(d.purpose),
                               d.in_window ? 1 : 0,
                               digest_of(spec)};
  constexpr std::size_t width = std::size(mine);
  const auto all = all_gather_numbers(state_, mine, Purpose::control);
  for (int r = 0; r < size(); ++r)
    for (std::size_t i = 0; i < width; ++i) {
      static constexpr const char* what[] = {
          "operation", "elements", "type", "algorithm", "purpose", "window", "combination, root or cuts"};
      const auto theirs = all[static_cast<std::size_t>(r) * width + i];
      const auto first = all[i];
      base::expect(theirs == first, "all ranks plan the same collective; they differ in", what[i], "rank", r,
                   "has", theirs, "rank 0 has", first);
    }
}

std::vector<std::string> Communicator::all_gather_text(const std::string& text, Purpose purpose) {
  const std::int64_t mine = static_cast<std::int64_t>(text.size());
  const auto cuts = offsets_of(all_gather_numbers(state_, {&mine, 1}, purpose));
  std::string all(static_cast<std::size_t>(cuts.back()), '\0');
  std::copy(text.begin(), text.end(), all.begin() + cuts[static_cast<std::size_t>(rank())]);
  const View view = bytes_view(all);
  const auto operation = plan_agreed({.operation = Operation::all_gather,
                                      .type = view.type(),
                                      .elements = view.size().value(),
                                      .cuts = cuts},
                                     view, view, purpose);
  operation->start();
  operation->wait();
  return split(all, cuts);
}

std::vector<std::string> Communicator::gather_text(const std::string& text, int root, Purpose purpose) {
  const std::int64_t mine = static_cast<std::int64_t>(text.size());
  const auto cuts = offsets_of(all_gather_numbers(state_, {&mine, 1}, purpose));
  std::string all(static_cast<std::size_t>(cuts.back()), '\0');
  std::copy(text.begin(), text.end(), all.begin() + cuts[static_cast<std::size_t>(rank())]);
  const View view = bytes_view(all);
  const auto operation = plan_agreed(
      {.operation = Operation::gather, .type = view.type(), .elements = mine, .cuts = cuts, .peer = root},
      view, view, purpose);
  operation->start();
  operation->wait();
  return rank() == root ? split(all, cuts) : std::vector<std::string>{};
}

std::vector<base::Violation> Communicator::agree(const std::vector<base::Violation>& mine) {
  std::ostringstream text;
  for (const auto& v : mine)
    text << v.key << '\0' << v.value << '\0' << v.message << '\0';
  std::vector<base::Violation> all;
  std::vector<std::vector<int>> ranks;
  const auto texts = all_gather_text(text.str(), Purpose::control);
  for (int r = 0; r < size(); ++r) {
    std::istringstream fields(texts[static_cast<std::size_t>(r)]);
    for (base::Violation v; std::getline(fields, v.key, '\0') && std::getline(fields, v.value, '\0') &&
                            std::getline(fields, v.message, '\0');) {
      const auto found = std::find(all.begin(), all.end(), v);
      if (found == all.end())
        all.push_back(v), ranks.push_back({r});
      else
        ranks[static_cast<std::size_t>(found - all.begin())].push_back(r);
    }
  }
  for (std::size_t i = 0; i < all.size(); ++i) {
    if (static_cast<int>(ranks[i].size()) == size()) continue;
    std::string names;
    for (const int r : ranks[i])
      names += (names.empty() ? "" : ", ") + std::to_string(r);
    all[i].message += " (on rank" + std::string(ranks[i].size() > 1 ? "s " : " ") + names + ")";
  }
  return all;
}

std::vector<collective::TrafficRow> Communicator::gather_traffic() {
  using collective::TrafficRow;
  auto& ledger = state_->runtime->ledger;
  const Activity before = ledger.activity();
  ledger.set_activity(Activity::record);
  // Both exchanges must be in the ledger before it is packed: make their rows first, then the sizes are
  // known.
  ledger.add({.activity = Activity::record,
              .axis = axis(),
              .operation = Operation::all_gather,
              .purpose = Purpose::control},
             {});
  const collective::TrafficKey gather_key{.activity = Activity::record,
                                          .axis = axis(),
                                          .operation = Operation::gather,
                                          .purpose = Purpose::control};
  ledger.add(gather_key, {});
  const std::int64_t mine = static_cast<std::int64_t>(ledger.rows(rank()).size() * sizeof(TrafficRow));
  const auto cuts = offsets_of(all_gather_numbers(state_, {&mine, 1}, Purpose::control));
  std::string all(static_cast<std::size_t>(cuts.back()), '\0');
  const View view = bytes_view(all);
  const collective::Spec spec{
      .operation = Operation::gather, .type = DataType::uint8, .elements = mine, .cuts = cuts};
  const auto operation = plan_agreed(spec, view, view, Purpose::control);
  // Starting books the bytes; rank 0's part must lie in place before, everybody's after the booking. So the
  // rows are packed from a copy of the ledger that already holds this gather.
  Ledger with_gather = ledger;
  collective::TrafficCounts counts = collective::traffic_of(spec, place(view));
  counts.calls = 1;
  counts.payload_bytes = Bytes(mine);
  with_gather.add(gather_key, counts);
  const auto rows = with_gather.rows(rank());
  static_assert(std::is_trivially_copyable_v<TrafficRow>);
  std::memcpy(all.data() + cuts[static_cast<std::size_t>(rank())], rows.data(),
              static_cast<std::size_t>(mine));
  operation->start();
  operation->wait();
  ledger.set_activity(before);
  std::vector<TrafficRow> result(rank() == 0 ? all.size() / sizeof(TrafficRow) : 0);
  if (rank() == 0) std::memcpy(result.data(), all.data(), all.size());
  return result;
}

std::vector<collective::PeerRow> Communicator::gather_peers() {
  using collective::PeerRow;
  auto& ledger = state_->runtime->ledger;
  const Activity before = ledger.activity();
  ledger.set_activity(Activity::record);
  std::vector<PeerRow> rows;
  for (const auto& of_rank : gather_rows(ledger.peer_rows(rank()), 0, Purpose::control))
    rows.insert(rows.end(), of_rank.begin(), of_rank.end());
  ledger.set_activity(before);
  return rows;
}

}  // namespace partita::comm
