/// A record to a file and back through the one list of fields in schema.hpp, once its columns are known to be
/// of one length.
#include "partita/results/result_file.hpp"

#include "document.hpp"
#include "record_schema.hpp"

namespace partita::results {
namespace {

void check_columns(const Steps& s) {
  const std::size_t n = s.count(), cells = n * static_cast<std::size_t>(s.ranks);
  bool agree = s.ranks > 0 && s.loss.size() == n && s.samples.size() == n && s.learning_rate.size() == n &&
               (s.gradient_norm.empty() || s.gradient_norm.size() == n) &&
               (s.synchronised.empty() || s.synchronised.size() == n) && s.rank_seconds.size() == cells;
  for (const auto& column : s.phase)
    agree = agree && column.size() == cells;
  base::expect(agree, "columns of steps have the same length", n, s.ranks);
}

GroupReader root_of(const hdf5::File& file) { return GroupReader(hdf5::open_group(file.id(), "/")); }

void fill(const hdf5::File& file, const RunRecord& record) {
  auto root = GroupWriter(hdf5::open_group(file.id(), "/"));
  exchange_record(root, record);
}

RunRecord take(const hdf5::File& file) {
  RunRecord record;
  auto root = root_of(file);
  exchange_record(root, record);
  return record;
}

}  // namespace

void write_snapshot(const std::filesystem::path& path, const RunRecord& record) {
  check_columns(record.steps);
  write_document(
      path, "result", [&](const hdf5::File& file) { fill(file, record); },
      [](const hdf5::File& file) { take(file); });
}

std::vector<std::byte> image_of(const RunRecord& record) {
  check_columns(record.steps);
  return build_image("result", [&](const hdf5::File& file) { fill(file, record); });
}

RunRecord read(const std::filesystem::path& path) {
  RunRecord record;
  read_document(path, "result", [&](const hdf5::File& file) { record = take(file); });
  return record;
}

}  // namespace partita::results
