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

/// A rectangle of a virtual tensor: the whole dataset `path` of `file` (beside the virtual one), of which it
/// covers `rows` of the first dimension from `first_row` on, and `columns` of the second from `first_column`.
struct VirtualPart {
  std::string file, path;
  std::int64_t first_row = 0, rows = 0, first_column = 0, columns = 0;
};

/// A dataset without values of its own. A one-dimensional one ignores columns.
void create_virtual(hid_t group, const std::string& name, kernels::DataType, const Extents& extents,
                    const std::vector<VirtualPart>& parts);

}  // namespace partita::results::hdf5
