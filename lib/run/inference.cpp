/// Runs the batches twice: each between barriers for its latency, then all without a pause for the
/// throughput. What was predicted comes to rank 0 with the numbers of its samples.
#include "partita/run/inference.hpp"

#include <algorithm>
#include <cmath>

#include "partita/base/clock.hpp"
#include "partita/base/error.hpp"

namespace partita::run {
namespace {

using collective::Activity;

/// The lowest index of the largest value.
template <class T>
std::int64_t argmax(std::span<const T> values) {
  return std::max_element(values.begin(), values.end()) - values.begin();
}

}  // namespace

Inference::Inference(const model::ModelSpec& model, const step::Plan& plan, const InferenceOptions& options,
                     kernels::Backend& backend, comm::Communicator& world, const data::Dataset& dataset)
    : model_(model),
      options_(options),
      world_(world),
      plan_(plan),
      axes_(world, plan_.grid, step::used_axes(model_, plan_)),
      barrier_(world.plan_barrier()),
      width_(classifies() ? 1 : model_.layers.back().output.elements().value()),
      kept_(static_cast<std::size_t>(options.samples * width_)) {
  const step::TensorFormat format{.type = backend.type(), .layout = backend.image_layout()};
  parameters_ =
      std::make_unique<state::Parameters>(step::build_evaluation_program(model_, plan_, axes_.at(), format),
                                          backend.device(), axes_.along(topology::Axis::data));
  evaluator_ = std::make_unique<Evaluator>(
      model_, plan_, format, backend, axes_, *parameters_, dataset,
      Evaluator::Options{.samples = options.samples,
                         .batch = options.batch,
                         .device_messages = options.device_messages,
                         .on_outputs = [this](const auto& outputs) { keep(outputs); }});
  ranges_.reserve(static_cast<std::size_t>(evaluator_->batches() * plan_.pipeline.microbatches));
}

void Inference::set_parameter(const state::LogicalTensor& tensor) {
  const auto held = step::held_pieces(evaluator_->program(), axes_.at().data);
  parameters_->edit([&](kernels::View weights, std::span<const kernels::View>) {
    state::scatter_logical(tensor, model_, held, weights);
  });
}

void Inference::keep(const execute::BatchOutputs& outputs) {
  const topology::Range range{first_sample_ + outputs.samples.begin, first_sample_ + outputs.samples.end};
  if (notes_ranges_) ranges_.push_back(range);
  const auto of_type = [&](auto values) {
    const auto features = values.size() / static_cast<std::size_t>(std::max<std::int64_t>(1, range.size()));
    for (std::size_t i = 0; i < static_cast<std::size_t>(range.size()); ++i) {
      const auto sample = values.subspan(i * features, features);
      const auto target = kept_.begin() + (range.begin + static_cast<std::int64_t>(i)) * width_;
      if (classifies())
        *target = static_cast<double>(argmax(sample));
      else
        std::copy(sample.begin(), sample.end(), target);
    }
  };
  const kernels::ConstView values = outputs.values;
  if (values.type() == kernels::DataType::float64)
    of_type(values.as<double>());
  else
    of_type(values.as<float>());
}

void Inference::one_batch(std::int64_t index) {
  first_sample_ = evaluator_->samples_of(index).begin;
  const auto sums = evaluator_->run(index);
  if (!notes_ranges_) return;
  sums_.loss += sums.loss;
  sums_.correct += sums.correct;
}

void Inference::warm_up() {
  world_.ledger().set_activity(Activity::setup);
  evaluator_->calibrate();
  for (std::int64_t b = 0; b < options_.warmup; ++b)
    one_batch(b % evaluator_->batches());
}

std::vector<double> Inference::time_batches() {
  std::vector<double> times;
  times.reserve(static_cast<std::size_t>(2 * options_.repetitions * evaluator_->batches()));
  for (std::int64_t repetition = 0; repetition < options_.repetitions; ++repetition) {
    notes_ranges_ = repetition == 0;
    for (std::int64_t b = 0; b < evaluator_->batches(); ++b) {
      world_.ledger().set_activity(Activity::record);
      barrier_->start();
      barrier_->wait();
      world_.ledger().set_activity(Activity::evaluate);
      times.push_back(base::now_seconds());
      one_batch(b);
      times.push_back(base::now_seconds());
    }
  }
  notes_ranges_ = false;
  return times;
}

double Inference::time_back_to_back() {
  world_.ledger().set_activity(Activity::record);
  barrier_->start();
  barrier_->wait();
  world_.ledger().set_activity(Activity::evaluate);
  double seconds = -base::now_seconds();
  for (std::int64_t repetition = 0; repetition < options_.repetitions; ++repetition)
    for (std::int64_t b = 0; b < evaluator_->batches(); ++b)
      one_batch(b);
  seconds += base::now_seconds();
  world_.ledger().set_activity(Activity::record);
  world_.all_reduce(std::span(&seconds, 1), comm::Combine::max, collective::Purpose::metric);
  return seconds;
}

/// On the wire: first sample, end, and what was kept, for every range of every rank. Where all ranks of the
/// tensor axis have the same outputs, the first one's are taken.
void Inference::gather_kept(Inferred& inferred) {
  std::vector<double> mine;
  if (plan_.placement.loss.spread == step::Spread::batch || axes_.at().tensor == 0)
    for (const auto& range : ranges_) {
      mine.insert(mine.end(), {static_cast<double>(range.begin), static_cast<double>(range.end)});
      mine.insert(mine.end(), kept_.begin() + range.begin * width_, kept_.begin() + range.end * width_);
    }
  std::vector<double> all(kept_.size());
  std::int64_t samples = 0;
  const auto gathered = world_.gather_rows(mine, 0, collective::Purpose::metric);
  if (world_.rank() != 0) return;
  for (const auto& numbers : gathered)
    for (auto at = numbers.begin(); at != numbers.end();) {
      const auto begin = static_cast<std::int64_t>(at[0]), end = static_cast<std::int64_t>(at[1]);
      std::copy_n(at + 2, (end - begin) * width_, all.begin() + begin * width_);
      at += 2 + (end - begin) * width_;
      samples += end - begin;
    }
  base::expect(samples == options_.samples, "each sample is inferred once", samples, options_.samples);
  if (classifies())
    inferred.predictions.assign(all.begin(), all.end());
  else
    inferred.outputs = std::move(all);
}

Inferred Inference::run() {
  warm_up();
  sums_ = {};
  ranges_.clear();
  const auto times = time_batches();
  const auto means = evaluator_->means_of(sums_);
  const double seconds = time_back_to_back();
  world_.ledger().set_activity(Activity::record);
  Inferred inferred{
      .loss = means.loss,
      .accuracy = means.accuracy,
      .samples_per_second = static_cast<double>(options_.repetitions * options_.samples) / seconds};
  const auto clocks = world_.measure_clocks();
  inferred.latency_seconds =
      latencies(world_.gather_rows(times, 0, collective::Purpose::metric), clocks.offset_seconds);
  gather_kept(inferred);
  return inferred;
}

std::vector<double> latencies(const std::vector<std::vector<double>>& begin_end_by_rank,
                              const std::vector<double>& offset_seconds) {
  std::vector<double> seconds;
  for (std::size_t i = 0; !begin_end_by_rank.empty() && i < begin_end_by_rank.front().size(); i += 2) {
    double begin = INFINITY, end = -INFINITY;
    for (std::size_t r = 0; r < begin_end_by_rank.size(); ++r) {
      begin = std::min(begin, begin_end_by_rank[r][i] - offset_seconds[r]);
      end = std::max(end, begin_end_by_rank[r][i + 1] - offset_seconds[r]);
    }
    seconds.push_back(end - begin);
  }
  return seconds;
}

}  // namespace partita::run
