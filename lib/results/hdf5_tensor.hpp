/// Tensors written a slab of rows at a time, and virtual tensors whose parts lie in other files.
#pragma once

#include <string>
#include <vector>

#include "hdf5.hpp"
#include "partita/kernels/view.hpp"

namespace partita::results::hdf5 {

/// A checksummed dataset of float32 or float64 values, still empty; chunks of slabs of about `chunk_bytes`.
Dataset create_tensor(hid_t group, const std::string& name, kernels::DataType, const Extents& extents,
                      std::size_t chunk_bytes);
/// Writes rows [first, first + rows) of the first dimension; `values` holds them all.
void write_rows(const Dataset&, std::int64_t first, std::int64_t rows, kernels::ConstView values);

/// `count` elements of each dimension from `start` on.
struct Box {
  Extents start, count;
};

/// A box of a virtual tensor, and the box of as many elements that it shows of the dataset `path` of `file`
/// (beside the virtual one), which has these extents.
struct VirtualPart {
  Box shown;
  std::string file, path;
  Extents extents;
  Box source;
};

/// A dataset without values of its own.
void create_virtual(hid_t group, const std::string& name, kernels::DataType, const Extents& extents,
                    const std::vector<VirtualPart>& parts);

}  // namespace partita::results::hdf5
