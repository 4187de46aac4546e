/// A writer and a reader of groups with the same members, so that one description of the schema serves both.
///
/// A group has named dimensions, each with a scale; its columns name the dimensions that they run over.
/// Tables are rows of a struct stored column by column.
#pragma once

#include <algorithm>
#include <concepts>
#include <map>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

#include "hdf5_bounds.hpp"
#include "stored.hpp"

namespace partita::results {

using Dimensions = std::vector<std::string>;

class GroupWriter {
 public:
  static constexpr bool writes = true;
  explicit GroupWriter(hdf5::Group group) : group_(std::move(group)) {}

  /// A subgroup, which sees the dimensions of this one. None is made where `present` says that there is
  /// nothing.
  GroupWriter group(const std::string& name) { return GroupWriter(hdf5::create_group(id(), name), this); }
  [[nodiscard]] bool begins(const std::string&, bool present) const { return present; }

  template <class T>
  void attribute(const std::string& name, const T& value) {
    hdf5::write_attribute(id(), name, to_stored(value));
  }
  /// One that the first files of this schema lack.
  template <class T>
  void later_attribute(const std::string& name, const T& value) {
    attribute(name, value);
  }
  /// A dimension numbered from 0.
  void index(const std::string& name, std::int64_t extent) {
    std::vector<std::int64_t> numbers(static_cast<std::size_t>(extent));
    std::iota(numbers.begin(), numbers.end(), 0);
    scale(name, "1", numbers);
  }
  /// A dimension with these coordinates.
  void scale(const std::string& name, const std::string& units, const std::vector<std::int64_t>& values) {
    auto dataset = hdf5::write_column<std::int64_t>(id(), name, values, {values.size()}, units);
    hdf5::make_scale(dataset.get(), name);
    scales_[name] = {std::move(dataset), values.size()};
  }
  template <class T>
  void column(const std::string& name, const std::string& units, const std::vector<T>& values,
              const Dimensions& dimensions) {
    hdf5::Extents extents;
    for (const auto& d : dimensions)
      extents.push_back(find(d).extent);
    const auto dataset = hdf5::write_column<T>(id(), name, values, extents, units);
    for (unsigned d = 0; d < dimensions.size(); ++d)
      hdf5::attach_scale(dataset.get(), find(dimensions[d]).dataset.get(), d);
  }
  /// One that the first files of this schema lack, and those that have nothing to say there.
  template <class T>
  void later_column(const std::string& name, const std::string& units, const std::vector<T>& values,
                    const Dimensions& dimensions) {
    if (!values.empty()) column(name, units, values, dimensions);
  }
  /// Column `name` of a table.
  template <class Row, class Get>
  void field(const std::string& name, const std::string& units, const std::vector<Row>& rows,
             const std::string& dimension, Get get) {
    std::vector<stored_type<decltype(get(rows[0]))>> values;
    for (const auto& row : rows)
      values.push_back(to_stored(get(row)));
    if constexpr (std::same_as<typename decltype(values)::value_type, std::int64_t>)
      if (name == dimension) return scale(name, units, values);
    column(name, units, values, {dimension});
  }
  /// One that the first files of this schema lack, and those in which no row has anything to say there.
  template <class Row, class Get>
  void later_field(const std::string& name, const std::string& units, const std::vector<Row>& rows,
                   const std::string& dimension, Get get) {
    const std::decay_t<decltype(get(rows[0]))> nothing{};
    if (std::ranges::any_of(rows, [&](const Row& row) { return get(row) != nothing; }))
      field(name, units, rows, dimension, get);
  }

 private:
  struct Scale {
    hdf5::Dataset dataset;
    hsize_t extent = 0;
  };
  GroupWriter(hdf5::Group group, const GroupWriter* parent) : group_(std::move(group)), parent_(parent) {}
  [[nodiscard]] hid_t id() const { return group_.get(); }
  [[nodiscard]] const Scale& find(const std::string& name) const {
    const auto found = scales_.find(name);
    return found != scales_.end() || !parent_ ? scales_.at(name) : parent_->find(name);
  }

  hdf5::Group group_;
  const GroupWriter* parent_ = nullptr;
  std::map<std::string, Scale> scales_;
};

/// Throws `hdf5::Failure` for whatever is missing, of another type or of another length.
class GroupReader {
 public:
  static constexpr bool writes = false;
  explicit GroupReader(hdf5::Group group) : group_(std::move(group)) {}

  GroupReader group(const std::string& name) { return GroupReader(hdf5::open_group(id(), name), this); }
  [[nodiscard]] bool begins(const std::string& name, bool) const { return hdf5::exists(id(), name); }

