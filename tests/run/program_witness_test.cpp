/// What MPI was asked for during a step, as a witness below Partita saw it, is what the program says:
/// messages along the pipeline in its order, and over all axes the bytes of the ledger.
#include <gtest/gtest.h>

#include "../comm/pmpi_witness.hpp"
#include "covering_array.hpp"
#include "harness.hpp"

namespace partita::tests {
namespace {

using collective::Operation;

constexpr int first_tag_of_messages = 1 << 15;

TEST(ProgramWitness, SeesTheMessagesOfTheProgramInOrderAndTheBytesOfTheLedger) {
  const auto backend = kernels::make_reference_backend(kernels::DataType::float64);
  const auto nets = cases();
  auto all = with_choices_in_turn(thinned(pairs_on_all_ranks()));
  const auto coded = with_codecs_in_turn(all);
  for (std::size_t i = 0; i < all.size(); i += 2)  // every other one
    all[i] = coded[i / 2];
  for (const auto& d : all) {
    const auto& c = nets[d.net];
    Harness harness(c, d, *backend);
    for (const std::int64_t batch : {c.batch, std::int64_t{1}}) {
      harness.step(0, batch, batch);  // plans what it needs
      const auto wire = [&] {
        std::array<std::int64_t, 3> sums{};
        for (const auto& row : world().ledger().rows(world().rank())) {
          sums[0] += row.counts.wire_bytes.value();
          sums[1] += row.counts.wire_bytes_received.value();
          sums[2] += row.counts.messages;
        }
        return sums;
      };
      const auto before = wire();
      forget();
      harness.step(0, batch, batch);
      const auto& seen = witnessed();
      const auto after = wire();

      std::vector<Witnessed> expected, messages;
      const auto& program = harness.program();
      for (const auto& instruction : program.instructions) {
        if (instruction.kind != step::Kind::start) continue;
        const auto& t = program.transfers[*instruction.transfer];
        if (t.operation != Operation::send && t.operation != Operation::receive) continue;
        const auto samples = program.microbatch(*t.microbatch, harness.at().data, batch).size();
        const auto bytes = 8 * program.payload(t, samples).value();
        if (bytes > 0)
          expected.push_back(
              {t.operation == Operation::send, *t.peer, first_tag_of_messages + *t.tag, bytes});
      }
      std::array<std::int64_t, 3> sums{};
      for (const auto& call : seen) {
        if (call.tag >= first_tag_of_messages) messages.push_back(call);
        sums[call.send ? 0 : 1] += call.bytes;
        sums[2] += call.send ? 1 : 0;
      }
      EXPECT_TRUE(messages == expected) << to_string(d) << ", batch " << batch;
      for (std::size_t i = 0; i < 3; ++i)
        EXPECT_EQ(after[i] - before[i], sums[i]) << to_string(d) << ", batch " << batch;
    }
  }
}

}  // namespace
}  // namespace partita::tests
