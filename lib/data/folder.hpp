/// A data set in a folder: images and labels of two halves in IDX files, and the names of the classes.
#pragma once

#include <optional>
#include <vector>

#include "partita/data/dataset.hpp"

namespace partita::data {

/// Both halves, normalisation and digests left out. Everything wrong is appended to `violations`, and then
/// nothing is returned.
std::optional<DataPair> read_folder(const DataOptions&, std::vector<base::Violation>& violations);

/// Where some classes are named: as many names as classes, further classes by their number.
void complete_class_names(Dataset&);

}  // namespace partita::data
