/// IDX files made by hand, byte by byte, without the writer under test; and a folder that vanishes with its
/// test.
#pragma once

#include <unistd.h>
#include <zlib.h>

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <string>
#include <vector>

namespace partita::test {

using Bytes = std::vector<std::uint8_t>;

inline Bytes idx_bytes(const std::vector<std::uint32_t>& extents, const Bytes& values,
                       std::uint8_t type = 8) {
  Bytes bytes{0, 0, type, static_cast<std::uint8_t>(extents.size())};
  for (const auto extent : extents) {
    bytes.push_back(static_cast<std::uint8_t>(extent >> 24));
    bytes.push_back(static_cast<std::uint8_t>(extent >> 16));
    bytes.push_back(static_cast<std::uint8_t>(extent >> 8));
    bytes.push_back(static_cast<std::uint8_t>(extent));
  }
  bytes.insert(bytes.end(), values.begin(), values.end());
  return bytes;
}

/// One gzip member, made by zlib itself.
inline Bytes gzip_bytes(Bytes plain) {
  z_stream z{};
  if (deflateInit2(&z, 9, Z_DEFLATED, 31, 8, Z_DEFAULT_STRATEGY) != Z_OK)
    throw std::runtime_error("deflateInit2");
  Bytes out(deflateBound(&z, plain.size()) + 64);
  z.next_in = plain.data();
  z.avail_in = static_cast<uInt>(plain.size());
  z.next_out = out.data();
  z.avail_out = static_cast<uInt>(out.size());
  if (deflate(&z, Z_FINISH) != Z_STREAM_END) throw std::runtime_error("deflate");
  out.resize(z.total_out);
  deflateEnd(&z);
  return out;
}

class Folder {
 public:
  Folder() {
    std::string name = (std::filesystem::temp_directory_path() / "partita-data-XXXXXX").string();
    if (!mkdtemp(name.data())) throw std::runtime_error("mkdtemp");
    path_ = name;
  }
  ~Folder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;

  [[nodiscard]] const std::filesystem::path& path() const { return path_; }
  std::filesystem::path write(const std::string& name, const Bytes& bytes) const {
    auto file = path_ / name;
    std::filesystem::create_directories(file.parent_path());
    std::ofstream(file, std::ios::binary)
        .write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
    return file;
  }

 private:
  std::filesystem::path path_;
};

}  // namespace partita::test
