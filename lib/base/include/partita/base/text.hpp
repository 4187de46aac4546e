/// Text files that people write, whatever editor wrote them.
#pragma once

#include <cstddef>
#include <filesystem>
#include <string>
#include <string_view>

namespace partita::base {

/// The text, or why there is none, as a sentence without a subject.
struct Text {
  std::string text, wrong;
};

/// UTF-8 without a byte-order mark, each line ended by one '\n' (CR LF and CR are line ends too). UTF-16 and
/// NUL bytes are refused.
Text plain_text(std::string_view bytes);

/// The plain text of a file, or of what a pipe gives; at most `largest` bytes, so that a device named by
/// mistake is not read for ever.
Text read_text(const std::filesystem::path&, std::size_t largest);

/// The same of a file alone: devices and pipes, which might never end, are refused.
Text read_file_text(const std::filesystem::path&, std::size_t largest);

}  // namespace partita::base
