/// Maximum and average pooling of float32 images, nchw.
///
/// Forward, a thread computes one output. Backward, a thread computes one element of dX: it gathers from the
/// windows that cover it, in their order, so that overlapping windows need no atomics and dX needs no zeroing
/// before. Both are bound by memory: forward reads X and writes Y (and a byte of winner each); backward reads
/// dY (and the winners) and writes dX. Neighbouring threads read the same lines, which L1 serves. Not
/// measured here yet.
#include <algorithm>
#include <stdexcept>

#include "images.hpp"
#include "launch.hpp"
#include "pooling_geometry.hpp"

namespace partita::kernels::cuda {
namespace pooling {
namespace {

constexpr int threads_per_block = 256;

struct Forward {
  Geometry g;
  const float* x = nullptr;
  float* y = nullptr;
  std::uint8_t* winners = nullptr;
  bool relu = false;
};

struct Backward {
  Geometry g;
  const float* dy = nullptr;
  const std::uint8_t* winners = nullptr;
  float* dx = nullptr;
};

__device__ __forceinline__ int global_thread() {
  return static_cast<int>(blockIdx.x) * threads_per_block + static_cast<int>(threadIdx.x);
}

/// `Kernel` is the kernel's edge where it is known, 0 where the geometry says it. A NaN wins over what came
/// before it.
template <bool Maximum, int Kernel>
__global__ void __launch_bounds__(threads_per_block) pool(const Forward p, const int outputs) {
  const int i = global_thread();
  if (i >= outputs) return;
  const int kernel_h = Kernel > 0 ? Kernel : p.g.kernel_h, kernel_w = Kernel > 0 ? Kernel : p.g.kernel_w;
  const int stride_h = static_cast<int>(p.g.stride_h.value), stride_w = static_cast<int>(p.g.stride_w.value);
  const auto [plane, row, column] = position(i, p.g.out_row, p.g.out_column);
  const float* window =
      p.x + (static_cast<std::int64_t>(plane) * p.g.height + row * stride_h) * p.g.width + column * stride_w;
  float best = *window, sum = 0.0F;
  int winner = 0;
#pragma unroll
  for (int r = 0; r < kernel_h; ++r)
#pragma unroll
    for (int q = 0; q < kernel_w; ++q) {
      const float value = window[r * p.g.width + q];
      if constexpr (!Maximum)
        sum += value;
      else if (value > best || value != value)
        best = value, winner = r * kernel_w + q;
    }
  float result = Maximum ? best : sum / static_cast<float>(kernel_h * kernel_w);
  if (p.relu && result < 0.0F) result = 0.0F;
  p.y[i] = result;
  if constexpr (Maximum) p.winners[i] = static_cast<std::uint8_t>(winner);
}

template <bool Maximum>
__global__ void __launch_bounds__(threads_per_block) pool_backward(const Backward p, const int inputs) {
  const int i = global_thread();
  if (i >= inputs) return;
  const int stride_h = static_cast<int>(p.g.stride_h.value), stride_w = static_cast<int>(p.g.stride_w.value);
  const auto [plane, row, column] = position(i, p.g.row, p.g.column);
  const Range rows = covering(row, p.g.kernel_h, p.g.stride_h, p.g.out_height);
  const Range columns = covering(column, p.g.kernel_w, p.g.stride_w, p.g.out_width);
  float sum = 0.0F;
  for (int h = rows.begin; h < rows.end; ++h)
    for (int w = columns.begin; w < columns.end; ++w) {
      const auto at = (static_cast<std::int64_t>(plane) * p.g.out_height + h) * p.g.out_width + w;
      if constexpr (Maximum) {
        const int here = (row - h * stride_h) * p.g.kernel_w + column - w * stride_w;
        if (p.winners[at] == here) sum += p.dy[at];
      } else {
        sum += p.dy[at];
      }
    }
  p.dx[i] = Maximum ? sum : sum / static_cast<float>(p.g.kernel_h * p.g.kernel_w);
}

LaunchShape one_thread_each(std::int64_t elements) {
  return {.grid = dim3(static_cast<unsigned>((elements + threads_per_block - 1) / threads_per_block)),
          .block = dim3(threads_per_block)};
}

class GpuPooling final : public Pooling {
 public:
  GpuPooling(const PoolingShape& s, cudaStream_t stream)
      : s_(s), stream_(stream), outputs_(s.batch * s.channels * s.out_height() * s.out_width()) {}

  void forward(ConstView x, View y, View winners, Workspace) override {
    const Forward p{.g = geometry(s_),
                    .x = floats(x),
                    .y = const_cast<float*>(floats(y)),
                    .winners = static_cast<std::uint8_t*>(winners.data()),
                    .relu = s_.epilogue == Epilogue::relu};
    const auto outputs = static_cast<int>(outputs_);
    if (s_.kind == PoolingKind::average)
      return launch(pool<false, 0>, one_thread_each(outputs), stream_, p, outputs);
    expect_winners(winners);
    if (s_.kernel == Extent2(2))
      launch(pool<true, 2>, one_thread_each(outputs), stream_, p, outputs);
    else
      launch(pool<true, 0>, one_thread_each(outputs), stream_, p, outputs);
  }

  void backward(ConstView dy, ConstView winners, View dx, Workspace) override {
    const Backward p{.g = geometry(s_),
                     .dy = floats(dy),
                     .winners = static_cast<const std::uint8_t*>(winners.data()),
                     .dx = const_cast<float*>(floats(dx))};
    const auto inputs = static_cast<int>(s_.batch * s_.channels * s_.height * s_.width);
    if (s_.kind == PoolingKind::average)
      return launch(pool_backward<false>, one_thread_each(inputs), stream_, p, inputs);
    expect_winners(winners);
    launch(pool_backward<true>, one_thread_each(inputs), stream_, p, inputs);
  }

 private:
  static const float* floats(ConstView view) {
    if (view.type() != DataType::float32) throw std::logic_error("pooling on a GPU works on float32");
    return static_cast<const float*>(view.data());
  }
  void expect_winners(ConstView winners) const {
    if (outputs_ > 0 && winners.type() != DataType::uint8) throw std::logic_error("winners are uint8");
  }

  PoolingShape s_;
  cudaStream_t stream_;
  std::int64_t outputs_;
};

}  // namespace
}  // namespace pooling

std::unique_ptr<Pooling> plan_pooling(const PoolingShape& s, cudaStream_t stream) {
  constexpr std::int64_t most = std::int64_t(1) << 30;
  if (s.layout != Layout::nchw) throw std::invalid_argument("pooling on a GPU wants nchw images");
  if (s.epilogue == Epilogue::relu_mask) throw std::invalid_argument("pooling has no mask for its epilogue");
  if (s.kind == PoolingKind::maximum && s.kernel.area() > 256)
    throw std::invalid_argument("the positions in a window of a maximum exceed a byte");
  if (s.batch * s.channels * std::max<std::int64_t>(1, s.height * s.width) >= most)
    throw std::length_error("a pooling has more elements than its indices hold");
  return std::make_unique<pooling::GpuPooling>(s, stream);
}

}  // namespace partita::kernels::cuda
