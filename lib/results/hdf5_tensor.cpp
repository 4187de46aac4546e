/// Tensors of checkpoints: chunks with checksums for what a rank writes, and virtual ones that show the
/// shards of all ranks as one tensor to any HDF5 program.
#include "hdf5_tensor.hpp"

#include <algorithm>

#include "hdf5_check.hpp"

namespace partita::results::hdf5 {
namespace {

hid_t stored_type(kernels::DataType type) {
  return type == kernels::DataType::float64 ? H5T_IEEE_F64LE : H5T_IEEE_F32LE;
}
hid_t memory_type(kernels::DataType type) {
  return type == kernels::DataType::float64 ? H5T_NATIVE_DOUBLE : H5T_NATIVE_FLOAT;
}

Space space_of(const Extents& extents) {
  return Space(checked(H5Screate_simple(static_cast<int>(extents.size()), extents.data(), nullptr),
                       "H5Screate_simple"));
}

void select(const Space& space, const Extents& start, const Extents& count) {
  checked(H5Sselect_hyperslab(space.get(), H5S_SELECT_SET, start.data(), nullptr, count.data(), nullptr),
          "H5Sselect_hyperslab");
}

Dataset create(hid_t group, const std::string& name, kernels::DataType type, const Space& space,
               const PropertyList& creation) {
  checked(H5Pset_obj_track_times(creation.get(), false), "H5Pset_obj_track_times");
  Dataset dataset(checked(H5Dcreate2(group, name.c_str(), stored_type(type), space.get(), H5P_DEFAULT,
                                     creation.get(), H5P_DEFAULT),
                          "H5Dcreate2 " + name));
  write_attribute(dataset.get(), "units", std::string("1"));
  return dataset;
}

}  // namespace

Dataset create_tensor(hid_t group, const std::string& name, kernels::DataType type, const Extents& extents,
                      std::size_t chunk_bytes) {
  Extents chunk = extents;
  hsize_t row = kernels::size_of(type);
  for (std::size_t i = 1; i < extents.size(); ++i)
    row *= extents[i];
  chunk[0] = std::clamp<hsize_t>(chunk_bytes / row, 1, extents[0]);
  const auto creation = properties(H5P_DATASET_CREATE);
  checked(H5Pset_chunk(creation.get(), static_cast<int>(chunk.size()), chunk.data()), "H5Pset_chunk");
  checked(H5Pset_fletcher32(creation.get()), "H5Pset_fletcher32");
  return create(group, name, type, space_of(extents), creation);
}

void write_rows(const Dataset& dataset, std::int64_t first, std::int64_t rows, kernels::ConstView values) {
  const Space space(checked(H5Dget_space(dataset.get()), "H5Dget_space"));
  Extents count(static_cast<std::size_t>(
      checked(H5Sget_simple_extent_ndims(space.get()), "H5Sget_simple_extent_ndims")));
  checked(H5Sget_simple_extent_dims(space.get(), count.data(), nullptr), "H5Sget_simple_extent_dims");
  Extents start(count.size(), 0);
  start[0] = static_cast<hsize_t>(first);
  count[0] = static_cast<hsize_t>(rows);
  select(space, start, count);
  const Space memory = space_of(count);
  checked(H5Dwrite(dataset.get(), memory_type(values.type()), memory.get(), space.get(), H5P_DEFAULT,
                   values.data()),
          "H5Dwrite");
}

void create_virtual(hid_t group, const std::string& name, kernels::DataType type, const Extents& extents,
                    const std::vector<VirtualPart>& parts) {
  const auto creation = properties(H5P_DATASET_CREATE);
  for (const auto& part : parts) {
    const Space whole = space_of(extents), source = space_of(part.extents);
    select(whole, part.shown.start, part.shown.count);
    select(source, part.source.start, part.source.count);
    checked(H5Pset_virtual(creation.get(), whole.get(), part.file.c_str(), part.path.c_str(), source.get()),
            "H5Pset_virtual");
  }
  create(group, name, type, space_of(extents), creation);
}

}  // namespace partita::results::hdf5
