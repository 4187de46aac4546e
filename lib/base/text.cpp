/// Bytes to lines: a byte-order mark is skipped, every line end becomes a line feed; UTF-16 and what holds
/// zeros is refused with the way to mend it.
#include "partita/base/text.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>

namespace partita::base {

Text plain_text(std::string_view bytes) {
  constexpr std::string_view utf8_mark = "\xEF\xBB\xBF", little_endian = "\xFF\xFE", big_endian = "\xFE\xFF";
  if (bytes.starts_with(little_endian) || bytes.starts_with(big_endian))
    return {.text = "", .wrong = "is UTF-16 text; save it as UTF-8"};
  if (bytes.starts_with(utf8_mark)) bytes.remove_prefix(utf8_mark.size());
  Text result;
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    if (bytes[i] != '\r')
      result.text += bytes[i];
    else if (i + 1 == bytes.size() || bytes[i + 1] != '\n')
      result.text += '\n';
  }
  if (const auto nul = result.text.find('\0'); nul != std::string::npos) {
    const auto line = 1 + std::count(result.text.begin(), result.text.begin() + static_cast<long>(nul), '\n');
    return {.text = "",
            .wrong = "has a NUL byte in line " + std::to_string(line) +
                     ": it is UTF-16, or no text; save it as UTF-8"};
  }
  return result;
}

Text read_text(const std::filesystem::path& path, std::size_t largest) {
  std::error_code unseen;
  if (std::filesystem::is_directory(path, unseen))
    return {.text = "", .wrong = "cannot be read: it is a folder"};
  errno = 0;
  std::ifstream file(path, std::ios::binary);
  if (!file) return {.text = "", .wrong = "cannot be read: " + std::string(std::strerror(errno))};
  std::string bytes(largest + 1, '\0');
  file.read(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  bytes.resize(static_cast<std::size_t>(file.gcount()));
  if (bytes.size() > largest)
    return {.text = "", .wrong = "is larger than " + std::to_string(largest >> 20) + " MiB: no such text"};
  return plain_text(bytes);
}

Text read_file_text(const std::filesystem::path& path, std::size_t largest) {
  std::error_code unseen;
  if (std::filesystem::is_other(path, unseen))
    return {.text = "", .wrong = "cannot be read: it is a device or a pipe"};
  return read_text(path, largest);
}

}  // namespace partita::base
