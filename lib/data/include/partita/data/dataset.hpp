/// Data sets in memory, and where they come from: folders of IDX files, the synthetic `digits`, or `random`
/// numbers.
///
/// Images stay uint8 until a batch is made of them (`batch.hpp`); every rank holds the whole set and no
/// function here communicates. `load` names everything that is wrong with the options and the files at once.
///
/// Shapes: images [samples, channels, height, width], features [samples, sample_shape], labels [samples],
/// targets [samples, target_shape]; row-major, samples outermost.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "partita/base/error.hpp"
#include "partita/kernels/count.hpp"
#include "partita/kernels/shape.hpp"

namespace partita::data {

/// What is learnt: one of `classes` labels, or a vector of numbers.
enum class Task { classification, regression };

/// The `random` set: normal inputs. Regression targets are normal too (nothing to learn but the samples
/// themselves, as in the classic smallest example); labels come from a fixed random linear teacher, so that
/// they can be learnt.
struct RandomOptions {
  Task task = Task::regression;
  kernels::Shape features{10};  ///< of one sample, e.g. {3, 32, 32}
  kernels::Shape targets{10};   ///< of one sample (regression)
  std::int64_t classes = 10;    ///< of classification; `DataOptions::classes` wins
  friend bool operator==(const RandomOptions&, const RandomOptions&) = default;
};

/// What `data.classes`, the extents of `data.features` and `data.targets`, and numbers of samples may be.
inline constexpr std::int64_t least_classes = 2, most_classes = 1 << 20, most_extent = 1 << 20,
                              most_samples = 4'999'999'999;

/// Which data a run reads; the keys `data.*`.
struct DataOptions {
  std::string name = "digits";  ///< "digits", "random", or the folder of an IDX set such as "mnist"
  std::filesystem::path dir;    ///< the set is in `dir`/`name`; empty: the environment's PARTITA_DATA_DIR
  /// Of pixels in [0, 1]: one number, or one for each channel; none: the training set's own.
  std::vector<double> mean, stddev;
  /// Defaults: digits 12,000 and 2,000, random 100 and 100, IDX all; fewer take the first ones of a file.
  std::optional<kernels::Samples> train_samples, test_samples;
  /// As many of the training samples, the last ones, are not trained on and take the place of the test set:
  /// for choosing settings without looking at that.
  std::optional<kernels::Samples> hold_out;
  /// Labels must be below it. By default as many as `classes.txt` names, 10 for the sets of known size, else
  /// the largest training label + 1.
  std::optional<std::int64_t> classes;
  std::uint64_t seed = 1;  ///< of synthetic data
  RandomOptions random;
  friend bool operator==(const DataOptions&, const DataOptions&) = default;
};

/// Mean and standard deviation (of the population): of each channel of images, or one pair for all elements.
struct Moments {
  std::vector<double> mean{0}, stddev{1};

  [[nodiscard]] double mean_of(std::int64_t channel) const { return of(mean, channel); }
  [[nodiscard]] double stddev_of(std::int64_t channel) const { return of(stddev, channel); }
  friend bool operator==(const Moments&, const Moments&) = default;

 private:
  static double of(const std::vector<double>& numbers, std::int64_t channel) {
    return numbers.size() == 1 ? numbers.front() : numbers.at(static_cast<std::size_t>(channel));
  }
};

/// One half of a data set. Either `images` or `features`, and either `labels` or `targets`, are filled.
struct Dataset {
  std::string name;
  Task task = Task::classification;
  kernels::Samples samples;
  kernels::Shape sample_shape;           ///< {channels, height, width} of images
  kernels::Shape target_shape;           ///< regression: of one sample's target; classification: rank 0
  std::int64_t classes = 0;              ///< 0 for regression
  std::vector<std::string> class_names;  ///< [classes], or none
  std::vector<std::uint8_t> images;      ///< scaled by 1/255 when batched
  std::vector<float> features;           ///< used as they are
  std::vector<std::int32_t> labels;
  std::vector<float> targets;
  Moments normalisation;      ///< in use: batches hold (x − mean) / stddev
  Moments own_normalisation;  ///< the training set's own, of both halves: in use unless options say otherwise
  std::string sha256;         ///< of shape, samples and labels or targets; says nothing of the file format

  [[nodiscard]] kernels::Elements sample_elements() const { return sample_shape.elements(); }
  /// Of images; 1 of other samples.
  [[nodiscard]] std::int64_t channels() const { return sample_shape.rank() == 3 ? sample_shape[0] : 1; }
};

struct DataPair {
  Dataset train, test;
  std::string sha256;                             ///< of both halves: the run's `dataset_hash`
  std::vector<std::filesystem::path> files = {};  ///< that were read
};

/// "0.49 0.48 0.45": as the keys data.mean and data.std are written.
std::string to_string(const std::vector<double>& numbers);

/// Of the samples as batches see them before normalisation, by channel.
Moments moments_of(const Dataset&);

/// Loads or draws both halves. Everything wrong is appended to `violations`, and then nothing is returned.
std::optional<DataPair> load(const DataOptions&, std::vector<base::Violation>& violations);

/// The same; throws `base::ConfigError` with all violations.
DataPair load(const DataOptions&);

/// Fills `sha256` of a data set from its content.
void update_digest(Dataset&);

}  // namespace partita::data
