/// What conversions move, against the pieces of all ranks one by one.
#include "partita/step/conversion.hpp"

#include <gtest/gtest.h>

#include "partita/collective/rounds.hpp"

namespace partita::step {
namespace {

TEST(Conversion, CountsArePiecesOneByOne) {
  const kernels::Shape shape{5, 7, 3};
  std::size_t exchanges = 0;
  for (const int ranks : {1, 2, 3, 5, 8})
    for (const std::int64_t samples : {0, 1, 4, 9}) {
      const auto channels = collective::even_cuts(ranks, 5), rows = collective::even_cuts(ranks, 7);
      const Placement all[] = {
          plain(Spread::replicated),
          plain(Spread::partial),
          plain(Spread::batch),
          {.spread = Spread::channel, .offsets = channels},
          {.spread = Spread::height, .offsets = rows},
          {.spread = Spread::window, .offsets = rows, .kernel = 3, .stride = 1, .padding = {1, 1}},
          {.spread = Spread::window, .offsets = collective::even_cuts(ranks, 3), .kernel = 3, .stride = 2}};
      for (const auto& from : all)
        for (const auto& to : all) {
          const Conversion c{from, to, shape};
          const auto exchange = exchange_of(from, to);
          if (exchange == Exchange::none || exchange == Exchange::keep || exchange == Exchange::local ||
              exchange == Exchange::all_reduce)
            continue;
          ++exchanges;
          std::int64_t moved = 0;
          for (int i = 0; i < ranks; ++i)
            for (int j = 0; j < ranks; ++j)
              if (i != j) moved += piece_elements(c, i, j, ranks, samples);
          EXPECT_EQ(moved_elements(c, ranks, samples), moved);
          for (int rank = 0; rank < ranks; ++rank) {
            const bool each = exchange == Exchange::all_to_all;
            const auto sent = each ? send_cuts(c, rank, ranks, samples) : buffer_cuts(c, ranks, samples);
            const auto received = each ? receive_cuts(c, rank, ranks, samples) : sent;
            EXPECT_EQ(message_elements(c, End::send, rank, ranks, samples), sent.back());
            EXPECT_EQ(message_elements(c, End::receive, rank, ranks, samples), received.back());
          }
        }
    }
  EXPECT_GT(exchanges, 400U);
}

}  // namespace
}  // namespace partita::step
