/// Plans of convolutions: shapes become tiles and launches.
#include <limits>
#include <stdexcept>

#include "convolution/few_channels.hpp"
#include "convolution/gather.hpp"
#include "convolution/parameters.hpp"
#include "images.hpp"

namespace partita::kernels::cuda {
namespace convolution {
namespace {

const float* floats(ConstView view) {
  if (view.type() != DataType::float32) throw std::logic_error("a convolution on a GPU works on float32");
  return static_cast<const float*>(view.data());
}
float* floats(View view) { return const_cast<float*>(floats(ConstView(view))); }

/// Indices of kernels have 31 bits, of which the last tile of anything may use some beyond the end.
void expect_indices_fit(const ConvolutionShape& s) {
  constexpr std::int64_t most = std::int64_t(1) << 30, most_taps = std::int64_t(1) << 24,
                         most_extent = 1 << 15;
  const auto window = s.kernel.area();
  for (const auto extent :
       {s.height, s.width, s.kernel.h, s.kernel.w, s.stride.h, s.stride.w, s.padding.h, s.padding.w})
    if (extent > most_extent)
      throw std::length_error("an extent of a convolution exceeds what its indices hold");
  for (const auto count : {s.batch * s.height * s.width, s.batch * s.out_height() * s.out_width(),
                           s.channels * s.height * s.width, s.filters * s.out_height() * s.out_width(),
                           s.filters * s.channels * window})
    if (count >= most) throw std::length_error("a convolution has more elements than its indices hold");
  if (s.channels * window >= most_taps || s.filters * window >= most_taps)
    throw std::length_error("a convolution has more taps than its indices hold");
}

class GpuConvolution final : public Convolution {
 public:
  GpuConvolution(const ConvolutionShape& s, const gemm::Chip& chip, cudaStream_t stream)
      : s_(s),
        stream_(stream),
        direct_(direct_tiling(s, chip.multiprocessors)),
        forward_tile_(gather_tile(s.filters, outputs(), chip.multiprocessors)),
        data_tile_(gather_tile(s.channels, s.batch * s.height * s.width, chip.multiprocessors)),
        parameters_(parameter_tiling(s.filters, taps(), outputs(), chip.multiprocessors)) {}

  [[nodiscard]] Bytes workspace() const override {
    return Bytes(4 * part_floats(parameters_, s_.filters, taps()));
  }

  void forward(ConstView x, ConstView weight, ConstView bias, View y, Workspace) override {
    if (direct_.possible) {
      DirectForward p = direct_forward(s_, direct_);
      p.x = floats(x), p.weight = floats(weight), p.bias = bias_of(bias), p.y = floats(y);
      return run(p, direct_, s_.batch, stream_);
    }
    run(GatherProduct{.g = forward_gather(s_),
                      .weight = floats(weight),
                      .image = floats(x),
                      .bias = bias_of(bias),
                      .out = floats(y),
                      .rows = static_cast<int>(s_.filters),
                      .relu = s_.epilogue == Epilogue::relu},
        forward_tile_, stream_);
  }

  void backward_data(ConstView dy, ConstView weight, View dx, Workspace) override {
    run(GatherProduct{.g = data_gather(s_),
                      .weight = floats(weight),
                      .image = floats(dy),
                      .out = floats(dx),
                      .rows = static_cast<int>(s_.channels)},
        data_tile_, stream_);
  }

  void backward_parameters(ConstView x, ConstView dy, View dweight, View dbias, Write write,
                           Workspace workspace) override {
    if (std::ssize(workspace) < this->workspace().value())
      throw std::logic_error("a convolution was given less workspace than it asks for");
    run(ParameterProduct{.g = forward_gather(s_),
                         .dy = floats(dy),
                         .image = floats(x),
                         .dweight = floats(dweight),
                         .dbias = s_.bias ? floats(dbias) : nullptr,
                         .parts = reinterpret_cast<float*>(workspace.data()),
                         .filters = static_cast<int>(s_.filters),
                         .splits = parameters_.splits,
                         .slices = parameters_.slices,
                         .accumulate = write == Write::accumulate},
        parameters_, stream_);
  }

 private:
  [[nodiscard]] const float* bias_of(ConstView bias) const { return s_.bias ? floats(bias) : nullptr; }
  [[nodiscard]] std::int64_t taps() const { return s_.channels * s_.kernel.h * s_.kernel.w; }
  [[nodiscard]] std::int64_t outputs() const { return s_.batch * s_.out_height() * s_.out_width(); }

  ConvolutionShape s_;
  cudaStream_t stream_;
  DirectTiling direct_;
  GatherTile forward_tile_, data_tile_;
  ParameterTiling parameters_;
};

}  // namespace
}  // namespace convolution

std::unique_ptr<Convolution> plan_convolution(const ConvolutionShape& s, const gemm::Chip& chip,
                                              cudaStream_t stream) {
  if (s.layout != Layout::nchw) throw std::invalid_argument("convolutions on a GPU want nchw images");
  if (s.epilogue == Epilogue::relu_mask)
    throw std::invalid_argument("a convolution has no mask for its epilogue");
  convolution::expect_indices_fit(s);
  return std::make_unique<convolution::GpuConvolution>(s, chip, stream);
}

}  // namespace partita::kernels::cuda
