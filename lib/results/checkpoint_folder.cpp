/// The folders of checkpoints: which count, which go.
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "file_calls.hpp"
#include "partita/base/number.hpp"
#include "partita/base/paths.hpp"
#include "partita/results/checkpoint.hpp"

namespace partita::results {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view prefix = "step-";

/// The step of a checkpoint's folder, whole or not.
std::optional<std::int64_t> step_of(const fs::path& folder) {
  const auto name = folder.filename().string();
  if (!name.starts_with(prefix)) return std::nullopt;
  const auto step = base::number_of<std::int64_t>(std::string_view(name).substr(prefix.size()));
  return step && *step >= 0 ? step : std::nullopt;
}

std::vector<std::int64_t> steps_in(const fs::path& dir, bool whole_only) {
  std::vector<std::int64_t> steps;
  std::error_code error;
  for (fs::directory_iterator i(dir, error), end; !error && i != end; i.increment(error))
    if (const auto step = step_of(i->path());
        step && (!whole_only || base::exists(i->path() / "manifest.h5")))
      steps.push_back(*step);
  std::sort(steps.rbegin(), steps.rend());
  return steps;
}

/// The manifest first, so that what is half deleted does not count.
void remove_checkpoint(const fs::path& folder) {
  std::error_code ignored;  // what cannot be deleted is in nobody's way
  fs::remove(folder / "manifest.h5", ignored);
  fs::remove_all(folder, ignored);
}

}  // namespace

fs::path checkpoint_folder(const fs::path& dir, std::int64_t step) {
  return dir / (std::string(prefix) + std::to_string(step));
}

std::vector<std::int64_t> list_checkpoints(const fs::path& dir) { return steps_in(dir, true); }

void remove_old_checkpoints(const fs::path& dir, int keep) {
  const auto whole = steps_in(dir, true);
  if (whole.empty()) return;
  for (const auto step : steps_in(dir, false)) {
    const auto rank = std::find(whole.begin(), whole.end(), step) - whole.begin();
    const bool is_whole = rank < static_cast<std::ptrdiff_t>(whole.size());
    if (is_whole ? rank >= keep : step < whole.front()) remove_checkpoint(checkpoint_folder(dir, step));
  }
}

void remove_all_checkpoints(const fs::path& dir) {
  std::error_code error;
  for (fs::directory_iterator i(dir, error), end; !error && i != end; i.increment(error))
    if (i->path().filename().string().starts_with("damaged-" + std::string(prefix)))
      remove_checkpoint(i->path());
  for (const auto step : steps_in(dir, false))
    remove_checkpoint(checkpoint_folder(dir, step));
}

void set_aside(const fs::path& dir, std::int64_t step) {
  const auto folder = checkpoint_folder(dir, step);
  std::error_code error;
  const auto aside = dir / ("damaged-" + folder.filename().string());
  fs::remove_all(aside, error);
  fs::rename(folder, aside, error);
  if (error) throw WriteError("rename " + folder.string(), error.value(), error.message());
}

std::vector<base::Violation> check_checkpoint_dir(const fs::path& dir, bool may_exist) {
  const auto violation = [&](const std::string& message) {
    return std::vector{base::Violation{"checkpoint.dir", dir.string(), message}};
  };
  if (const auto problem = base::folder_problem(dir); !problem.empty()) return violation(problem);
  std::error_code error;
  if (fs::exists(dir, error)) {
    if (const auto steps = list_checkpoints(dir); !steps.empty() && !may_exist)
      return violation("holds the checkpoint of step " + std::to_string(steps.front()) +
                       "; go on from it with --resume or delete it with --overwrite");
    return {};
  }
  const auto parent = folder_of(dir);
  if (!fs::is_directory(parent, error)) return violation("the folder " + parent.string() + " does not exist");
  if (::access(parent.c_str(), W_OK | X_OK) != 0)
    return violation("cannot be made: " + std::string(std::strerror(errno)));
  return {};
}

}  // namespace partita::results
