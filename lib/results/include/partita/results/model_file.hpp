/// Model files: `/parameters/<layer>/<tensor>` in PyTorch's logical layout, written as atomically as results.
///
/// Linear `weight[out, in] bias[out]`, Conv2d `weight[out, in, kh, kw] bias[out]`, BatchNorm `weight bias
/// running_mean running_var`, each `[channels]`; float32 or float64.
/// `/data` says what the model's input and outputs are; files of the first versions lack it.
/// Files that other software wrote in this layout are read too, float16 among them, without any attribute
/// (docs/models.md).
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "partita/kernels/shape.hpp"
#include "partita/results/result_file.hpp"

namespace partita::results {

/// One parameter tensor, whole (unsharded), row-major.
struct Parameter {
  std::string layer;  ///< "conv1"
  std::string name;   ///< "weight", "bias", "running_mean", "running_var"
  kernels::Shape shape;
  std::variant<std::vector<float>, std::vector<double>> values;
  /// Of a file of other software, why the values could not be read: an error only for a model that has the
  /// layer.
  std::string unreadable = {};
  friend bool operator==(const Parameter&, const Parameter&) = default;
};

/// Of a channel of the samples, of images in [0, 1].
struct ChannelMoments {
  double mean = 0, stddev = 1;
  friend bool operator==(const ChannelMoments&, const ChannelMoments&) = default;
};

/// How the samples of a training became the model's input, and what its outputs mean.
struct TrainingData {
  std::string name;  ///< of the data set
  kernels::Shape sample_shape;
  std::string precision;                      ///< of the training
  std::vector<ChannelMoments> normalisation;  ///< input = (sample − mean) / stddev, by channel
  std::int64_t classes = 0;                   ///< 0: a regression
  std::vector<std::string> class_names;       ///< [classes], or none
  friend bool operator==(const TrainingData&, const TrainingData&) = default;
};

struct ModelFile {
  std::string model;  ///< name of the model
  std::string config_hash;
  std::uint64_t seed = 0;
  std::optional<TrainingData> data = {};
  std::vector<Parameter> parameters;  ///< the order is kept
};

/// Replaces `path` by the model, atomically. Throws `WriteError`, or `base::ContractError` when a shape and
/// its values disagree.
void write_model(const std::filesystem::path& path, const ModelFile&);

/// Reads and checks a model file; throws as `read` does.
ModelFile read_model(const std::filesystem::path& path);

/// SHA-256 of the parameters, with their names and shapes: what a run starts from, whatever the file is
/// called, whoever wrote it, and in whatever order.
std::string content_hash(const ModelFile&);

}  // namespace partita::results
