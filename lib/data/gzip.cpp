/// Inflates piece by piece through zlib, as far as the caller asks; members that follow each other are one
/// stream, and bytes behind the last one are an error.
#include "gzip.hpp"

#include <zlib.h>

#include <algorithm>
#include <limits>

#include "partita/base/error.hpp"
#include "partita/data/library.hpp"

namespace partita::data {
namespace {

constexpr int gzip_window = 15 + 16;         // the largest window, gzip wrapping only
constexpr std::uint64_t piece = 4ull << 20;  // most bytes appended by one call of inflate
constexpr std::size_t most_input = std::numeric_limits<uInt>::max();

}  // namespace

struct GzipReader::Stream {
  z_stream z{};
};

std::string library_version() { return zlibVersion(); }

bool is_gzip(std::span<const std::uint8_t> bytes) {
  return bytes.size() >= 2 && bytes[0] == 0x1f && bytes[1] == 0x8b;
}

GzipReader::GzipReader(std::span<const std::uint8_t> compressed)
    : stream_(std::make_unique<Stream>()), compressed_(compressed) {
  stream_->z.next_in = const_cast<Bytef*>(compressed_.data());  // zlib never writes its input
  const int code = inflateInit2(&stream_->z, gzip_window);
  if (code != Z_OK) throw base::EnvironmentError("inflateInit2", code, zError(code));
}

GzipReader::~GzipReader() { inflateEnd(&stream_->z); }

void GzipReader::read(std::vector<std::uint8_t>& out, std::uint64_t limit) {
  const std::uint64_t goal = out.size() + limit;
  while (out.size() < goal && !complete_ && error_.empty())
    step(out, goal - out.size());
}

void GzipReader::step(std::vector<std::uint8_t>& out, std::uint64_t room) {
  auto& z = stream_->z;
  const auto consumed = static_cast<std::size_t>(z.next_in - compressed_.data());
  z.avail_in = static_cast<uInt>(std::min(compressed_.size() - consumed, most_input));
  const std::size_t before = out.size();
  out.resize(before + std::min(room, piece));
  z.next_out = out.data() + before;
  z.avail_out = static_cast<uInt>(out.size() - before);
  const int code = inflate(&z, Z_NO_FLUSH);
  out.resize(out.size() - z.avail_out);
  if (code == Z_STREAM_END) return end_member();
  if (code == Z_OK) return;
  if (code == Z_BUF_ERROR)
    error_ = "the gzip stream is truncated";
  else
    error_ = std::string("the gzip stream is damaged: ") + (z.msg ? z.msg : zError(code));
}

void GzipReader::end_member() {
  auto& z = stream_->z;
  const auto consumed = static_cast<std::size_t>(z.next_in - compressed_.data());
  const auto rest = compressed_.subspan(consumed);
  if (rest.empty()) {
    complete_ = true;
  } else if (!is_gzip(rest)) {
    error_ = std::to_string(rest.size()) + " bytes follow the end of the gzip stream";
  } else if (const int code = inflateReset(&z); code != Z_OK) {
    error_ = std::string("the gzip stream is damaged: ") + zError(code);
  }
}

std::vector<std::uint8_t> gzip(std::span<const std::uint8_t> plain) {
  z_stream z{};
  int code = deflateInit2(&z, 6, Z_DEFLATED, gzip_window, 8, Z_DEFAULT_STRATEGY);
  if (code != Z_OK) throw base::EnvironmentError("deflateInit2", code, zError(code));
  std::vector<std::uint8_t> out;
  z.next_in = const_cast<Bytef*>(plain.data());  // zlib never writes its input
  do {
    const auto consumed = static_cast<std::size_t>(plain.empty() ? 0 : z.next_in - plain.data());
    z.avail_in = static_cast<uInt>(std::min(plain.size() - consumed, most_input));
    const std::size_t before = out.size();
    out.resize(before + (1u << 20));
    z.next_out = out.data() + before;
    z.avail_out = 1u << 20;
    code = deflate(&z, consumed + z.avail_in == plain.size() ? Z_FINISH : Z_NO_FLUSH);
    out.resize(out.size() - z.avail_out);
  } while (code == Z_OK || code == Z_BUF_ERROR);
  deflateEnd(&z);
  if (code != Z_STREAM_END) throw base::EnvironmentError("deflate", code, zError(code));
  return out;
}

}  // namespace partita::data
