/// What the sizes of a training's batches leave to micro-batches and to data ranks.
#include <algorithm>
#include <functional>
#include <numeric>
#include <string>
#include <utility>

#include "checks.hpp"
#include "partita/topology/cut.hpp"

namespace partita::config {

using base::Violation;

namespace {

/// The sizes of the batches that a training takes, each once.
std::vector<std::int64_t> batch_sizes(const TrainOptions& train, kernels::Samples samples) {
  const auto n = samples.value(), of_epoch = train.steps_of_epoch(samples), steps = train.steps_on(samples);
  std::vector<std::int64_t> sizes;
  if (steps > 0) sizes.push_back(std::min(train.batch, n));
  if (of_epoch > 1 && steps >= of_epoch && n % train.batch != 0) sizes.push_back(n % train.batch);
  return sizes;
}

/// The batch nearest to that asked for, all of whose sizes will do; none: 0. A batch that is larger than the
/// data set takes the samples that one as large as it takes.
std::int64_t nearest_batch(const RunOptions& options, kernels::Samples samples,
                           const std::function<bool(std::int64_t batch, std::int64_t size)>& will_do) {
  const auto n = samples.value(), asked = std::min(options.train.batch, n);
  auto train = options.train;
  for (std::int64_t distance = 1; distance < n; ++distance)
    for (const auto batch : {asked + distance, asked - distance}) {
      if (batch < 2 || batch > n) continue;
      train.batch = batch;
      if (std::ranges::all_of(batch_sizes(train, samples), [&](auto size) { return will_do(batch, size); }))
        return batch;
    }
  return 0;
}

std::string text_of_nearest(std::int64_t batch) {
  return batch > 0 ? "the nearest is " + number(batch) : "the data set has too few samples";
}

/// The data ranks that have a sample of a batch.
std::int64_t ranks_with_samples(const RunOptions& options, std::int64_t batch) {
  const auto weights = weights_of(options);
  if (std::ssize(weights) != options.grid.data) return std::min<std::int64_t>(options.grid.data, batch);
  const auto all = std::accumulate(weights.begin(), weights.end(), std::int64_t{0});
  std::int64_t before = 0;
  return std::ranges::count_if(weights, [&](auto weight) {
    const auto first = std::exchange(before, before + weight);
    return !topology::part(first, before, all, batch).empty();
  });
}

}  // namespace

std::vector<Violation> check_statistics(const RunOptions& options, kernels::Samples samples) {
  const auto has_one_value = [](const model::Layer& layer) {
    return layer.takes_statistics() &&
           layer.input.elements().value() == layer.input[0];  // of a sample, in each channel
  };
  const auto& layers = options.model.layers;
  const auto first = std::find_if(layers.begin(), layers.end(), has_one_value);
  const std::int64_t batch = options.train.batch;
  const auto sizes = batch_sizes(options.train, samples);
  if (first == layers.end() || sizes.empty()) return {};
  const auto smallest = *std::min_element(sizes.begin(), sizes.end());
  const std::int64_t microbatches = training_microbatches(options, batch);
  if (smallest >= 2 * microbatches) return {};
  const std::string why =
      ": " + first->name + " needs two samples in each, of whose values it takes the deviation; ";
  if (smallest > 1)
    return {{"pipeline.microbatches", number(microbatches),
             std::string(options.pipeline.microbatches ? "" : "(the default) ") +
                 "leaves micro-batches of a batch of " + number(smallest) + " with less than two samples" +
                 why + "the nearest is " + number(smallest / 2)}};
  const auto nearest = nearest_batch(options, samples, [&](auto of, auto size) {
    return size >= std::int64_t{2} * training_microbatches(options, of);
  });
  return {{"train.batch", number(batch), "leaves a batch of one sample" + why + text_of_nearest(nearest)}};
}

std::vector<Violation> check_secure_batches(const RunOptions& options, kernels::Samples samples) {
  constexpr std::int64_t least = 3;
  if (!options.sync.secure || options.grid.data < least) return {};  // too few ranks are refused as such
  const auto will_do = [&](std::int64_t size) { return ranks_with_samples(options, size) >= least; };
  const auto sizes = batch_sizes(options.train, samples);
  const auto bad = std::ranges::find_if_not(sizes, will_do);
  if (bad == sizes.end()) return {};
  const auto ranks = ranks_with_samples(options, *bad);
  const auto nearest = nearest_batch(options, samples, [&](auto, auto size) { return will_do(size); });
  const bool is_rest = bad != sizes.begin();
  return {{"train.batch", number(options.train.batch),
           "leaves a step of " + number(*bad) + (*bad == 1 ? " sample" : " samples") + ", of which " +
               number(ranks) + (ranks == 1 ? " data rank has" : " data ranks have") +
               " any: sync.secure hides gradients among those of at least 3; " + text_of_nearest(nearest) +
               (is_rest ? ", or data.train-samples=" + number(samples.value() - *bad) : "")}};
}

}  // namespace partita::config
