/// What is asked of a file in turn: HDF5's signature, no other writer, our marks, the kind of content; then
/// it is read in a child and, if that went well, here. Each refusal says what to do.
#include "document.hpp"

#include <algorithm>
#include <array>
#include <new>

#include "contained.hpp"
#include "hdf5_bounds.hpp"
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

/// HDF5 marks a file of our format while a program has it open for writing, and leaves the mark when that
/// program dies.
bool is_being_written(std::span<const std::byte> bytes) {
  constexpr std::size_t version_at = 8, flags_at = 11;
  return bytes.size() > flags_at && bytes[version_at] == std::byte{3} &&
         (bytes[flags_at] & std::byte{5}) != std::byte{};
}

std::string unquoted(const std::string& text) {
  const auto quote = hdf5::quoted(text);
  return quote.substr(1, quote.size() - 2);
}

/// Empty when the marks are right, else what is wrong.
std::string check_marks(const hdf5::File& file, const std::string& content, Marks marks) {
  if (marks == Marks::optional && !has_marks(file)) return "";
  if (!hdf5::has_attribute(file.id(), "software") || !hdf5::has_attribute(file.id(), "schema_version") ||
      !hdf5::has_attribute(file.id(), "content"))
    return "is an HDF5 file, but none that Partita wrote";
  std::string software, found;
  std::int64_t schema = 0;
  hdf5::read_attribute(file.id(), "software", software);
  hdf5::read_attribute(file.id(), "content", found);
  hdf5::read_attribute(file.id(), "schema_version", schema);
  if (software != "partita") return "is an HDF5 file of " + hdf5::quoted(software) + ", not of Partita";
  if (schema > schema_version || schema < 1)
    return "has schema_version " + std::to_string(schema) + "; this program reads versions 1 to " +
           std::to_string(schema_version) + ": use a newer Partita";
  if (found != content) return "is a " + unquoted(found) + " file, not a " + content + " file";
  return "";
}

/// What can be refused without HDF5.
void check_bytes(const std::filesystem::path& path, std::span<const std::byte> bytes) {
  if (!has_hdf5_signature(bytes)) refuse(path, bytes.empty() ? "is empty" : "is not an HDF5 file");
  if (is_being_written(bytes))
    refuse(path,
           "is open for writing in another program, or that program died: close it there, or clear the mark "
           "with h5clear --status");
}

/// Empty when `take` has taken everything, else what is wrong.
std::string examine_bytes(std::span<const std::byte> bytes, const std::string& content,
                          const std::function<void(const hdf5::File&)>& take, Marks marks) {
  bool is_foreign = false;
  try {
    const auto file = hdf5::File::open(bytes);
    is_foreign = !has_marks(file);
    if (auto wrong = check_marks(file, content, marks); !wrong.empty()) return wrong;
    take(file);
  } catch (const hdf5::Failure& failure) {
    return (is_foreign ? "has not the layout of a " + content + " file (see docs/" + content + "s.md): "
                       : std::string("is truncated or damaged: ")) +
           failure.what();
  } catch (const std::bad_alloc&) {
    return "is damaged: it names a size that no memory holds";
  } catch (const std::exception& other) {  // of a container, which only a hostile file reaches
    return std::string("is damaged: ") + other.what();
  }
  return "";
}

}  // namespace

bool has_marks(const hdf5::File& file) {
  return hdf5::has_attribute(file.id(), "software") || hdf5::has_attribute(file.id(), "schema_version") ||
         hdf5::has_attribute(file.id(), "content");
}

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
                   const std::function<void(const hdf5::File&)>& take, Marks marks) {
  const auto bytes = read_bytes(path);
  check_bytes(path, bytes);
  auto wrong =
      examine_in_child([&] { return examine_bytes(bytes, content, take, marks); }, {.bytes = bytes.size()});
  if (wrong.empty()) wrong = examine_bytes(bytes, content, take, marks);
  if (!wrong.empty()) refuse(path, std::move(wrong));
}

void read_vouched_document(const std::filesystem::path& path, std::span<const std::byte> bytes,
                           const std::string& content, const std::function<void(const hdf5::File&)>& take) {
  check_bytes(path, bytes);
  if (auto wrong = examine_bytes(bytes, content, take, Marks::required); !wrong.empty())
    refuse(path, std::move(wrong));
}

}  // namespace partita::results
