/// Which formats there are, and which of them are folders.
#include "partita/predict/export.hpp"

#include <algorithm>
#include <array>

#include "export_formats.hpp"

namespace partita::predict {
namespace {

struct Row {
  std::string_view word;
  int most_ranks;
  std::vector<std::string_view> names;  ///< beginnings of those of its files; none where it is one file
};

/// In the order of `Format`. A platform has a route for every two ranks.
const std::array<Row, 4>& rows() {
  static const std::array<Row, 4> all{{{"goal", 4096, {}},
                                       {"smpi", 4096, {"rank-", "index.txt", "hosts.txt"}},
                                       {"chakra", 4096, {"rank."}},
                                       {"platform", 512, {}}}};
  return all;
}
const Row& row_of(Format format) { return rows()[static_cast<std::size_t>(format)]; }

}  // namespace

std::vector<std::string_view> format_words() {
  std::vector<std::string_view> words;
  for (const auto& row : rows())
    words.push_back(row.word);
  return words;
}

std::optional<Format> format_of(std::string_view word) {
  const auto row = std::ranges::find(rows(), word, &Row::word);
  return row == rows().end() ? std::nullopt : std::optional(static_cast<Format>(row - rows().begin()));
}

bool is_folder(Format format) { return !row_of(format).names.empty(); }
int most_ranks(Format format) { return row_of(format).most_ranks; }

bool has_file(Format format, std::string_view name) {
  return std::ranges::any_of(row_of(format).names, [&](auto begin) { return name.starts_with(begin); });
}

Texts texts_of(Format format, const Schedule& schedule, const machine::Machine& machine) {
  switch (format) {
    case Format::goal:
      return {{"", goal_of(schedule)}};
    case Format::smpi:
      return smpi_of(schedule, machine);
    case Format::chakra:
      return chakra_of(schedule);
    case Format::platform:
      return {{"", platform_of(machine, static_cast<int>(schedule.size()))}};
  }
  return {};
}

}  // namespace partita::predict
