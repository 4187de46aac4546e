/// CIFAR-10 and CIFAR-100 (Krizhevsky 2009) in their binary versions: records of one label byte (CIFAR-100: a
/// coarse and a fine one, of which the fine counts) and 3x32x32 pixels, channel by channel.
///
/// CIFAR-10 is data_batch_1.bin to data_batch_5.bin, test_batch.bin and the names batches.meta.txt; CIFAR-100
/// train.bin, test.bin and fine_label_names.txt. Any number of records will do, as long as the batches have
/// equally many. Files are untrusted: memory grows with what they hold, never by what they claim.
#pragma once

#include <filesystem>
#include <optional>
#include <vector>

#include "partita/data/dataset.hpp"

namespace partita::data {

/// Both halves, normalisation and digests left out; class names where the source has them. `source` is a
/// folder with the files, or a tar archive of them, plain or gzip, as it is published. Everything wrong is
/// appended to `violations`, with file and record or byte, and then nothing is returned.
std::optional<DataPair> read_cifar(const std::filesystem::path& source,
                                   std::vector<base::Violation>& violations);

}  // namespace partita::data