  template <class T>
  void attribute(const std::string& name, T& value) {
    stored_type<T> stored{};
    hdf5::read_attribute(id(), name, stored);
    convert(stored, value, "attribute " + name);
  }
  template <class T>
  void later_attribute(const std::string& name, T& value) {
    if (hdf5::has_attribute(id(), name)) attribute(name, value);
  }
  [[nodiscard]] std::vector<std::string> attributes() const { return hdf5::attributes(id()); }

  void index(const std::string& name, std::int64_t& extent) {
    hdf5::Extents extents;
    extent = static_cast<std::int64_t>(hdf5::read_column<std::int64_t>(id(), name, extents).size());
    if (extents.size() != 1) throw hdf5::Failure("dimension " + hdf5::place_of(id(), name) + " is no list");
    scales_[name] = static_cast<hsize_t>(extent);
  }
  template <class T>
  void column(const std::string& name, const std::string&, std::vector<T>& values,
              const Dimensions& dimensions) {
    hdf5::Extents wanted, extents;
    for (const auto& d : dimensions)
      wanted.push_back(find(d));
    values = hdf5::read_column<T>(id(), name, extents);
    if (extents != wanted)
      throw hdf5::Failure("column " + hdf5::place_of(id(), name) + " has another shape than its dimensions");
  }
  template <class T>
  void later_column(const std::string& name, const std::string& units, std::vector<T>& values,
                    const Dimensions& dimensions) {
    if (hdf5::exists(id(), name)) column(name, units, values, dimensions);
  }
  template <class Row, class Get>
  void field(const std::string& name, const std::string&, std::vector<Row>& rows,
             const std::string& dimension, Get get) {
    hdf5::Extents extents;
    const auto values = hdf5::read_column<stored_type<decltype(get(rows[0]))>>(id(), name, extents);
    if (scales_.empty()) {
      scales_[dimension] = values.size();
      rows.resize(values.size());
    }
    if (extents != hdf5::Extents{rows.size()})
      throw hdf5::Failure("column " + hdf5::place_of(id(), name) + " has another length than its table");
    const auto place = "column " + hdf5::place_of(id(), name);
    for (std::size_t i = 0; i < rows.size(); ++i)
      convert(values[i], get(rows[i]), place);
  }
  template <class Row, class Get>
  void later_field(const std::string& name, const std::string& units, std::vector<Row>& rows,
                   const std::string& dimension, Get get) {
    if (hdf5::exists(id(), name)) field(name, units, rows, dimension, get);
  }

 private:
  GroupReader(hdf5::Group group, const GroupReader* parent) : group_(std::move(group)), parent_(parent) {}
  [[nodiscard]] hid_t id() const { return group_.get(); }
  template <class Stored, class T>
  static void convert(const Stored& stored, T& value, const std::string& place) {
    try {
      from_stored(stored, value);
    } catch (const hdf5::Failure& failure) {
      throw hdf5::Failure(place + ": " + failure.what());
    }
  }
  [[nodiscard]] hsize_t find(const std::string& name) const {
    const auto found = scales_.find(name);
    return found != scales_.end() || !parent_ ? scales_.at(name) : parent_->find(name);
  }

  hdf5::Group group_;
  const GroupReader* parent_ = nullptr;
  std::map<std::string, hsize_t> scales_;
};

/// Whether all files of the schema have a column.
enum class Since { always, later };

/// The rows of one table: `describe(fields)` calls `fields(name, units, get)` for each column, where `get`
/// picks the member of a row; a fourth argument says that the first files lack it. The dimension is numbered,
/// unless a column bears its name. A table without rows has no group.
template <class Archive, class Rows, class Describe>
void exchange_rows(Archive& group, const std::string& dimension, bool numbered, Rows& rows,
                   Describe describe) {
  if (numbered) {
    auto extent = static_cast<std::int64_t>(rows.size());
    group.index(dimension, extent);
    if constexpr (!Archive::writes) rows.resize(static_cast<std::size_t>(extent));
  }
  describe([&](const std::string& name, const std::string& units, auto get, Since since = Since::always) {
    if (since == Since::always)
      group.field(name, units, rows, dimension, get);
    else
      group.later_field(name, units, rows, dimension, get);
  });
}

template <class Archive, class Rows, class Describe>
void exchange_table(Archive& parent, const std::string& name, const std::string& dimension, bool numbered,
                    Rows& rows, Describe describe) {
  if (!parent.begins(name, !rows.empty())) return;
  auto group = parent.group(name);
  exchange_rows(group, dimension, numbered, rows, describe);
}

}  // namespace partita::results
