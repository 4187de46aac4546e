/// How values are stored: fixed little-endian types, chunks with a checksum, long columns of whole numbers
/// and texts packed. Type, place and size are checked before a value is read.
#include "hdf5.hpp"

#include <hdf5_hl.h>

#include <algorithm>
#include <type_traits>

#include "hdf5_bounds.hpp"
#include "hdf5_check.hpp"
#include "partita/base/utf8.hpp"
#include "partita/results/version.hpp"

namespace partita::results::hdf5 {
namespace {

/// Datasets are cut into chunks of at most about this many bytes: HDF5 checks a chunk's checksum as a whole.
constexpr hsize_t chunk_bytes = 1 << 20;

template <class T>
constexpr bool is_text = std::is_same_v<T, std::string>;

template <class T>
hid_t memory_type() {
  if constexpr (std::is_same_v<T, std::int64_t>) return H5T_NATIVE_INT64;
  if constexpr (std::is_same_v<T, std::uint64_t>) return H5T_NATIVE_UINT64;
  if constexpr (std::is_same_v<T, float>) return H5T_NATIVE_FLOAT;
  if constexpr (std::is_same_v<T, double>) return H5T_NATIVE_DOUBLE;
}

template <class T>
hid_t file_type() {
  if constexpr (std::is_same_v<T, std::int64_t>) return H5T_STD_I64LE;
  if constexpr (std::is_same_v<T, std::uint64_t>) return H5T_STD_U64LE;
  if constexpr (std::is_same_v<T, float>) return H5T_IEEE_F32LE;
  if constexpr (std::is_same_v<T, double>) return H5T_IEEE_F64LE;
}

template <class T>
constexpr H5T_class_t type_class = is_text<T>              ? H5T_STRING
                                   : std::is_integral_v<T> ? H5T_INTEGER
                                                           : H5T_FLOAT;

Type text_type(std::size_t length) {
  Type type(checked(H5Tcopy(H5T_C_S1), "H5Tcopy"));
  checked(H5Tset_size(type.get(), std::max<std::size_t>(length, 1)), "H5Tset_size");
  checked(H5Tset_strpad(type.get(), H5T_STR_NULLPAD), "H5Tset_strpad");
  checked(H5Tset_cset(type.get(), H5T_CSET_UTF8), "H5Tset_cset");
  return type;
}

/// Texts and whole numbers of a long column repeat and are packed; measurements hardly shrink. Columns below
/// this size stay plain.
constexpr hsize_t packed_bytes = 16 << 10;

bool can_pack() {
  static const bool available = H5Zfilter_avail(H5Z_FILTER_DEFLATE) > 0;
  return available;
}

/// Chunks: the whole dataset, or slabs of its first dimension.
PropertyList column_properties(const Extents& extents, std::size_t element_bytes, bool repeats) {
  Extents chunk = extents;
  hsize_t row = element_bytes;
  for (std::size_t i = 1; i < extents.size(); ++i)
    row *= extents[i];
  chunk[0] = std::clamp<hsize_t>(chunk_bytes / row, 1, extents[0]);
  auto list = properties(H5P_DATASET_CREATE);
  checked(H5Pset_chunk(list.get(), static_cast<int>(chunk.size()), chunk.data()), "H5Pset_chunk");
  if (repeats && row * extents[0] >= packed_bytes && can_pack()) {
    checked(H5Pset_shuffle(list.get()), "H5Pset_shuffle");
    checked(H5Pset_deflate(list.get(), 1), "H5Pset_deflate");
  }
  // Last, so that a checksum is verified before anything is unpacked.
  checked(H5Pset_fletcher32(list.get()), "H5Pset_fletcher32");
  checked(H5Pset_obj_track_times(list.get(), false), "H5Pset_obj_track_times");
  return list;
}

void write_scalar(hid_t object, const std::string& name, hid_t on_file, hid_t in_memory_type,
                  const void* value) {
  const Space scalar(checked(H5Screate(H5S_SCALAR), "H5Screate"));
  const Attribute attribute(
      checked(H5Acreate2(object, name.c_str(), on_file, scalar.get(), H5P_DEFAULT, H5P_DEFAULT),
              "H5Acreate2 " + name));
  checked(H5Awrite(attribute.get(), in_memory_type, value), "H5Awrite " + name);
}

void check_class(const Type& type, H5T_class_t wanted, const std::string& place) {
  if (H5Tget_class(type.get()) != wanted || (wanted == H5T_STRING && H5Tis_variable_str(type.get()) != 0))
    throw Failure(place + " has another type than expected");
}

/// Attributes hold names, counts and a configuration.
constexpr std::size_t largest_attribute = 16 << 20;

/// Opens a scalar attribute of the class wanted.
std::pair<Attribute, Type> open_attribute(hid_t object, const std::string& name, H5T_class_t wanted) {
  const auto place = "attribute " + name + " of " + place_of(object, "");
  Attribute attribute(checked(H5Aopen(object, name.c_str(), H5P_DEFAULT), place + ": H5Aopen"));
  Type type(checked(H5Aget_type(attribute.get()), "H5Aget_type"));
  check_class(type, wanted, place);
  const Space space(checked(H5Aget_space(attribute.get()), "H5Aget_space"));
  if (H5Sget_simple_extent_npoints(space.get()) != 1) throw Failure(place + " is not a scalar");
  if (H5Tget_size(type.get()) > largest_attribute) throw Failure(place + " is larger than 16 MiB");
  return {std::move(attribute), std::move(type)};
}

Dataset open_dataset(hid_t group, const std::string& name) {
  require_own_member(group, name);
  return Dataset(
      checked(H5Dopen2(group, name.c_str(), H5P_DEFAULT), "column " + place_of(group, name) + ": H5Dopen2"));
}

template <class T>
void read_number(hid_t object, const std::string& name, T& value) {
  const auto [attribute, type] = open_attribute(object, name, type_class<T>);
  checked(H5Aread(attribute.get(), memory_type<T>(), &value), "H5Aread " + name);
}

/// The text that was given to be written.
std::string text_in(const char* padded, std::size_t length) {
  return base::from_utf8({padded, std::find(padded, padded + length, '\0')});
}

/// What is kept in files is UTF-8, whatever the text's bytes are.
std::vector<std::string> as_stored(std::span<const std::string> values) {
  std::vector<std::string> stored;
  for (const auto& value : values)
    stored.push_back(base::as_utf8(value));
  return stored;
}

std::string one_buffer(std::span<const std::string> values, std::size_t width) {
  std::string all;
  for (const auto& value : values)
    all.append(value).append(width - value.size(), '\0');
  return all;
}

}  // namespace

Group create_group(hid_t parent, const std::string& name) {
  const auto creation = properties(H5P_GROUP_CREATE);
  list_in_order_of_creation(creation);
  return Group(checked(H5Gcreate2(parent, name.c_str(), H5P_DEFAULT, creation.get(), H5P_DEFAULT),
                       "H5Gcreate2 " + name));
}

Group open_group(hid_t parent, const std::string& name) {
  if (name != "/") require_own_member(parent, name);
  return Group(
      checked(H5Gopen2(parent, name.c_str(), H5P_DEFAULT), "group " + place_of(parent, name) + ": H5Gopen2"));
}

bool exists(hid_t parent, const std::string& name) {
  return checked(H5Lexists(parent, name.c_str(), H5P_DEFAULT), "H5Lexists " + name) > 0;
}

std::vector<std::string> members(hid_t group) {
  std::vector<std::string> names;
  const auto collect = [](hid_t, const char* name, const H5L_info_t*, void* out) -> herr_t {
    static_cast<std::vector<std::string>*>(out)->emplace_back(name);
    return 0;
  };
  const PropertyList creation(checked(H5Gget_create_plist(group), "H5Gget_create_plist"));
  unsigned order = 0;
  checked(H5Pget_link_creation_order(creation.get(), &order), "H5Pget_link_creation_order");
  const auto index = (order & H5P_CRT_ORDER_TRACKED) != 0 ? H5_INDEX_CRT_ORDER : H5_INDEX_NAME;
  checked(H5Literate(group, index, H5_ITER_INC, nullptr, collect, &names), "H5Literate");
  return names;
}

bool is_group(hid_t parent, const std::string& name) {
  require_own_member(parent, name);
  const base::UniqueHandle<HandleTraits<H5Oclose>> object(
      checked(H5Oopen(parent, name.c_str(), H5P_DEFAULT), "H5Oopen " + place_of(parent, name)));
  return H5Iget_type(object.get()) == H5I_GROUP;
}

void write_attribute(hid_t object, const std::string& name, const std::string& value) {
  const auto stored = base::as_utf8(value);
  const auto type = text_type(stored.size());
  write_scalar(object, name, type.get(), type.get(), stored.c_str());
}
void write_attribute(hid_t object, const std::string& name, std::int64_t value) {
  write_scalar(object, name, H5T_STD_I64LE, H5T_NATIVE_INT64, &value);
}
void write_attribute(hid_t object, const std::string& name, std::uint64_t value) {
  write_scalar(object, name, H5T_STD_U64LE, H5T_NATIVE_UINT64, &value);
}
void write_attribute(hid_t object, const std::string& name, double value) {
  write_scalar(object, name, H5T_IEEE_F64LE, H5T_NATIVE_DOUBLE, &value);
}

bool has_attribute(hid_t object, const std::string& name) {
  return checked(H5Aexists(object, name.c_str()), "H5Aexists " + name) > 0;
}

std::vector<std::string> attributes(hid_t object) {
  std::vector<std::string> names;
  const auto collect = [](hid_t, const char* name, const H5A_info_t*, void* out) -> herr_t {
    static_cast<std::vector<std::string>*>(out)->emplace_back(name);
    return 0;
  };
  checked(H5Aiterate2(object, H5_INDEX_NAME, H5_ITER_INC, nullptr, collect, &names), "H5Aiterate2");
  return names;
}

void read_attribute(hid_t object, const std::string& name, std::string& value) {
  const auto [attribute, type] = open_attribute(object, name, H5T_STRING);
  std::string buffer(H5Tget_size(type.get()), '\0');
  checked(H5Aread(attribute.get(), type.get(), buffer.data()), "H5Aread " + name);
  value = text_in(buffer.data(), buffer.size());
}
void read_attribute(hid_t object, const std::string& name, std::int64_t& value) {
  read_number(object, name, value);
}
void read_attribute(hid_t object, const std::string& name, std::uint64_t& value) {
  read_number(object, name, value);
}
void read_attribute(hid_t object, const std::string& name, double& value) {
  read_number(object, name, value);
}

template <class T>
Dataset write_column(hid_t group, const std::string& name, std::span<const T> values, const Extents& extents,
                     const std::string& units) {
  const Space space(checked(H5Screate_simple(static_cast<int>(extents.size()), extents.data(), nullptr),
                            "H5Screate_simple"));
  const void* data = values.data();
  std::string text;
  Type type;
  if constexpr (is_text<T>) {
    const auto stored = as_stored(values);
    const auto longest = std::ranges::max(stored, {}, &std::string::size).size();
    type = text_type(longest);
    text = one_buffer(stored, H5Tget_size(type.get()));
    data = text.data();
  } else {
    type.reset(checked(H5Tcopy(memory_type<T>()), "H5Tcopy"));
  }
  hid_t on_file = type.get();
  if constexpr (!is_text<T>) on_file = file_type<T>();
  const auto creation = column_properties(extents, H5Tget_size(type.get()), !std::is_floating_point_v<T>);
  Dataset dataset(
      checked(H5Dcreate2(group, name.c_str(), on_file, space.get(), H5P_DEFAULT, creation.get(), H5P_DEFAULT),
              "H5Dcreate2 " + name));
  checked(H5Dwrite(dataset.get(), type.get(), H5S_ALL, H5S_ALL, H5P_DEFAULT, data), "H5Dwrite " + name);
  if constexpr (!is_text<T>) write_attribute(dataset.get(), "units", units);
  write_sum(dataset.get(), {static_cast<const std::byte*>(data), values.size() * H5Tget_size(type.get())});
  return dataset;
}

template <class T>
std::vector<T> read_column(hid_t group, const std::string& name, Extents& extents, Sums sums) {
  const auto place = place_of(group, name);
  const auto dataset = open_dataset(group, name);
  const Type type(checked(H5Dget_type(dataset.get()), "H5Dget_type"));
  check_class(type, type_class<T>, "column " + place);
  const Space space(checked(H5Dget_space(dataset.get()), "H5Dget_space"));
  extents.resize(static_cast<std::size_t>(
      checked(H5Sget_simple_extent_ndims(space.get()), "H5Sget_simple_extent_ndims")));
  checked(H5Sget_simple_extent_dims(space.get(), extents.data(), nullptr), "H5Sget_simple_extent_dims");
  const auto count = require_held(dataset.get(), extents, H5Tget_size(type.get()), "column " + place);
  std::vector<T> values(count);
  if constexpr (is_text<T>) {
    const std::size_t width = H5Tget_size(type.get());
    std::string all(count * width, '\0');
    checked(H5Dread(dataset.get(), type.get(), H5S_ALL, H5S_ALL, H5P_DEFAULT, all.data()),
            "H5Dread " + place);
    if (sums == Sums::checked) check_sum(dataset.get(), std::as_bytes(std::span(all)), place);
    for (std::size_t i = 0; i < count; ++i)
      values[i] = text_in(all.data() + i * width, width);
  } else {
    checked(H5Dread(dataset.get(), memory_type<T>(), H5S_ALL, H5S_ALL, H5P_DEFAULT, values.data()),
            "H5Dread " + place);
    if (sums == Sums::checked) check_sum(dataset.get(), std::as_bytes(std::span(values)), place);
  }
  return values;
}

template Dataset write_column(hid_t, const std::string&, std::span<const std::int64_t>, const Extents&,
                              const std::string&);
template Dataset write_column(hid_t, const std::string&, std::span<const float>, const Extents&,
                              const std::string&);
template Dataset write_column(hid_t, const std::string&, std::span<const double>, const Extents&,
                              const std::string&);
template Dataset write_column(hid_t, const std::string&, std::span<const std::string>, const Extents&,
                              const std::string&);
template std::vector<std::int64_t> read_column(hid_t, const std::string&, Extents&, Sums);
template std::vector<float> read_column(hid_t, const std::string&, Extents&, Sums);
template std::vector<double> read_column(hid_t, const std::string&, Extents&, Sums);
template std::vector<std::string> read_column(hid_t, const std::string&, Extents&, Sums);

void make_scale(hid_t dataset, const std::string& name) {
  checked(H5DSset_scale(dataset, name.c_str()), "H5DSset_scale " + name);
}

void attach_scale(hid_t dataset, hid_t scale, unsigned dimension) {
  checked(H5DSattach_scale(dataset, scale, dimension), "H5DSattach_scale");
}

bool is_single_precision(hid_t group, const std::string& name) {
  const auto dataset = open_dataset(group, name);
  const Type type(checked(H5Dget_type(dataset.get()), "H5Dget_type"));
  return H5Tget_size(type.get()) <= sizeof(float);
}

}  // namespace partita::results::hdf5

std::string partita::results::hdf5_version() {
  unsigned major = 0, minor = 0, patch = 0;
  H5get_libversion(&major, &minor, &patch);
  return std::to_string(major) + "." + std::to_string(minor) + "." + std::to_string(patch);
}
