/// Files in memory: created ones grow in a buffer that outlives them, opened ones are copies of a file's
/// bytes.
#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <cstring>

#include "hdf5_check.hpp"

namespace partita::results::hdf5 {
namespace {

/// First size and growth of a file in memory.
constexpr std::size_t least_increment = 1 << 20;

/// HDF5 tells files in memory apart by their names.
std::string next_name() {
  static std::atomic<unsigned> count = 0;
  return "partita-image-" + std::to_string(++count);
}

/// HDF5 prints its error stack by default; a library does not.
void silence() { H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr); }

PropertyList in_memory(std::size_t increment = least_increment) {
  auto access = properties(H5P_FILE_ACCESS);
  checked(H5Pset_fapl_core(access.get(), increment, false), "H5Pset_fapl_core");
  checked(H5Pset_libver_bounds(access.get(), H5F_LIBVER_V110, H5F_LIBVER_V110), "H5Pset_libver_bounds");
  return access;
}

}  // namespace

/// The memory of a created file. HDF5 grows it through `grow`, and lets go of it in `keep` when the file is
/// closed: only then is it whole (H5Fget_file_image of 1.10.8 returns a superblock with a wrong checksum).
struct File::Image {
  std::byte* bytes = nullptr;
  std::size_t size = 0;

  static void* grow(void* old, std::size_t size, H5FD_file_image_op_t, void* self) {
    auto& image = *static_cast<Image*>(self);
    auto* grown = static_cast<std::byte*>(std::realloc(old, size));
    if (!grown) return nullptr;
    if (size > image.size) std::fill(grown + image.size, grown + size, std::byte{});
    image.bytes = grown;
    image.size = size;
    return grown;
  }
  static herr_t keep(void*, H5FD_file_image_op_t, void*) { return 0; }
  static void* same(void* self) { return self; }
  static herr_t no_free(void*) { return 0; }
};

void File::FreeImage::operator()(Image* image) const {
  std::free(image->bytes);
  delete image;
}

File File::create(std::size_t expected_bytes) {
  silence();
  File file;
  file.image_.reset(new Image);
  const auto access = in_memory(std::max(expected_bytes, least_increment));
  H5FD_file_image_callbacks_t callbacks{.image_malloc = nullptr,
                                        .image_memcpy = nullptr,
                                        .image_realloc = &Image::grow,
                                        .image_free = &Image::keep,
                                        .udata_copy = &Image::same,
                                        .udata_free = &Image::no_free,
                                        .udata = file.image_.get()};
  checked(H5Pset_file_image_callbacks(access.get(), &callbacks), "H5Pset_file_image_callbacks");
  const auto creation = properties(H5P_FILE_CREATE);
  list_in_order_of_creation(creation);
  file.file_.reset(
      checked(H5Fcreate(next_name().c_str(), H5F_ACC_TRUNC, creation.get(), access.get()), "H5Fcreate"));
  return file;
}

File File::open(std::span<const std::byte> image) {
  silence();
  const auto access = in_memory();
  // HDF5 copies the image and does not write through the pointer.
  checked(H5Pset_file_image(access.get(), const_cast<std::byte*>(image.data()), image.size()),
          "H5Pset_file_image");
  File file;
  file.file_.reset(checked(H5Fopen(next_name().c_str(), H5F_ACC_RDONLY, access.get()), "H5Fopen"));
  return file;
}

std::vector<std::byte> File::close() {
  checked(H5Fflush(id(), H5F_SCOPE_GLOBAL), "H5Fflush");
  checked(H5Fclose(file_.release()), "H5Fclose");
  // The end of the file, from a superblock of version 3 with addresses of 8 bytes; memory grows in larger
  // pieces.
  std::uint64_t end = 0;
  std::memcpy(&end, image_->bytes + 28, sizeof end);
  if (image_->bytes[8] != std::byte{3} || image_->bytes[9] != std::byte{8} || end > image_->size)
    throw Failure("the superblock is not of version 3");
  return {image_->bytes, image_->bytes + end};
}

}  // namespace partita::results::hdf5
