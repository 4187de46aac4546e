/// A file is replaced by the one mechanism for all files; a folder is written beside its place and renamed.
/// An older folder goes only where nothing but such an export is in it.
#include "export.hpp"

#include <algorithm>
#include <ostream>

#include "partita/base/paths.hpp"
#include "partita/results/atomic_file.hpp"
#include "partita/results/result_file.hpp"
#include "print.hpp"

namespace partita::simulate {
namespace {

namespace fs = std::filesystem;

/// Whether it is a folder of such an export's files alone.
bool holds_only(const fs::path& folder, predict::Format format) {
  std::error_code error;
  for (fs::directory_iterator i(folder, error), end; !error && i != end; i.increment(error))
    if (!i->is_regular_file(error) || !predict::has_file(format, i->path().filename().string())) return false;
  return !error;
}

fs::path beside(const fs::path& folder, const char* what) {
  return folder.parent_path() / ("." + folder.filename().string() + what);
}

std::string obstacle(const Export& wanted, bool overwrite) {
  std::error_code error;
  const auto parent = wanted.to.has_parent_path() ? wanted.to.parent_path() : fs::path(".");
  if (!wanted.to.has_filename()) return "must name a folder";
  if (!fs::is_directory(parent, error)) return "the folder " + parent.string() + " does not exist";
  const auto status = fs::symlink_status(wanted.to, error);
  if (!fs::exists(status)) return "";
  if (!fs::is_directory(status)) return "is no folder";
  if (!holds_only(wanted.to, wanted.format)) return "has other files than such an export: name a new folder";
  return overwrite ? "" : "exists; --overwrite replaces it";
}

void must(const std::string& doing, const std::error_code& error) {
  if (error) throw results::WriteError(doing, error.value(), error.message());
}

void remove_folder(const fs::path& folder) {
  std::error_code error;
  fs::remove_all(folder, error);
  must("delete " + folder.string(), error);
}

void rename_folder(const fs::path& from, const fs::path& to) {
  std::error_code error;
  fs::rename(from, to, error);
  must("rename " + from.string(), error);
}

void replace_folder(const fs::path& folder, const predict::Texts& texts) {
  const auto fresh = beside(folder, ".partial"), old = beside(folder, ".old");
  remove_folder(fresh);
  std::error_code error;
  fs::create_directory(fresh, error);
  must("make " + fresh.string(), error);
  for (const auto& [name, text] : texts)
    results::replace_file(fresh / name, text);
  if (base::exists(folder)) {
    remove_folder(old);
    rename_folder(folder, old);
  }
  rename_folder(fresh, folder);
  remove_folder(old);
}

}  // namespace

results::NamedPath named(const Export& wanted) { return {"export-to", wanted.to, results::Use::writes}; }

std::vector<base::Violation> check(const Export& wanted, std::int64_t ranks, bool overwrite) {
  std::vector<base::Violation> violations;
  const int most = predict::most_ranks(wanted.format);
  if (ranks > most)
    violations.push_back({"export",
                          std::string(predict::format_words()[static_cast<std::size_t>(wanted.format)]),
                          "is of at most " + std::to_string(most) + " ranks, not " + std::to_string(ranks)});
  if (!predict::is_folder(wanted.format)) {
    const auto wrong = results::check_output_path("export-to", wanted.to, overwrite);
    violations.insert(violations.end(), wrong.begin(), wrong.end());
  } else if (const auto wrong = obstacle(wanted, overwrite); !wrong.empty()) {
    violations.push_back({"export-to", wanted.to.string(), wrong});
  }
  return violations;
}

void write(std::ostream& out, const Export& wanted, predict::Subject subject, predict::Supposed supposed,
           std::int64_t batch) {
  subject.execution.crowding = 1;
  supposed.machine.progress = machine::Progress::independent;
  for (auto& part : supposed.machine.parts)
    part.machine.progress = machine::Progress::independent;
  const auto prediction = predict::predict(subject, supposed, batch, 3, sim::Depth::automatic);
  const auto costs = predict::costs_of(subject, supposed, prediction.roles, batch);
  const auto texts = predict::texts_of(wanted.format, predict::schedule_of(subject, prediction.roles, costs),
                                       supposed.machine);
  if (predict::is_folder(wanted.format))
    replace_folder(wanted.to, texts);
  else
    results::replace_file(wanted.to, texts.at(""));
  out << "\nexport  " << wanted.to.string();
  machine::Picoseconds end = 0;
  for (int rank = 0; const auto& step : prediction.simulation.steps.front())
    end = std::max(end, step.end + costs.core_of(rank++).step);
  if (wanted.format != predict::Format::platform)
    out << ": one step of ranks that begin together, " << duration(machine::seconds_of(end))
        << " where transfers move on by themselves";
  out << "\n";
}

}  // namespace partita::simulate
