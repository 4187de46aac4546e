/// Finds the files of a set in a folder or an archive, checks every record's label, and puts batches behind
/// each other in the order of their names.
#include "partita/data/cifar.hpp"

#include <algorithm>
#include <map>
#include <span>
#include <string>
#include <system_error>

#include "gzip.hpp"
#include "partita/data/class_names.hpp"
#include "partita/kernels/host_pages.hpp"
#include "tar.hpp"

namespace partita::data {
namespace {

namespace fs = std::filesystem;
using Values = std::vector<std::uint8_t>;
using Bytes = std::span<const std::uint8_t>;
using Violations = std::vector<base::Violation>;

constexpr std::uint64_t most_unpacked = std::uint64_t{1} << 30;  // CIFAR-10 has 184 MB
constexpr std::size_t pixels = std::size_t{3} * 32 * 32;

struct Format {
  std::string name;
  std::size_t label_bytes;  ///< of which the last counts
  std::uint8_t classes;
  std::vector<std::string> train;
  std::string test, names;
};

const Format formats[] = {
    {"CIFAR-10",
     1,
     10,
     {"data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin", "data_batch_4.bin", "data_batch_5.bin"},
     "test_batch.bin",
     "batches.meta.txt"},
    {"CIFAR-100", 2, 100, {"train.bin"}, "test.bin", "fine_label_names.txt"}};

/// One of the files, and how messages call it.
struct Found {
  std::string place;
  Bytes content;
};

/// Files by name, and the memory that they lie in.
struct Contents {
  std::map<std::string, Found> files;
  std::vector<Values> memory;
};

void refuse(const std::string& place, std::string why, Violations& violations) {
  violations.push_back({.key = place, .value = "", .message = std::move(why)});
}

std::vector<std::string> known_names() {
  std::vector<std::string> names;
  for (const auto& format : formats) {
    names.insert(names.end(), format.train.begin(), format.train.end());
    names.insert(names.end(), {format.test, format.names});
  }
  return names;
}

void read_files(const fs::path& folder, Contents& contents, Violations& violations) {
  std::error_code ignored;
  for (const auto& name : known_names()) {
    const auto path = folder / name;
    if (!fs::exists(fs::symlink_status(path, ignored))) continue;
    auto& bytes = contents.memory.emplace_back();
    if (const auto wrong = read_whole(path, bytes)) refuse(path.string(), *wrong, violations);
    contents.files[name] = {path.string(), bytes};
  }
}

/// The plain bytes of an archive, or what is wrong.
Complaint unpack(const fs::path& path, Values& plain) {
  Values packed;
  if (auto wrong = read_whole(path, packed)) return wrong;
  if (!is_gzip(packed)) return plain = std::move(packed), std::nullopt;
  GzipReader reader(packed);
  reader.read(plain, most_unpacked);
  if (!reader.error().empty()) return reader.error();
  if (!reader.complete())
    return "unpacks to more than " + std::to_string(most_unpacked) + " bytes: no archive of CIFAR";
  return std::nullopt;
}

void read_archive(const fs::path& path, Contents& contents, Violations& violations) {
  auto& plain = contents.memory.emplace_back();
  std::vector<TarMember> members;
  auto wrong = unpack(path, plain);
  if (!wrong) wrong = list_tar(plain, members);
  if (wrong) return refuse(path.string(), *wrong, violations);
  const auto known = known_names();
  for (const auto& member : members) {
    const auto name = fs::path(member.name).filename().string();
    if (std::find(known.begin(), known.end(), name) == known.end()) continue;
    const auto place = path.string() + ": " + member.name;
    if (!contents.files.try_emplace(name, Found{place, member.content}).second)
      refuse(place, "the archive holds another " + name, violations);
  }
}

const Format* format_of(const Contents& contents) {
  for (const auto& format : formats)
    if (contents.files.contains(format.train.front())) return &format;
  return nullptr;
}

/// Appends the records of one file; violations name the first record that is wrong.
void append_records(const Found& file, const Format& format, Dataset& half, Violations& violations) {
  const auto record = format.label_bytes + pixels, count = file.content.size() / record;
  if (file.content.size() % record != 0)
    return refuse(file.place,
                  "holds " + std::to_string(file.content.size()) + " bytes and ends inside record " +
                      std::to_string(count) + ": a record of " + format.name + " has " +
                      std::to_string(record),
                  violations);
  if (count == 0) return refuse(file.place, "holds no records", violations);
  for (std::size_t r = 0; r < count; ++r) {
    const auto bytes = file.content.subspan(r * record, record);
    const auto label = bytes[format.label_bytes - 1];
    if (label >= format.classes)
      return refuse(file.place,
                    "label " + std::to_string(label) + " of record " + std::to_string(r) +
                        " is out of range, expected 0 to " + std::to_string(format.classes - 1),
                    violations);
    half.labels.push_back(label);
    half.images.insert(half.images.end(), bytes.end() - pixels, bytes.end());
  }
}

Dataset read_half(const Contents& contents, const fs::path& source, const Format& format,
                  const std::vector<std::string>& names, Violations& violations) {
  Dataset half{.name = format.name, .sample_shape = {3, 32, 32}, .classes = format.classes};
  std::size_t first = 0;
  for (const auto& name : names) {
    const auto found = contents.files.find(name);
    if (found == contents.files.end()) {
      refuse(source.string(), "lacks " + name + " of " + format.name, violations);
      continue;
    }
    const auto size = found->second.content.size();
    if (first == 0) {
      first = size;
      kernels::reserve_huge_pages(half.images,
                                  names.size() * pixels * (size / (format.label_bytes + pixels)));
    }
    if (size != first)
      refuse(found->second.place,
             "holds " + std::to_string(size) + " bytes, " + names.front() + " " + std::to_string(first) +
                 ": one of them is not whole",
             violations);
    else
      append_records(found->second, format, half, violations);
  }
  half.samples = kernels::Samples(static_cast<std::int64_t>(half.labels.size()));
  return half;
}

}  // namespace

std::optional<DataPair> read_cifar(const fs::path& source, Violations& violations) {
  const auto before = violations.size();
  Contents contents;
  std::error_code ignored;
  if (fs::is_directory(source, ignored))
    read_files(source, contents, violations);
  else
    read_archive(source, contents, violations);
  if (violations.size() > before) return std::nullopt;
  const auto* format = format_of(contents);
  if (!format) {
    refuse(source.string(), "holds neither data_batch_1.bin (CIFAR-10) nor train.bin (CIFAR-100)",
           violations);
    return std::nullopt;
  }
  DataPair pair{.train = read_half(contents, source, *format, format->train, violations),
                .test = read_half(contents, source, *format, {format->test}, violations),
                .sha256 = ""};
  if (const auto names = contents.files.find(format->names); names != contents.files.end()) {
    const auto& [place, text] = names->second;
    if (const auto parsed = parse_class_names(text, place, violations);
        parsed && parsed->size() != format->classes)
      refuse(place,
             "names " + std::to_string(parsed->size()) + " classes, " + format->name + " has " +
                 std::to_string(format->classes),
             violations);
    else if (parsed)
      pair.train.class_names = pair.test.class_names = *parsed;
  }
  if (violations.size() > before) return std::nullopt;
  return pair;
}

}  // namespace partita::data
