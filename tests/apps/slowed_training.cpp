/// Trains as partita-train does on one rank, with work added inside every step: before each update the
/// back-end computes for PARTITA_ADDED_SHARE (0.2: a fifth) of the processor time that it has used since the
/// last one. So the step is longer by that share however fast or busy the machine is, and nothing that
/// measures knows of it.
#include <cstdlib>
#include <ctime>

#include "partita/job/job.hpp"
#include "partita/job/record.hpp"
#include "partita/job/training_job.hpp"
#include "partita/results/result_file.hpp"
#include "partita/run/training.hpp"

namespace {

using namespace partita;
using namespace partita::kernels;

/// Of the processor, by this thread: does not grow while another process runs.
double used_seconds() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

class SlowedBackend final : public Backend {
 public:
  SlowedBackend(std::unique_ptr<Backend> fast, double share) : fast_(std::move(fast)), share_(share) {}

  void update(const OptimizerSpec& optimizer, const Update& on) override {
    const double until = used_seconds() + share_ * (used_seconds() - last_);
    while (used_seconds() < until) {
    }
    last_ = used_seconds();
    fast_->update(optimizer, on);
  }

  std::string_view name() const override { return fast_->name(); }
  DataType type() const override { return fast_->type(); }
  Device& device() override { return fast_->device(); }
  Layout image_layout() const override { return fast_->image_layout(); }
  std::unique_ptr<Gemm> plan_gemm(const GemmShape& s) override { return fast_->plan_gemm(s); }
  std::unique_ptr<Convolution> plan_convolution(const ConvolutionShape& s) override {
    return fast_->plan_convolution(s);
  }
  std::unique_ptr<Pooling> plan_pooling(const PoolingShape& s) override { return fast_->plan_pooling(s); }
  std::unique_ptr<BatchNorm> plan_batch_norm(const BatchNormShape& s) override {
    return fast_->plan_batch_norm(s);
  }
  void relu_forward(ConstView x, View y) override { fast_->relu_forward(x, y); }
  void relu_backward(ConstView y, ConstView dy, View dx) override { fast_->relu_backward(y, dy, dx); }
  void tanh_forward(ConstView x, View y) override { fast_->tanh_forward(x, y); }
  void tanh_backward(ConstView y, ConstView dy, View dx) override { fast_->tanh_backward(y, dy, dx); }
  void dropout(const DropoutShape& s, const StepValues* step, std::uint32_t layer, Samples n, ConstView x,
               View y) override {
    fast_->dropout(s, step, layer, n, x, y);
  }
  void gather(ConstView table, std::int64_t columns, ConstView indices, ConstView scale, ConstView shift,
              View out) override {
    fast_->gather(table, columns, indices, scale, shift, out);
  }
  void reorder(std::int64_t n, const Shape& s, Layout from, Layout to, ConstView x, View y) override {
    fast_->reorder(n, s, from, to, x, y);
  }
  void copy_block(const BlockExtents& e, const StridedBlock& from, ConstView x, const StridedBlock& to,
                  View y, Write write) override {
    fast_->copy_block(e, from, x, to, y, write);
  }
  void zero(View y) override { fast_->zero(y); }
  void sum_rows(std::int64_t m, std::int64_t n, ConstView x, View b, Write write) override {
    fast_->sum_rows(m, n, x, b, write);
  }
  void cross_entropy(std::int64_t b, std::int64_t k, ConstView x, ConstView labels, double scale, View dx,
                     View sums) override {
    fast_->cross_entropy(b, k, x, labels, scale, dx, sums);
  }
  void cross_entropy_statistics(std::int64_t b, std::int64_t k, std::int64_t first, ConstView x,
                                ConstView labels, View statistics) override {
    fast_->cross_entropy_statistics(b, k, first, x, labels, statistics);
  }
  void cross_entropy_finish(std::int64_t b, std::int64_t k, std::int64_t first,
                            std::span<const std::int64_t> offsets, ConstView statistics, ConstView x,
                            ConstView labels, double scale, View dx, View sums) override {
    fast_->cross_entropy_finish(b, k, first, offsets, statistics, x, labels, scale, dx, sums);
  }
  void mean_squared_error(std::int64_t b, std::int64_t n, ConstView y, ConstView target, double scale,
                          View dy, View sums) override {
    fast_->mean_squared_error(b, n, y, target, scale, dy, sums);
  }
  void add_sums(ConstView parts, bool in_tree, View total) override {
    fast_->add_sums(parts, in_tree, total);
  }
  void squares(ConstView x, View sum, Write write) override { fast_->squares(x, sum, write); }
  void add_rows(ConstView rows, View total) override { fast_->add_rows(rows, total); }
  void clip(std::int64_t parts, ConstView squares, double limit, View scale) override {
    fast_->clip(parts, squares, limit, scale);
  }
  void direct(const OptimizerSpec& optimizer, const Update& on, View u) override {
    fast_->direct(optimizer, on, u);
  }

 private:
  std::unique_ptr<Backend> fast_;
  double share_;
  double last_ = used_seconds();
};

int train_slowly(const job::Job& job) {
  const auto& options = job.input.options;
  const char* share = std::getenv("PARTITA_ADDED_SHARE");
  SlowedBackend backend(job::make_backend(job, 1), share ? std::atof(share) : 0);
  run::Training training(options.model, job.input.split->plan,
                         {.batch = options.train.batch,
                          .epochs = options.train.epochs,
                          .steps = options.train.steps,
                          .learning_rate = {.base = options.train.learning_rate},
                          .optimizer = options.train.optimizer,
                          .seed = options.train.seed,
                          .evaluate_every = 0},
                         backend, job.world, *job.input.data);
  training.run({});
  auto record = job::begin_record(job, backend, 1);
  for (const auto& step : training.steps()) {
    const results::PhaseSeconds phases{step.spans.load, step.spans.forward, step.spans.backward,
                                       step.spans.update};
    record.steps.append({.loss = step.loss,
                         .samples = step.samples,
                         .seconds = step.seconds,
                         .learning_rate = step.learning_rate,
                         .phases = std::span(&phases, 1),
                         .rank_seconds = std::span(&step.seconds, 1)});
  }
  record.attributes.status = results::Status::complete;
  results::write_snapshot(options.output, record);
  return job::success;
}

}  // namespace

int main(int argc, char** argv) {
  return job::run_main({.name = "slowed_training", .read = job::read_training_input, .run = train_slowly},
                       argc, argv);
}
