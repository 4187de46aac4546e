#include "document.hpp"

#include <algorithm>
#include <array>
#include <new>

#include "partita/results/atomic_file.hpp"
#include "partita/results/result_file.hpp"

namespace partita::results {
namespace {

[[noreturn]] void refuse(const std::filesystem::path& path, std::string message) {
  throw base::ConfigError({{.key = path.string(), .value = "", .message = std::move(message)}});
}

bool has_hdf5_signature(std::span<const std::byte> bytes) {
  static constexpr std::array<unsigned char, 8> signature{0x89, 'H', 'D', 'F', '\r', '\n', 0x1a, '\n'};
  return bytes.size() >= signature.size() &&
         std::equal(signature.begin(), signature.end(), bytes.begin(),
                    [](unsigned char a, std::byte b) { return std::byte{a} == b; });
}

/// Empty when the marks are right, else what is wrong.
std::string check_marks(const hdf5::File& file, const std::string& content) {
  if (!hdf5::has_attribute(file.id(), "software") || !hdf5::has_attribute(file.id(), "schema_version") ||
      !hdf5::has_attribute(file.id(), "content"))
    return "is an HDF5 file, but none that Partita wrote";
  std::string software, found;
  std::int64_t schema = 0;
  hdf5::read_attribute(file.id(), "software", software);
  hdf5::read_attribute(file.id(), "content", found);
  hdf5::read_attribute(file.id(), "schema_version", schema);
  if (software != "partita") return "is an HDF5 file of " + software + ", not of Partita";
  if (schema > schema_version || schema < 1)
    return "has schema_version " + std::to_string(schema) + "; this program reads versions 1 to " +
           std::to_string(schema_version) + ": use a newer Partita";
  if (found != content) return "is a " + found + " file, not a " + content + " file";
  return "";
}

}  // namespace

void sign(const hdf5::File& file, const std::string& content) {
  hdf5::write_attribute(file.id(), "schema_version", schema_version);
  hdf5::write_attribute(file.id(), "software", std::string("partita"));
  hdf5::write_attribute(file.id(), "content", content);
}

std::vector<std::byte> build_image(const std::string& content,
                                   const std::function<void(const hdf5::File&)>& fill) {
  try {
    auto file = hdf5::File::create();
    sign(file, content);
    fill(file);
    return file.close();
  } catch (const hdf5::Failure& failure) {
    throw WriteError("building a " + content + " file in memory", -1, failure.what());
  }
}

void write_document(const std::filesystem::path& path, const std::string& content,
                    const std::function<void(const hdf5::File&)>& fill,
                    const std::function<void(const hdf5::File&)>& verify) {
  replace_file(path, build_image(content, fill), [&](std::span<const std::byte> written) {
    try {
      verify(hdf5::File::open(written));
    } catch (const hdf5::Failure& failure) {
      throw WriteError("verifying " + path.string(), -1, failure.what());
    }
  });
}

void read_document(const std::filesystem::path& path, const std::string& content,
                   const std::function<void(const hdf5::File&)>& take) {
  read_document_bytes(path, read_bytes(path), content, take);
}

void read_document_bytes(const std::filesystem::path& path, std::span<const std::byte> bytes,
                         const std::string& content, const std::function<void(const hdf5::File&)>& take) {
  if (!has_hdf5_signature(bytes)) refuse(path, bytes.empty() ? "is empty" : "is not an HDF5 file");
  try {
    const auto file = hdf5::File::open(bytes);
    if (auto wrong = check_marks(file, content); !wrong.empty()) refuse(path, std::move(wrong));
    take(file);
  } catch (const hdf5::Failure& failure) {
    refuse(path, std::string("is truncated or damaged: ") + failure.what());
  } catch (const std::bad_alloc&) {
    refuse(path, "is damaged: it names a size that no memory holds");
  } catch (const std::length_error&) {
    refuse(path, "is damaged: it names a size that no memory holds");
  }
}

}  // namespace partita::results
