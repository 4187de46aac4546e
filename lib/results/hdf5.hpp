/// The few HDF5 calls that result files need, checked: files that live in memory, attributes, checksummed
/// columns with units, dimension scales.
///
/// Files are images in memory. HDF5 1.10 reports a full disk in H5Dwrite only, then neither flushes nor
/// closes the file and crashes at exit; and its file locks fail on some network file systems. Neither can
/// happen to an image.
#pragma once

#include <hdf5.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

#include "partita/base/handle.hpp"

namespace partita::results::hdf5 {

/// A call that HDF5 refused, or an object that is not what the schema says.
class Failure : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

template <herr_t (*Close)(hid_t)>
struct HandleTraits {
  using Handle = hid_t;
  static Handle null() { return H5I_INVALID_HID; }
  static void close(Handle handle) noexcept { Close(handle); }
};
using Group = base::UniqueHandle<HandleTraits<H5Gclose>>;
using Dataset = base::UniqueHandle<HandleTraits<H5Dclose>>;
using Space = base::UniqueHandle<HandleTraits<H5Sclose>>;
using Type = base::UniqueHandle<HandleTraits<H5Tclose>>;
using Attribute = base::UniqueHandle<HandleTraits<H5Aclose>>;
using PropertyList = base::UniqueHandle<HandleTraits<H5Pclose>>;

using Extents = std::vector<hsize_t>;

/// A file in memory, format of HDF5 1.10 (checksummed metadata). Objects opened in it are closed before it
/// is.
class File {
 public:
  /// `expected_bytes`: memory is taken in pieces of this size, so that a large file is not moved as it grows.
  static File create(std::size_t expected_bytes = 0);
  /// Opens a whole file for reading; the bytes are copied.
  static File open(std::span<const std::byte> image);

  [[nodiscard]] hid_t id() const { return file_.get(); }
  /// Closes a created file and gives its bytes as they belong on a disk.
  [[nodiscard]] std::vector<std::byte> close();

 private:
  struct Image;
  struct FreeImage {
    void operator()(Image*) const;
  };
  std::unique_ptr<Image, FreeImage> image_;  ///< outlives the file that HDF5 keeps in it
  base::UniqueHandle<HandleTraits<H5Fclose>> file_;
};

/// Groups list their members in order of creation; those of other software that keep none, by name.
Group create_group(hid_t parent, const std::string& name);
Group open_group(hid_t parent, const std::string& name);
bool exists(hid_t parent, const std::string& name);
std::vector<std::string> members(hid_t group);
/// Whether a member is a group rather than a dataset.
bool is_group(hid_t parent, const std::string& name);

// Attributes: scalars; strings of fixed length, UTF-8.
void write_attribute(hid_t object, const std::string& name, const std::string& value);
void write_attribute(hid_t object, const std::string& name, std::int64_t value);
void write_attribute(hid_t object, const std::string& name, std::uint64_t value);
void write_attribute(hid_t object, const std::string& name, double value);
bool has_attribute(hid_t object, const std::string& name);
std::vector<std::string> attributes(hid_t object);
void read_attribute(hid_t object, const std::string& name, std::string& value);
void read_attribute(hid_t object, const std::string& name, std::int64_t& value);
void read_attribute(hid_t object, const std::string& name, std::uint64_t& value);
void read_attribute(hid_t object, const std::string& name, double& value);

// Columns: chunked, Fletcher-32. No extent is 0. T: int64_t, float, double (with units), string (without).
template <class T>
Dataset write_column(hid_t group, const std::string& name, std::span<const T> values, const Extents& extents,
                     const std::string& units);
/// Whether the attribute `checksum` is ours; another program's may mean anything.
enum class Sums { checked, ignored };
template <class T>
std::vector<T> read_column(hid_t group, const std::string& name, Extents& extents, Sums sums = Sums::checked);

/// Makes the one-dimensional `dataset` the scale of a dimension called `name`.
void make_scale(hid_t dataset, const std::string& name);
void attach_scale(hid_t dataset, hid_t scale, unsigned dimension);
/// Whether float32 holds the values of a numeric dataset: float16 and float32.
bool is_single_precision(hid_t group, const std::string& name);

}  // namespace partita::results::hdf5
