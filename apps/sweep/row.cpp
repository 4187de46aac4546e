/// A row as JSON and back, and the row that a result file stands for.
#include "row.hpp"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "partita/base/utf8.hpp"
#include "partita/job/past.hpp"
#include "partita/results/result_file.hpp"

namespace partita::sweep {
namespace {

constexpr std::array<std::string_view, 6> words{"pending", "running", "complete",
                                                "invalid", "failed",  "interrupted"};

}  // namespace

std::string_view to_string(Status status) { return words[static_cast<std::size_t>(status)]; }

double Row::figure(std::string_view name) const {
  const auto found =
      std::find_if(figures.begin(), figures.end(), [&](const auto& f) { return f.name == name; });
  return found == figures.end() ? results::not_measured : found->value;
}

std::string to_json(const Row& row) {
  nlohmann::ordered_json figures = nlohmann::ordered_json::array();
  for (const auto& figure : row.figures)
    figures.push_back({{"name", figure.name}, {"value", figure.value}, {"unit", figure.unit}});
  const nlohmann::ordered_json json{{"number", row.number},
                                    {"config_hash", row.config_hash},
                                    {"status", to_string(row.status)},
                                    {"reason", row.reason},
                                    {"ranks", row.ranks},
                                    {"seconds", row.seconds},
                                    {"figures", figures}};
  return base::with_utf8(json).dump(1) + "\n";
}

std::optional<Row> from_json(const std::string& text) {
  try {
    const auto json = nlohmann::json::parse(text);
    const auto number = [](const nlohmann::json& value) {  // JSON writes what is not finite as null
      return value.is_null() ? results::not_measured : value.get<double>();
    };
    const auto word = std::find(words.begin(), words.end(), json.at("status").get<std::string>());
    if (word == words.end()) return std::nullopt;
    Row row{.number = json.at("number").get<int>(),
            .config_hash = json.at("config_hash").get<std::string>(),
            .status = static_cast<Status>(word - words.begin()),
            .reason = base::from_utf8(json.at("reason").get<std::string>()),
            .ranks = json.at("ranks").get<std::string>(),
            .seconds = number(json.at("seconds"))};
    for (const auto& figure : json.at("figures"))
      row.figures.push_back({.name = figure.at("name").get<std::string>(),
                             .value = number(figure.at("value")),
                             .unit = figure.at("unit").get<std::string>()});
    return row;
  } catch (const nlohmann::json::exception&) {
    return std::nullopt;
  }
}

Row row_of_result(const Configuration& c) {
  Row row{.number = c.number, .config_hash = c.hash};
  std::error_code none;
  if (!std::filesystem::exists(c.file, none)) return row;
  try {
    const auto record = results::read(c.file);
    if (!job::has_recorded(record.attributes, c.input.options)) return row;
    if (record.attributes.status == results::Status::complete) row.status = Status::complete;
    if (record.attributes.status == results::Status::invalid) row.status = Status::invalid;
    if (record.attributes.status == results::Status::aborted) row.status = Status::interrupted;
    row.figures = record.figures;
  } catch (const std::exception&) {
    return row;  // it will be run again
  }
  return row;
}

bool has_result(const Configuration& c, const std::string& config_hash) {
  std::error_code none;
  if (!std::filesystem::exists(c.file, none)) return false;
  try {
    const auto attributes = results::read(c.file).attributes;
    return attributes.config_hash == config_hash && job::has_recorded(attributes, c.input.options);
  } catch (const std::exception&) {
    return false;
  }
}

}  // namespace partita::sweep
