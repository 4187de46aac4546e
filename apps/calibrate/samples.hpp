/// What networks are trained on: random samples of any shape, more of them than the caches hold.
#pragma once

#include <cstdint>
#include <vector>

#include "partita/data/dataset.hpp"
#include "partita/model/model.hpp"

namespace partita::calibrate {

class Samples {
 public:
  /// About so many bytes of images, and as many of features once a network wants them.
  explicit Samples(std::int64_t bytes) : bytes_(bytes) {}

  /// At least `batch` samples with answers as the model takes them; until the next call.
  const data::Dataset& of(const model::ModelSpec&, std::int64_t batch);

 private:
  std::int64_t bytes_;
  std::vector<std::uint8_t> images_;
  std::vector<float> features_, targets_;
  data::Dataset set_;
};

}  // namespace partita::calibrate
