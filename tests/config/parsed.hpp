/// What the tests of run options start from: a parsed command line, a file that goes away.
#pragma once

#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "partita/config/options.hpp"

namespace partita::config {

/// Parses a command line beside a small valid model.
struct Parsed {
  std::vector<base::Violation> violations;
  RunOptions options;
  explicit Parsed(std::vector<std::string> arguments, bool with_model = true) {
    std::vector<const char*> argv{"test"};
    if (with_model) arguments.insert(arguments.begin(), {"--model.input=4", "--model.layer=linear 2"});
    for (const auto& argument : arguments)
      argv.push_back(argument.c_str());
    options = parse(static_cast<int>(argv.size()), argv.data(), violations);
  }
  [[nodiscard]] bool names(const std::string& text) const {
    for (const auto& violation : violations)
      if (to_string(violation).find(text) != std::string::npos) return true;
    return false;
  }
};

/// A file that is gone when the test ends.
struct TemporaryFile {
  std::filesystem::path path;
  explicit TemporaryFile(const std::string& text) {
    char name[] = "/tmp/partita-config-XXXXXX";
    close(mkstemp(name));
    path = name;
    std::ofstream(path) << text;
  }
  ~TemporaryFile() { std::filesystem::remove(path); }
};

}  // namespace partita::config
