/// Takes the samples in their order; the last batch may be smaller. Sums of loss and hits are added up on
/// each rank and reduced over ranks once.
#include "partita/run/evaluator.hpp"

#include <algorithm>
#include <numeric>

namespace partita::run {

std::vector<std::int64_t> batch_sizes(std::int64_t batch, std::int64_t samples) {
  std::vector<std::int64_t> sizes{std::min(batch, samples)};
  if (samples > batch && samples % batch != 0) sizes.push_back(samples % batch);
  return sizes;
}

Evaluator::Evaluator(const model::ModelSpec& model, const step::Plan& plan, const step::TensorFormat& format,
                     kernels::Backend& backend, comm::Axes& axes, state::Parameters& parameters,
                     const data::Dataset& dataset, Options options)
    : plan_(plan),
      axes_(axes),
      dataset_(dataset),
      program_(step::build_evaluation_program(model, plan, axes.at(), format)),
      options_(std::move(options)),
      executor_(program_, model, backend, axes, parameters,
                {.largest_batch = std::min(options_.batch, options_.samples),
                 .device_messages = options_.device_messages,
                 .on_outputs = options_.on_outputs}),
      indices_(static_cast<std::size_t>(options_.samples)) {
  std::iota(indices_.begin(), indices_.end(), 0);
  for (const auto size : batch_sizes(options_.batch, options_.samples))
    executor_.prepare(size);
}

std::int64_t Evaluator::batches() const { return (options_.samples + options_.batch - 1) / options_.batch; }

topology::Range Evaluator::samples_of(std::int64_t index) const {
  const auto begin = index * options_.batch;
  return {begin, std::min(begin + options_.batch, options_.samples)};
}

kernels::LossSums Evaluator::run(std::int64_t index) {
  const auto range = samples_of(index);
  const auto indices = std::span(indices_).subspan(static_cast<std::size_t>(range.begin),
                                                   static_cast<std::size_t>(range.size()));
  return executor_.run({.dataset = &dataset_, .indices = indices, .divisor = options_.samples}, {}, spans_);
}

Evaluator::Means Evaluator::means_of(const kernels::LossSums& mine) {
  double sums[] = {mine.loss, static_cast<double>(mine.correct)};
  if (const auto axes = step::metric_axes(plan_); axes != topology::Axis::none)
    axes_.along(axes).all_reduce(std::span(sums), comm::Combine::sum, collective::Purpose::metric);
  const auto samples = static_cast<double>(options_.samples);
  return {.loss = sums[0] / samples, .accuracy = sums[1] / samples};
}

Evaluator::Means Evaluator::evaluate() {
  kernels::LossSums sums;
  for (std::int64_t b = 0; b < batches(); ++b) {
    const auto batch = run(b);
    sums.loss += batch.loss;
    sums.correct += batch.correct;
  }
  return means_of(sums);
}

void Evaluator::calibrate() {
  for (const auto size : batch_sizes(options_.batch, options_.samples))
    executor_.calibrate(size);
}

}  // namespace partita::run
