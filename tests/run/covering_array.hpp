/// Decompositions in which every pair of (net, data, pipeline, tensor, schedule, micro-batches, placing)
/// occurs that fits up to eight ranks: found once by a greedy search, kept as it is.
#pragma once

#include <algorithm>
#include <cstdlib>
#include <iterator>

#include "../mpi_main.hpp"
#include "cases.hpp"

namespace partita::tests {

/// Where many ranks share few cores each training takes a second, most of it to make communicators: there
/// some of a list stand for all. PARTITA_EVERY_CASE in the environment asks for all of them (`--full`).
template <class Case>
std::vector<Case> thinned(const std::vector<Case>& all) {
  const int ranks = world().size();
  const std::size_t one_in = std::getenv("PARTITA_EVERY_CASE") || ranks <= 4 ? 1 : ranks <= 6 ? 4 : 9;
  std::vector<Case> some;
  for (std::size_t i = std::min({std::size_t{2}, one_in - 1, all.size() - 1}); i < all.size(); i += one_in)
    some.push_back(all[i]);
  return some;
}

inline const std::vector<Decomposition>& covering_array() {
  using S = step::Schedule;
  using P = Placing;
  static const std::vector<Decomposition> all{
      {1, {1, 3, 1}, S::gpipe, 1, P::cheapest},
      {4, {1, 1, 3}, S::one_f_one_b, 1, P::batch},
      {7, {3, 1, 1}, S::zb_h1, 5, P::cheapest},
      {0, {1, 2, 2}, S::naive, 1, P::column},
      {4, {4, 1, 1}, S::naive, 1, P::cheapest},
      {6, {2, 1, 2}, S::one_f_one_b, 5, P::height},
      {7, {2, 1, 2}, S::one_f_one_b, 1, P::replicated},
      {8, {1, 2, 2}, S::zb_h1, 8, P::batch},
      {8, {2, 1, 2}, S::naive, 2, P::weird_trick},
      {0, {1, 2, 3}, S::zb_h1, 5, P::cheapest},
      {0, {1, 3, 2}, S::gpipe, 1, P::weird_trick},
      {0, {1, 3, 2}, S::one_f_one_b, 5, P::row},
      {0, {2, 3, 1}, S::interleaved, 8, P::cheapest},
      {0, {3, 1, 2}, S::gpipe, 2, P::batch},
      {1, {2, 1, 3}, S::interleaved, 2, P::height},
      {1, {3, 1, 2}, S::gpipe, 8, P::row},
      {2, {1, 3, 2}, S::naive, 2, P::batch},
      {2, {2, 1, 3}, S::interleaved, 1, P::row},
      {2, {3, 1, 2}, S::zb_h1, 1, P::weird_trick},
      {2, {3, 2, 1}, S::interleaved, 8, P::cheapest},
      {3, {1, 2, 3}, S::gpipe, 8, P::weird_trick},
      {3, {1, 3, 2}, S::interleaved, 1, P::height},
      {3, {3, 1, 2}, S::zb_h1, 2, P::row},
      {4, {1, 3, 2}, S::zb_h1, 8, P::replicated},
      {4, {3, 1, 2}, S::zb_h1, 1, P::column},
      {5, {1, 2, 3}, S::zb_h1, 1, P::column},
      {5, {2, 3, 1}, S::zb_h1, 5, P::cheapest},
      {5, {3, 1, 2}, S::naive, 5, P::height},
      {6, {1, 3, 2}, S::interleaved, 2, P::cheapest},
      {6, {2, 1, 3}, S::naive, 5, P::replicated},
      {6, {3, 1, 2}, S::naive, 2, P::column},
      {7, {1, 2, 3}, S::gpipe, 8, P::height},
      {7, {1, 3, 2}, S::one_f_one_b, 5, P::column},
      {8, {1, 2, 3}, S::naive, 8, P::row},
      {8, {2, 3, 1}, S::zb_h1, 2, P::cheapest},
      {8, {3, 1, 2}, S::one_f_one_b, 1, P::replicated},
      {0, {1, 4, 2}, S::gpipe, 2, P::height},
      {0, {2, 1, 4}, S::naive, 1, P::cheapest},
      {0, {4, 1, 2}, S::interleaved, 8, P::replicated},
      {1, {1, 2, 4}, S::zb_h1, 5, P::batch},
      {1, {1, 4, 2}, S::one_f_one_b, 8, P::column},
      {1, {2, 2, 2}, S::zb_h1, 1, P::replicated},
      {1, {4, 1, 2}, S::naive, 2, P::weird_trick},
      {2, {1, 4, 2}, S::one_f_one_b, 2, P::replicated},
      {2, {2, 1, 4}, S::zb_h1, 1, P::height},
      {2, {4, 1, 2}, S::gpipe, 5, P::column},
      {3, {2, 1, 4}, S::naive, 8, P::batch},
      {3, {2, 2, 2}, S::one_f_one_b, 1, P::column},
      {3, {2, 4, 1}, S::gpipe, 5, P::cheapest},
      {3, {4, 1, 2}, S::one_f_one_b, 1, P::replicated},
      {4, {1, 2, 4}, S::gpipe, 2, P::replicated},
      {4, {1, 2, 4}, S::one_f_one_b, 2, P::height},
      {4, {1, 4, 2}, S::one_f_one_b, 5, P::row},
      {4, {2, 2, 2}, S::interleaved, 5, P::weird_trick},
      {5, {1, 4, 2}, S::interleaved, 2, P::batch},
      {5, {2, 1, 4}, S::one_f_one_b, 8, P::weird_trick},
      {5, {2, 2, 2}, S::interleaved, 1, P::replicated},
      {5, {4, 1, 2}, S::gpipe, 8, P::row},
      {6, {1, 2, 4}, S::gpipe, 2, P::row},
      {6, {1, 4, 2}, S::zb_h1, 1, P::weird_trick},
      {6, {4, 1, 2}, S::zb_h1, 8, P::batch},
      {6, {4, 2, 1}, S::one_f_one_b, 2, P::cheapest},
      {7, {1, 4, 2}, S::naive, 2, P::weird_trick},
      {7, {2, 1, 4}, S::interleaved, 1, P::row},
      {7, {4, 1, 2}, S::interleaved, 2, P::batch},
      {8, {1, 4, 2}, S::one_f_one_b, 5, P::height},
      {8, {2, 1, 4}, S::interleaved, 2, P::column},
      {8, {4, 1, 2}, S::gpipe, 1, P::height},
      {9, {1, 2, 2}, S::zb_h1, 8, P::batch},
      {9, {2, 1, 2}, S::naive, 2, P::weird_trick},
      {9, {1, 2, 3}, S::naive, 8, P::row},
      {9, {2, 3, 1}, S::zb_h1, 2, P::cheapest},
      {9, {3, 1, 2}, S::one_f_one_b, 1, P::replicated},
      {9, {1, 4, 2}, S::one_f_one_b, 5, P::height},
      {9, {2, 1, 4}, S::interleaved, 2, P::column},
      {9, {4, 1, 2}, S::gpipe, 1, P::height},
      {10, {2, 1, 1}, S::one_f_one_b, 5, P::cheapest},
      {10, {1, 2, 1}, S::zb_h1, 5, P::cheapest},
      {10, {1, 1, 2}, S::gpipe, 2, P::batch},
      {10, {1, 1, 3}, S::one_f_one_b, 1, P::height},
      {10, {3, 1, 1}, S::zb_h1, 2, P::cheapest},
      {10, {1, 3, 1}, S::interleaved, 8, P::cheapest},
      {10, {2, 2, 1}, S::one_f_one_b, 8, P::cheapest},
      {10, {1, 2, 2}, S::zb_h1, 8, P::batch},
      {10, {2, 1, 2}, S::naive, 2, P::weird_trick},
      {10, {1, 1, 4}, S::gpipe, 5, P::column},
      {10, {1, 2, 3}, S::naive, 8, P::row},
      {10, {2, 3, 1}, S::zb_h1, 2, P::cheapest},
      {10, {3, 1, 2}, S::one_f_one_b, 1, P::replicated},
      {10, {1, 4, 2}, S::one_f_one_b, 5, P::height},
      {10, {2, 1, 4}, S::interleaved, 2, P::column},
      {10, {4, 1, 2}, S::gpipe, 1, P::height},
      {10, {2, 2, 2}, S::zb_h1, 5, P::height},
  };
  return all;
}

/// Those for all ranks.
inline std::vector<Decomposition> pairs_on_all_ranks() {
  std::vector<Decomposition> found;
  std::ranges::copy_if(covering_array(), std::back_inserter(found),
                       [](const Decomposition& d) { return d.grid.size() == world().size(); });
  return found;
}

}  // namespace partita::tests
