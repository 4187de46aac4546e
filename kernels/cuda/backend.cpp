/// The CUDA back-end: every call checks its views and issues to the device's compute queue.
#include "partita/kernels/cuda/backend.hpp"

#include <stdexcept>

#include "device.hpp"
#include "gemm_plan.hpp"
#include "images.hpp"
#include "issue.hpp"
#include "launch.hpp"
#include "partita/kernels/cuda/devices.hpp"

namespace partita::kernels::cuda {
namespace {

/// The address of a view's elements of type T; null for an empty view.
template <class T = float>
T* in(View view) {
  return view.empty() ? nullptr : view.as<T>().data();
}
template <class T = float>
const T* in(ConstView view) {
  return view.empty() ? nullptr : view.as<T>().data();
}

class CudaBackend final : public Backend {
 public:
  explicit CudaBackend(const BackendOptions& options) : options_(options), device_(options.device) {
    constexpr Bytes rows = bytes_of(DataType::float32, Elements(Scratch::floats)),
                    sums = bytes_of(DataType::float64, Elements(2 * Scratch::blocks)),
                    done(sizeof(*scratch_.done));
    memory_ = device_.allocate(rows + sums + done);
    scratch_.rows = reinterpret_cast<float*>(memory_);
    scratch_.sums = reinterpret_cast<double*>(memory_ + rows.value());
    scratch_.done = reinterpret_cast<unsigned long long*>(memory_ + (rows + sums).value());
  }
  ~CudaBackend() override { device_.release(memory_); }
  CudaBackend(const CudaBackend&) = delete;
  CudaBackend& operator=(const CudaBackend&) = delete;

  std::string_view name() const override { return "cuda"; }
  DataType type() const override { return DataType::float32; }
  std::string math_library() const override { return "CUDA " + query_devices().runtime + ", own kernels"; }
  kernels::Device& device() override { return device_; }
  Layout image_layout() const override { return Layout::nchw; }

  std::unique_ptr<Gemm> plan_gemm(const GemmShape& s) override {
    return cuda::plan_gemm(s, options_, device_);
  }
  std::unique_ptr<Convolution> plan_convolution(const ConvolutionShape& s) override {
    return cuda::plan_convolution(s, device_.chip(), stream());
  }
  std::unique_ptr<Pooling> plan_pooling(const PoolingShape& s) override {
    return cuda::plan_pooling(s, stream());
  }
  std::unique_ptr<BatchNorm> plan_batch_norm(const BatchNormShape& s) override {
    return cuda::plan_batch_norm(s, stream());
  }

  void relu_forward(ConstView x, View y) override {
    cuda::relu_forward(same_size(x, y), in(x), in(y), stream());
  }
  void relu_backward(ConstView y, ConstView dy, View dx) override {
    same_size(y, dx);
    cuda::relu_backward(same_size(dy, dx), in(y), in(dy), in(dx), stream());
  }
  void tanh_forward(ConstView x, View y) override {
    cuda::tanh_forward(same_size(x, y), in(x), in(y), stream());
  }
  void tanh_backward(ConstView y, ConstView dy, View dx) override {
    same_size(y, dx);
    cuda::tanh_backward(same_size(dy, dx), in(y), in(dy), in(dx), stream());
  }
  void dropout(const DropoutShape& s, const StepValues* step, std::uint32_t layer, Samples first, ConstView x,
               View y) override {
    expect(same_size(x, y) == s.batch * s.channels * s.height * s.width,
           "dropout has another shape than its views");
    cuda::dropout(s, step, layer, first, in(x), in(y), stream());
  }
  void gather(ConstView table, std::int64_t columns, ConstView indices, ConstView scale, ConstView shift,
              View out) override {
    const std::int64_t rows = indices.size().value();
    expect(out.size().value() == rows * columns, "a gather has another shape than its result");
    if (out.empty()) return;
    ChannelScales by{.channels = 1, .pixels = columns};
    if (!scale.empty()) {
      const std::int64_t channels = same_size(scale, shift);
      expect(columns % channels == 0, "channels are equal parts of the columns");
      by = {channels, columns / channels, in<double>(scale), in<double>(shift)};
    }
    const auto pick = [&](const auto* from, auto* to) {
      cuda::gather(table.size().value() / columns, from, by, rows, in<std::int64_t>(indices), to, stream());
    };
    if (table.type() == DataType::int32) return pick(in<std::int32_t>(table), in<std::int32_t>(out));
    if (table.type() == DataType::uint8) return pick(in<std::uint8_t>(table), in(out));
    pick(in(table), in(out));
  }
  void reorder(std::int64_t batch, const Shape& image, Layout from, Layout to, ConstView x, View y) override {
    expect(same_size(x, y) == batch * image.elements().value(), "images of another shape than their views");
    cuda::reorder(batch, image, from, to, in(x), in(y), stream());
  }
  void copy_block(const BlockExtents& extents, const StridedBlock& from, ConstView x, const StridedBlock& to,
                  View y, Write write) override {
    if (is_empty(extents)) return;
    const float* source = in(x);
    float* target = in(y);
    expect_inside(extents, from, x.size());
    expect_inside(extents, to, y.size());
    cuda::copy_block(extents, from, source, to, target, write, stream());
  }
  void zero(View y) override {
    if (y.empty()) return;
    check(cudaMemsetAsync(y.data(), 0, static_cast<std::size_t>(y.bytes().value()), stream()),
          "cudaMemsetAsync");
  }
  void sum_rows(std::int64_t rows, std::int64_t columns, ConstView x, View b, Write write) override {
    expect(x.size().value() == rows * columns && b.size().value() == columns,
           "a matrix of another shape than its view");
    cuda::sum_rows(rows, columns, in(x), in(b), write, scratch_, stream());
  }

