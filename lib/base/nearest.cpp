/// Distances between words: a row of the table of all prefixes at a time (Wagner and Fischer 1974,
/// doi:10.1145/321796.321811).
#include "partita/base/nearest.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <numeric>
#include <utility>
#include <vector>

namespace partita::base {

std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = std::exchange(row[0], i);
    for (std::size_t j = 1; j <= b.size(); ++j)
      diagonal =
          std::exchange(row[j], std::min({row[j] + 1, row[j - 1] + 1, diagonal + (a[i - 1] != b[j - 1])}));
  }
  return row.back();
}

std::string nearest_word(std::string_view word, std::span<const std::string_view> candidates) {
  std::string best;
  std::size_t smallest = std::max<std::size_t>(3, word.size() / 2) + 1;
  for (const auto candidate : candidates)
    if (const auto distance = edit_distance(word, candidate); distance < smallest)
      smallest = distance, best = candidate;
  return best;
}

std::string did_you_mean(std::string_view word, std::span<const std::string_view> candidates) {
  const auto nearest = nearest_word(word, candidates);
  return nearest.empty() ? "" : "; did you mean '" + nearest + "'?";
}

std::string did_you_mean_boolean(std::string_view word) {
  constexpr std::array<std::string_view, 6> yes{"true", "yes", "on", "y", "t", "1"};
  constexpr std::array<std::string_view, 7> no{"false", "no", "off", "n", "f", "0", "none"};
  std::string lower(word);
  for (char& c : lower)
    c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  const auto is_one_of = [&](const auto& words) {
    return std::find(words.begin(), words.end(), lower) != words.end();
  };
  return did_you_mean(is_one_of(yes) ? yes[0] : is_one_of(no) ? no[0] : lower, std::array{yes[0], no[0]});
}

}  // namespace partita::base
