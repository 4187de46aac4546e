/// A gzip stream, decompressed with every check the format offers and without trusting any claimed size.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace partita::data {

/// Whether bytes begin as a gzip stream does.
bool is_gzip(std::span<const std::uint8_t> bytes);

/// Pulls plain bytes out of a complete gzip file (one or more members) held in memory.
class GzipReader {
 public:
  explicit GzipReader(std::span<const std::uint8_t> compressed);
  ~GzipReader();
  GzipReader(const GzipReader&) = delete;
  GzipReader& operator=(const GzipReader&) = delete;

  /// Appends up to `limit` bytes to `out`, in growing pieces; fewer only at the end or on damage (see
  /// `error`).
  void read(std::vector<std::uint8_t>& out, std::uint64_t limit);
  /// Whether the last member ended, its check sum agreed and no byte followed.
  [[nodiscard]] bool complete() const { return complete_; }
  /// What is wrong with the stream; empty while nothing is.
  [[nodiscard]] const std::string& error() const { return error_; }

 private:
  void step(std::vector<std::uint8_t>& out, std::uint64_t room);
  void end_member();

  struct Stream;
  std::unique_ptr<Stream> stream_;
  std::span<const std::uint8_t> compressed_;
  bool complete_ = false;
  std::string error_;
};

/// One gzip member without a time stamp, so that equal content gives equal files.
std::vector<std::uint8_t> gzip(std::span<const std::uint8_t> plain);

}  // namespace partita::data
