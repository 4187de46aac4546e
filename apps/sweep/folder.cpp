/// The paths in a sweep's folder, which configurations are finished and which must run again, and how a group
/// takes the next one.
#include "folder.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <sstream>

#include "partita/base/paths.hpp"
#include "partita/base/utf8.hpp"
#include "partita/job/training_job.hpp"
#include "partita/results/atomic_file.hpp"
#include "partita/results/result_file.hpp"

namespace partita::sweep {
namespace {

namespace fs = std::filesystem;
using base::Violation;

fs::path rows_folder(const Options& options) { return options.output / "rows"; }

fs::path row_path(const Options& options, int number) {
  const std::string digits = std::to_string(number);
  return rows_folder(options) /
         (std::string(digits.size() < 4 ? 4 - digits.size() : 0, '0') + digits + ".json");
}

fs::path index_path(const Options& options) {
  const auto& shard = options.shard;
  const std::string part =
      shard.n == 1 ? "" : "-" + std::to_string(shard.k) + "-of-" + std::to_string(shard.n);
  return options.output / ("index" + part + ".csv");
}

fs::path folder_above(const fs::path& folder) {
  const auto absolute = base::absolute(folder);
  return absolute.has_filename() ? absolute.parent_path() : absolute.parent_path().parent_path();
}

/// What a row's file says; a file that is empty or damaged says that the configuration had begun.
std::optional<Row> read_row(const Options& options, const Configuration& c) {
  std::error_code none;
  const auto path = row_path(options, c.number);
  if (!fs::exists(path, none)) return std::nullopt;
  const auto bytes = results::read_bytes(path);
  auto row = from_json({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
  if (!row || row->number != c.number)
    return Row{.number = c.number, .config_hash = c.hash, .status = Status::running};
  if (row->config_hash != c.hash && has_result(c, row->config_hash)) row->config_hash = c.hash;
  return row;
}

/// A result that lost its content on the disk: none is ever written in part.
bool is_damaged(const fs::path& path) {
  std::error_code none;
  if (!fs::is_regular_file(path, none)) return false;
  try {
    results::read(path);
  } catch (const base::ConfigError&) {
    return true;
  } catch (const base::EnvironmentError&) {
    return true;
  }
  return false;
}

/// The row of a configuration that need not run again: it is complete, or would diverge again. The file
/// decides: its row may have been lost.
std::optional<Row> finished(const Options& options, const Configuration& c) {
  auto of_result = row_of_result(c);
  if (of_result.status != Status::complete && of_result.status != Status::invalid) return std::nullopt;
  const auto row = read_row(options, c);
  return row && row->status == of_result.status && row->config_hash == c.hash ? *row : of_result;
}

std::string quoted(const std::string& text) {
  if (text.find_first_of(",\"\n") == std::string::npos) return text;
  std::string inside;
  for (const char c : text)
    inside += c == '"' ? "\"\"" : std::string(1, c == '\n' ? ' ' : c);
  return "\"" + inside + "\"";
}

std::string number_text(double value) {
  if (!std::isfinite(value)) return "";
  std::ostringstream text;
  text.precision(9);
  text << value;
  return text.str();
}

}  // namespace

std::vector<results::NamedPath> files_of(const Options& options, const std::vector<Configuration>& all) {
  using results::Use;
  std::vector<results::NamedPath> files{{"config", options.file},
                                        {"output", options.output, Use::keeps},
                                        {"the index", index_path(options), Use::writes}};
  for (const auto& c : all) {
    auto more = job::files_of(c.input);
    files.insert(files.end(), more.begin(), more.end());
    files.push_back({"a row", row_path(options, c.number), Use::writes});
  }
  return files;
}

std::vector<Violation> claim_folder(const Options& options, results::Claims& claims) {
  using results::Use;
  std::error_code none;
  if (options.index_only && !fs::exists(options.output, none)) return {};
  const bool whole = options.shard.n == 1 && !options.index_only;
  const results::NamedPath parts[] = {{"output", options.output, whole ? Use::keeps : Use::shares},
                                      {"shard", index_path(options), Use::writes}};
  return claims.take(parts);
}

std::vector<Violation> check_runs_are_free(const Options& options, const std::vector<Configuration>& all) {
  std::vector<Violation> violations;
  for (const auto& c : all) {
    if (!belongs(c, options.shard)) continue;
    results::Claims claims;  // a run at a time: a process may open fewer files than a sweep has
    const auto taken = claims.take(job::files_of(c.input));
    violations.insert(violations.end(), taken.begin(), taken.end());
  }
  return violations;
}

std::vector<Violation> check_folder(const Options& options, const std::vector<Configuration>& all) {
  const auto& folder = options.output;
  const auto refuse = [&](const std::string& why) {
    return std::vector{Violation{"output", folder.string(), why}};
  };
  std::error_code none;
  if (folder.empty()) return {};  // refused already
  if (const auto problem = base::path_problem(folder); !problem.empty()) return refuse(problem);
  const bool exists = fs::exists(folder, none);
  if (exists && !fs::is_directory(folder, none)) return refuse("exists and is not a folder");
  if (exists && options.shard.n == 1 && !options.resume && !options.overwrite && !options.index_only &&
      fs::exists(index_path(options), none))
    return refuse("holds a sweep already; name another folder, or give --resume or --overwrite");
  if (exists && options.shard.n > 1 && !options.resume && !options.overwrite &&
      fs::exists(index_path(options), none))
    return refuse("holds this shard's results already; give --resume or --overwrite");
  if (options.index_only && !exists) return refuse("does not exist: there is nothing to index");
  auto violations = results::check_output_path(
      "output", exists ? index_path(options) : folder_above(folder) / ".partita-sweep", true);
  if (!exists || options.index_only) return violations;
  const auto rows = rows_folder(options);
  if (base::exists(rows) && !fs::is_directory(rows, none))
    violations.push_back({"output", rows.string(), "exists and is not a folder"});
  for (const auto& c : all)
    if (const auto row = row_path(options, c.number); fs::is_directory(row, none))
      violations.push_back({"output", row.string(), "is a folder, where a row is to be"});
  for (const auto& c : all) {
    if (!belongs(c, options.shard) || (options.resume && (finished(options, c) || is_damaged(c.file))))
      continue;
    const auto more = job::check_files(c.input);
    violations.insert(violations.end(), more.begin(), more.end());
  }
  return violations;
}

std::vector<Violation> open_folder(const Options& options, const std::vector<Configuration>& all) {
  std::vector<Violation> violations;
  const auto check = [&](const fs::path& path, const std::string& problem) {
    if (!problem.empty()) violations.push_back({"output", path.string(), problem});
  };
  check(rows_folder(options), base::make_folders(rows_folder(options)));
  if (!violations.empty()) return violations;
  for (const auto& c : all) {
    if (!belongs(c, options.shard)) continue;
    const auto row = options.resume ? finished(options, c) : std::nullopt;
    if (row) {
      write_row(options, *row);
      continue;
    }
    results::Claims claims;
    if (const auto taken = claims.take(job::files_of(c.input)); !taken.empty()) {
      violations.insert(violations.end(), taken.begin(), taken.end());  // since all were free
      continue;
    }
    if (options.resume && is_damaged(c.file))
      check(c.file, base::rename_file(c.file, c.file.string() + ".damaged"));
    if (!options.resume) check(c.file, base::remove_file(c.file));
    check(row_path(options, c.number), base::remove_file(row_path(options, c.number)));
  }
  // Another sweep finds it from now on.
  if (violations.empty()) write_index(options, all, read_rows(options, all));
  return violations;
}

std::optional<int> take_next(const Options& options, const std::vector<Configuration>& all, int after) {
  for (auto i = static_cast<std::size_t>(after); i < all.size(); ++i) {
    if (!belongs(all[i], options.shard)) continue;
    const auto path = row_path(options, all[i].number);
    const int file = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (file >= 0) {
      ::close(file);
      return all[i].number;
    }
    if (errno != EEXIST) throw base::EnvironmentError("open " + path.string(), errno, std::strerror(errno));
  }
  return std::nullopt;
}

void write_row(const Options& options, const Row& row) {
  results::replace_file(row_path(options, row.number), to_json(row));
}

std::vector<Row> read_rows(const Options& options, const std::vector<Configuration>& all) {
  std::vector<Row> rows;
  for (const auto& c : all) {
    auto row = read_row(options, c).value_or(Row{});
    // Of another sweep, lost, or killed after its result: the result decides.
    if (row.config_hash != c.hash || row.status == Status::running || row.status == Status::pending) {
      const bool begun = row.status == Status::running;
      row = row_of_result(c);
      if (row.status == Status::pending && begun) row.status = Status::running;
    }
    rows.push_back(std::move(row));
  }
  return rows;
}

fs::path write_index(const Options& options, const std::vector<Configuration>& all,
                     const std::vector<Row>& rows) {
  constexpr std::string_view figures[] = {"throughput", "train_loss", "test_loss", "test_accuracy"};
  std::ostringstream text;
  text << "number,group";
  for (const auto& [key, value] : all.front().varied)
    text << ',' << key;
  text << ",status,reason,file,config_hash,ranks,seconds";
  for (const auto name : figures)
    text << ',' << name;
  text << '\n';
  for (std::size_t i = 0; i < all.size(); ++i) {
    const auto& c = all[i];
    const auto& row = rows[i];
    if (!belongs(c, options.shard)) continue;
    text << c.number << ',' << c.group;
    for (const auto& [key, value] : c.varied)
      text << ',' << quoted(value);
    const bool has_file = row.status == Status::complete || row.status == Status::invalid;
    text << ',' << to_string(row.status) << ',' << quoted(row.reason) << ','
         << (has_file ? c.file.filename().string() : "") << ',' << c.hash << ',' << row.ranks << ','
         << number_text(row.seconds);
    for (const auto name : figures)
      text << ',' << number_text(row.figure(name));
    text << '\n';
  }
  results::replace_file(index_path(options), base::as_utf8(text.str()));
  return index_path(options);
}

}  // namespace partita::sweep
