/// Each question and each change by the form of its call that takes an error code.
#include "partita/base/paths.hpp"

#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <system_error>

#include "partita/base/error.hpp"

namespace partita::base {
namespace {

namespace fs = std::filesystem;

std::string problem_of(const char* what, const std::error_code& error) {
  return error ? std::string(what) + ": " + error.message() : "";
}

}  // namespace

bool exists(const fs::path& path) {
  std::error_code unseen;
  return fs::exists(path, unseen);
}

std::string path_problem(const fs::path& path) {
  std::error_code error;
  const auto status = fs::status(path, error);
  return status.type() == fs::file_type::not_found || !error ? "" : error.message();
}

std::string folder_problem(const fs::path& path) {
  if (auto problem = path_problem(path); !problem.empty()) return problem;
  std::error_code unseen;
  if (!fs::exists(fs::symlink_status(path, unseen))) return "";
  if (!fs::is_directory(path, unseen)) return "exists and is not a folder";
  const bool is_writable = ::access(path.c_str(), W_OK | X_OK) == 0;
  return is_writable ? "" : "cannot be written: " + std::string(std::strerror(errno));
}

fs::path absolute(const fs::path& path) {
  std::error_code error;
  const auto whole = fs::absolute(path, error);
  return (error ? path : whole).lexically_normal();
}

std::uintmax_t size_of(const fs::path& path) {
  std::error_code unseen;
  const auto size = fs::file_size(path, unseen);
  return unseen ? 0 : size;
}

std::string make_folders(const fs::path& folder) {
  std::error_code error, unseen;
  fs::create_directories(folder, error);
  return fs::is_directory(folder, unseen) ? "" : problem_of("the folder cannot be made", error);
}

std::string remove_file(const fs::path& path) {
  std::error_code error;
  fs::remove(path, error);
  return problem_of("cannot be deleted", error);
}

std::string rename_file(const fs::path& from, const fs::path& to) {
  std::error_code error;
  fs::rename(from, to, error);
  return problem_of(("cannot be called " + to.string()).c_str(), error);
}

void refuse_path(const fs::path& path, const std::string& problem) {
  if (!problem.empty()) throw ConfigError({{path.string(), "", problem}});
}

}  // namespace partita::base