  void cross_entropy(std::int64_t batch, std::int64_t classes, ConstView logits, ConstView labels,
                     double scale, View dlogits, View sums) override {
    cuda::cross_entropy(of(batch, classes, 0, logits, labels), scale, in(dlogits), in<double>(sums), scratch_,
                        stream());
  }
  void cross_entropy_statistics(std::int64_t batch, std::int64_t classes, std::int64_t first_class,
                                ConstView logits, ConstView labels, View statistics) override {
    expect(statistics.size().value() == 3 * batch, "statistics are not [batch, 3]");
    cuda::cross_entropy_statistics(of(batch, classes, first_class, logits, labels), in(statistics), stream());
  }
  void cross_entropy_finish(std::int64_t batch, std::int64_t classes, std::int64_t first_class,
                            std::span<const std::int64_t> class_offsets, ConstView statistics,
                            ConstView logits, ConstView labels, double scale, View dlogits,
                            View sums) override {
    const auto shards = static_cast<std::int64_t>(class_offsets.size()) - 1;
    expect(shards >= 0 && statistics.size().value() == shards * batch * 3,
           "statistics are not [shards, batch, 3]");
    auto l = of(batch, classes, first_class, dlogits.empty() ? ConstView() : logits, labels);
    cuda::cross_entropy_finish(l, class_offsets, in(statistics), scale, in(dlogits), in<double>(sums),
                               scratch_, stream());
  }
  void mean_squared_error(std::int64_t batch, std::int64_t features, ConstView output, ConstView target,
                          double scale, View doutput, View sums) override {
    cuda::mean_squared_error(batch, features, in(output), in(target), scale, in(doutput), in<double>(sums),
                             scratch_, stream());
  }
  void add_sums(ConstView parts, bool in_tree, View total) override {
    cuda::add_sums(parts.size().value() / 2, in<double>(parts), in_tree, in<double>(total), stream());
  }
  void squares(ConstView x, View sum, Write write) override {
    cuda::sum_squares(x.size().value(), in(x), in<double>(sum), write, scratch_, stream());
  }
  void add_rows(ConstView rows, View total) override {
    const std::int64_t columns = total.size().value();
    if (columns == 0) return;
    expect(rows.size().value() % columns == 0, "rows of another length than their sum");
    cuda::add_rows(rows.size().value() / columns, columns, in<double>(rows), in<double>(total), stream());
  }
  void clip(std::int64_t parts, ConstView squares, double limit, View scale) override {
    cuda::clip(squares.size().value(), parts, in<double>(squares), limit, in<double>(scale), stream());
  }
  void update(const OptimizerSpec& optimizer, const Update& on) override {
    cuda::update(optimizer, views_of(on), scratch_, stream());
  }
  void direct(const OptimizerSpec& optimizer, const Update& on, View u) override {
    same_size(u, on.w);
    cuda::direct(optimizer, views_of(on), in(u), scratch_, stream());
  }

 private:
  static UpdateViews views_of(const Update& on) {
    for (const View state : on.states)
      same_size(state, on.w);
    return {.step = on.step,
            .sums = in<double>(on.sums),
            .scale = in<double>(on.scale),
            .squares = in<double>(on.squares),
            .n = same_size(on.g, on.w),
            .w = in(on.w),
            .g = in(on.g),
            .states = on.states,
            .non_finite_step = on.non_finite_step};
  }
  static void expect(bool condition, const char* otherwise) {
    if (!condition) throw std::logic_error(otherwise);
  }
  static std::int64_t same_size(ConstView a, ConstView b) {
    expect(a.size() == b.size(), "views are not of the same size");
    return a.size().value();
  }
  static Logits of(std::int64_t batch, std::int64_t classes, std::int64_t first_class, ConstView logits,
                   ConstView labels) {
    return {.batch = batch,
            .classes = classes,
            .first_class = first_class,
            .logits = in(logits),
            .labels = in<std::int32_t>(labels)};
  }
  [[nodiscard]] cudaStream_t stream() const { return device_.stream(kernels::Device::Queue::compute); }

  BackendOptions options_;
  CudaDevice device_;
  Scratch scratch_;
  std::byte* memory_ = nullptr;
};

}  // namespace

std::unique_ptr<Backend> make_cuda_backend(const BackendOptions& options) {
  const auto query = query_devices();
  const auto count = static_cast<int>(query.devices.size());
  if (count == 0) throw std::runtime_error("the CUDA back-end: " + describe(query));
  if (options.device < 0 || options.device >= count)
    throw std::runtime_error("the CUDA back-end: there is no device " + std::to_string(options.device) +
                             ", only " + std::to_string(count) + " (" + describe(query) + ")");
  check_gemm_name(options);
  return std::make_unique<CudaBackend>(options);
}

}  // namespace partita::kernels::cuda
