/// The witness below Partita sees the rounds of every algorithm, in order, and the bytes of the ledger.
#include <gtest/gtest.h>

#include "../mpi_main.hpp"
#include "pmpi_witness.hpp"

namespace partita::comm {
namespace {

using collective::Purpose;

void expect_witnessed(Algorithm algorithm, const collective::Rounds& rounds, std::int64_t n) {
  auto fresh = Communicator::world(tests::environment());
  std::vector<float> values(static_cast<std::size_t>(n), 1.0F);
  const auto operation = fresh.plan_all_reduce(std::span(values), Combine::sum, algorithm, Purpose::gradient);
  fresh.ledger().set_activity(collective::Activity::train);
  tests::forget();
  operation->start();
  operation->wait();
  const auto& seen = tests::witnessed();
  std::vector<tests::Witnessed> expected;
  const int tag = seen.empty() ? 0 : seen.front().tag;
  for (const auto& round : rounds) {
    const auto* message = std::get_if<collective::MessageRound>(&round);
    if (!message) continue;
    if (message->receive_from >= 0 && !message->receive.empty())
      expected.push_back({false, message->receive_from, tag, 4 * message->receive.size()});
    if (message->send_to >= 0 && !message->send.empty())
      expected.push_back({true, message->send_to, tag, 4 * message->send.size()});
  }
  EXPECT_EQ(seen == expected, true) << to_string(algorithm) << " n " << n;
  std::int64_t sent = 0, received = 0, messages = 0;
  for (const auto& call : seen)
    (call.send ? sent : received) += call.bytes, messages += call.send;
  for (const auto& row : fresh.ledger().rows(fresh.rank())) {
    if (row.key.activity != collective::Activity::train) continue;
    EXPECT_EQ(row.counts.wire_bytes.value(), sent);
    EXPECT_EQ(row.counts.wire_bytes_received.value(), received);
    EXPECT_EQ(row.counts.messages, messages);
  }
}

TEST(Witness, AgreesOnSequenceAndBytes) {
  const int p = tests::world().size(), me = tests::world().rank();
  for (const std::int64_t n : {0, 1, p - 1, p + 1, 1001})
    for (const auto algorithm : collective::algorithms())
      if (algorithm != Algorithm::mpi)
        expect_witnessed(
            algorithm,
            collective::rounds_of({.algorithm = algorithm, .elements = n},
                                  {.rank = me, .node_of = std::vector<int>(static_cast<std::size_t>(p))}),
            n);
}

}  // namespace
}  // namespace partita::comm
