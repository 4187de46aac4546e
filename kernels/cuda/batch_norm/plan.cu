/// Plans of batch normalisation: what is issued for each call, and the updates of what there is one of for a
/// channel.
#include <cmath>
#include <stdexcept>

#include "batch_norm/passes.hpp"
#include "images.hpp"
#include "launch.hpp"

namespace partita::kernels::cuda {
namespace batch_norm {
namespace {

__device__ __forceinline__ int global_thread() {
  return static_cast<int>(blockIdx.x) * block_threads + static_cast<int>(threadIdx.x);
}

/// A thread a channel.
__global__ void move_running(const double* sums, std::int64_t count, int channels, double momentum,
                             float* running_mean, float* running_variance) {
  const int channel = global_thread();
  if (channel >= channels) return;
  const auto [mean, variance] = of_sums(sums, count, channels, channel);
  const auto n = static_cast<double>(count), unbiased = count > 1 ? n / (n - 1) : 1;
  const auto moved = [&](float value, double towards) {
    return static_cast<float>((1 - momentum) * static_cast<double>(value) + momentum * towards);
  };
  const float to_mean = moved(running_mean[channel], mean),
              to_variance = moved(running_variance[channel], variance * unbiased);
  if (!std::isfinite(to_mean) || !std::isfinite(to_variance)) return;
  running_mean[channel] = to_mean;
  running_variance[channel] = to_variance;
}

__global__ void store_gradients(const double* sums, int channels, bool add, float* dweight, float* dbias) {
  const int channel = global_thread();
  if (channel >= channels) return;
  const auto store = [&](float* to, double sum) {
    if (to == nullptr) return;
    const auto gradient = static_cast<float>(sum);
    to[channel] = add ? to[channel] + gradient : gradient;
  };
  store(dbias, sums[channel]);
  store(dweight, sums[channels + channel]);
}

LaunchShape a_thread_each(int channels) {
  return {.grid = dim3(static_cast<unsigned>((channels + block_threads - 1) / block_threads)),
          .block = dim3(block_threads)};
}

const float* in(ConstView view) { return view.empty() ? nullptr : view.as<float>().data(); }
float* in(View view) { return view.empty() ? nullptr : view.as<float>().data(); }
const double* sums_in(ConstView view) { return view.empty() ? nullptr : view.as<double>().data(); }

class GpuBatchNorm final : public BatchNorm {
 public:
  GpuBatchNorm(const BatchNormShape& s, cudaStream_t stream) : s_(s), g_(geometry(s)), stream_(stream) {}

  [[nodiscard]] Bytes workspace() const override {
    return bytes_of(DataType::float64, elements_of_parts(g_));
  }

  void statistics(ConstView x, View sums, Workspace workspace) override {
    issue_sums(sums, workspace,
               [&](double* total, double* parts) { add_statistics(g_, in(x), total, parts, stream_); });
  }

  void update_running(ConstView sums, std::int64_t count, View running_mean, View running_variance) override {
    if (count == 0) return;
    launch(move_running, a_thread_each(g_.channels), stream_, sums_in(sums), count, g_.channels, s_.momentum,
           in(running_mean), in(running_variance));
  }

  void forward(ConstView x, const BatchMoments& moments, ConstView weight, ConstView bias, View y,
               Workspace) override {
    normalise(g_, of(moments), {in(weight), in(bias)}, s_.epilogue == Epilogue::relu, in(x), in(y), stream_);
  }

  void gradient_sums(ConstView x, ConstView dy, const BatchMoments& moments, View sums,
                     Workspace workspace) override {
    issue_sums(sums, workspace, [&](double* total, double* parts) {
      add_gradients(g_, of(moments), in(x), in(dy), total, parts, stream_);
    });
  }

  void backward_parameters(ConstView gradient_sums, View dweight, View dbias, Write write) override {
    launch(store_gradients, a_thread_each(g_.channels), stream_, sums_in(gradient_sums), g_.channels,
           write == Write::accumulate, in(dweight), in(dbias));
  }

  void backward_data(ConstView x, ConstView dy, const BatchMoments& moments, ConstView gradient_sums,
                     ConstView weight, View dx, Workspace) override {
    if (moments.count == 0)
      return gradient_through_running(g_, of(moments), in(weight), in(dy), in(dx), stream_);
    gradient_through_batch(g_, of(moments), sums_in(gradient_sums), in(weight), in(x), in(dy), in(dx),
                           stream_);
  }

 private:
  [[nodiscard]] Moments of(const BatchMoments& m) const {
    return {.sums = sums_in(m.sums),
            .count = m.count,
            .running_mean = in(m.running_mean),
            .running_variance = in(m.running_variance),
            .epsilon = s_.epsilon,
            .channels = g_.channels};
  }

  /// Of nothing the sums are 0, and no moments are looked at.
  template <class Issue>
  void issue_sums(View sums, Workspace workspace, Issue&& issue) const {
    if (sums.empty()) return;
    double* const total = sums.as<double>().data();
    if (g_.tiles == 0 || g_.chunks == 0)
      return check(cudaMemsetAsync(total, 0, static_cast<std::size_t>(sums.bytes().value()), stream_),
                   "cudaMemsetAsync");
    if (std::ssize(workspace) < this->workspace().value())
      throw std::logic_error("a batch normalisation was given less workspace than it asks for");
    issue(total, reinterpret_cast<double*>(workspace.data()));
  }

  BatchNormShape s_;
  Geometry g_;
  cudaStream_t stream_;
};

}  // namespace
}  // namespace batch_norm

std::unique_ptr<BatchNorm> plan_batch_norm(const BatchNormShape& s, cudaStream_t stream) {
  constexpr std::int64_t most = std::int64_t(1) << 30;
  if (s.layout != Layout::nchw) throw std::invalid_argument("batch normalisation on a GPU wants nchw images");
  if (s.epilogue == Epilogue::relu_mask)
    throw std::invalid_argument("batch normalisation has no mask for its epilogue");
  const std::int64_t pixels = std::max<std::int64_t>(1, s.height * s.width);
  if (s.channels * pixels >= most || s.batch * pixels >= most)
    throw std::length_error("a batch normalisation has more elements than its indices hold");
  return std::make_unique<batch_norm::GpuBatchNorm>(s, stream);
}

}  // namespace partita::kernels::cuda
