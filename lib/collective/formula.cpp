/// Names of algorithms, and the bytes of schedules.
#include <array>
#include <bit>

#include "partita/collective/schedule.hpp"

namespace partita::collective {
namespace {

constexpr std::array<std::pair<Algorithm, std::string_view>, 7> algorithm_names{{
    {Algorithm::automatic, "auto"},
    {Algorithm::ring, "ring"},
    {Algorithm::recursive_doubling, "recursive-doubling"},
    {Algorithm::halving_doubling, "halving-doubling"},
    {Algorithm::window, "window"},
    {Algorithm::hierarchical, "hierarchical"},
    {Algorithm::mpi, "mpi"},
}};

void add(TrafficCounts& counts, const MessageRound& round, Bytes element) {
  if (round.send_to >= 0 && !round.send.empty()) {
    counts.messages += 1;
    counts.wire_bytes += element * round.send.size();
  }
  if (round.receive_from >= 0) counts.wire_bytes_received += element * round.receive.size();
}

void add(TrafficCounts& counts, const WindowRound& round, int rank, Bytes element) {
  for (const auto& load : round.loads)
    for (const int peer : load.from)
      if (peer != rank) counts.window_bytes_read += element * load.range.size();
  counts.window_bytes_written += element * (round.store.size() * static_cast<std::int64_t>(round.store_to.size()));
}

}  // namespace

std::string_view to_string(Combine combine) {
  return combine == Combine::copy ? "copy" : combine == Combine::sum ? "sum" : "max";
}

std::string_view to_string(Algorithm algorithm) {
  for (const auto& [value, name] : algorithm_names)
    if (value == algorithm) return name;
  return "unknown";
}

std::optional<Algorithm> parse_algorithm(std::string_view text) {
  for (const auto& [value, name] : algorithm_names)
    if (name == text) return value;
  return std::nullopt;
}

TrafficCounts traffic_of(const Schedule& schedule, int rank, Bytes element) {
  TrafficCounts counts;
  for (const auto& round : schedule) {
    if (const auto* message = std::get_if<MessageRound>(&round))
      add(counts, *message, element);
    else
      add(counts, std::get<WindowRound>(round), rank, element);
  }
  return counts;
}

Bytes modelled_vendor_all_reduce(int p, int rank, std::int64_t n, Bytes element) {
  const int q = static_cast<int>(std::bit_floor(static_cast<unsigned>(p)));
  const bool doubling = (element * n).value() <= 8 || n < q;
  const auto schedule = doubling ? recursive_doubling_all_reduce(p, rank, n, Combine::sum)
                                 : halving_doubling_all_reduce(p, rank, n, Combine::sum);
  return traffic_of(schedule, rank, element).wire_bytes;
}

}  // namespace partita::collective
