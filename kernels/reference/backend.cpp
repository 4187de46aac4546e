/// The oracle: every kernel as plain loops in float or double, to be read beside the contract.
#include <cmath>
#include <cstring>
#include <stdexcept>

#include "batch_norm.hpp"
#include "convolution.hpp"
#include "gemm.hpp"
#include "optimizers.hpp"
#include "partita/kernels/host_loops.hpp"
#include "pooling.hpp"
#include "sharded_cross_entropy.hpp"

namespace partita::kernels {
namespace reference {

template <class T>
class ReferenceBackend final : public Backend {
 public:
  std::string_view name() const override { return "reference"; }
  DataType type() const override { return data_type_of<T>(); }
  Device& device() override { return host_device(); }
  Layout image_layout() const override { return Layout::nchw; }
  Codecs* codecs() override { return codecs_.get(); }

  std::unique_ptr<Gemm> plan_gemm(const GemmShape& s) override {
    return std::make_unique<ReferenceGemm<T>>(s);
  }
  std::unique_ptr<Convolution> plan_convolution(const ConvolutionShape& s) override {
    return std::make_unique<ReferenceConvolution<T>>(s);
  }
  std::unique_ptr<Pooling> plan_pooling(const PoolingShape& s) override {
    return std::make_unique<ReferencePooling<T>>(s);
  }
  std::unique_ptr<BatchNorm> plan_batch_norm(const BatchNormShape& s) override {
    return std::make_unique<ReferenceBatchNorm<T>>(s);
  }

  void relu_forward(ConstView x, View y) override {
    map(x, x, y, [](T value, T) { return value < T(0) ? T(0) : value; });
  }
  void relu_backward(ConstView y, ConstView dy, View dx) override {
    map(y, dy, dx, [](T value, T gradient) { return value > T(0) ? gradient : T(0); });
  }
  void tanh_forward(ConstView x, View y) override {
    map(x, x, y, [](T value, T) { return std::tanh(value); });
  }
  void tanh_backward(ConstView y, ConstView dy, View dx) override {
    map(y, dy, dx, [](T value, T gradient) { return gradient * (T(1) - value * value); });
  }

  void dropout(const DropoutShape& s, const StepValues* step, std::uint32_t layer, Samples first_sample,
               ConstView x, View y) override {
    const auto stream = random_stream(step->dropout_seed, RandomPurpose::dropout, layer);
    const ImageIndex index{s.channels, s.height, s.width, s.layout};
    const auto X = x.as<T>();
    const auto Y = y.as<T>();
    const T scale = T(1) / static_cast<T>(1 - s.probability);
    for (std::int64_t n = 0; n < s.batch; ++n)
      for (std::int64_t c = 0; c < s.channels; ++c)
        for (std::int64_t h = 0; h < s.height; ++h)
          for (std::int64_t w = 0; w < s.width; ++w) {
            const auto logical = (first_sample.value() + n) * s.full_elements() +
                                 (s.first_channel + c) * s.full_plane() + (s.first_row + h) * s.width + w;
            const bool kept = random_uniform(stream, static_cast<std::uint64_t>(logical)) >= s.probability;
            Y[index(n, c, h, w)] = kept ? X[index(n, c, h, w)] * scale : T(0);
          }
  }

  void gather(ConstView table, std::int64_t columns, ConstView indices, ConstView scale, ConstView shift,
              View out) override {
    host::gather<T>(table, columns, indices, scale, shift, out);
  }

  void reorder(std::int64_t batch, const Shape& image, Layout from, Layout to, ConstView x, View y) override {
    const ImageIndex source{image[0], image[1], image[2], from}, target{image[0], image[1], image[2], to};
    for (std::int64_t n = 0; n < batch; ++n)
      for (std::int64_t c = 0; c < image[0]; ++c)
        for (std::int64_t h = 0; h < image[1]; ++h)
          for (std::int64_t w = 0; w < image[2]; ++w)
            y.as<T>()[target(n, c, h, w)] = x.as<T>()[source(n, c, h, w)];
  }

  void copy_block(const BlockExtents& extents, const StridedBlock& from, ConstView x, const StridedBlock& to,
                  View y, Write write) override {
    if (is_empty(extents)) return;
    expect_inside(extents, from, x.size());
    expect_inside(extents, to, y.size());
    const auto place = [](const StridedBlock& b, const BlockExtents& at) {
      return static_cast<std::size_t>(b.offset + at[0] * b.strides[0] + at[1] * b.strides[1] +
                                      at[2] * b.strides[2] + at[3] * b.strides[3]);
    };
    BlockExtents at{};
    for (at[0] = 0; at[0] < extents[0]; ++at[0])
      for (at[1] = 0; at[1] < extents[1]; ++at[1])
        for (at[2] = 0; at[2] < extents[2]; ++at[2])
          for (at[3] = 0; at[3] < extents[3]; ++at[3]) {
            const T value = x.as<T>()[place(from, at)];
            T& target = y.as<T>()[place(to, at)];
            target = write == Write::accumulate ? target + value : value;
          }
  }

  void zero(View y) override {
    if (!y.empty()) std::memset(y.data(), 0, static_cast<std::size_t>(y.bytes().value()));
  }

  void sum_rows(std::int64_t rows, std::int64_t columns, ConstView x, View b, Write write) override {
    const auto X = x.as<T>();
    const auto B = b.as<T>();
    if (write == Write::overwrite) std::fill(B.begin(), B.end(), T(0));
    for (std::int64_t i = 0; i < rows; ++i)
      for (std::int64_t j = 0; j < columns; ++j)
        B[j] += X[static_cast<std::size_t>(i * columns + j)];
  }

  void cross_entropy(std::int64_t batch, std::int64_t classes, ConstView logits, ConstView labels,
                     double gradient_scale, View dlogits, View stored) override {
    LossSums sums;
    for (std::int64_t i = 0; i < batch; ++i) {
      const auto row =
          logits.as<T>().subspan(static_cast<std::size_t>(i * classes), static_cast<std::size_t>(classes));
      const auto label = static_cast<std::size_t>(labels.as<std::int32_t>()[static_cast<std::size_t>(i)]);
      const auto largest = std::max_element(row.begin(), row.end());  // the first of equals
      double total = 0;
      for (const T logit : row)
        total += std::exp(static_cast<double>(logit) - static_cast<double>(*largest));
      sums.loss += std::log(total) + static_cast<double>(*largest) - static_cast<double>(row[label]);
      sums.correct += static_cast<std::size_t>(largest - row.begin()) == label;
      if (dlogits.empty()) continue;
      const auto gradient = dlogits.as<T>().subspan(static_cast<std::size_t>(i * classes), row.size());
      for (std::size_t j = 0; j < row.size(); ++j) {
        const double p = std::exp(static_cast<double>(row[j]) - static_cast<double>(*largest)) / total;
        gradient[j] = static_cast<T>((p - (j == label ? 1.0 : 0.0)) * gradient_scale);
      }
    }
    host::store_sums(sums, stored);
  }

  void cross_entropy_statistics(std::int64_t batch, std::int64_t classes, std::int64_t first_class,
                                ConstView logits, ConstView labels, View statistics) override {
    if (batch > 0)
      ShardedCrossEntropy<T>{batch, classes, first_class}.statistics(logits, labels, statistics.as<T>());
  }
  void cross_entropy_finish(std::int64_t batch, std::int64_t classes, std::int64_t first_class,
                            std::span<const std::int64_t> class_offsets, ConstView statistics,
                            ConstView logits, ConstView labels, double gradient_scale, View dlogits,
                            View total) override {
    LossSums sums;
    if (batch > 0)
      sums = ShardedCrossEntropy<T>{batch, classes, first_class}.finish(
          class_offsets, statistics.as<T>(), logits, labels, gradient_scale, dlogits);
    host::store_sums(sums, total);
  }

  void mean_squared_error(std::int64_t batch, std::int64_t features, ConstView output, ConstView target,
                          double gradient_scale, View doutput, View total) override {
    LossSums sums;
    for (std::size_t i = 0; i < static_cast<std::size_t>(batch * features); ++i) {
      const double difference =
          static_cast<double>(output.as<T>()[i]) - static_cast<double>(target.as<T>()[i]);
      sums.loss += difference * difference / static_cast<double>(features);
      if (!doutput.empty())
        doutput.as<T>()[i] = static_cast<T>(2 * difference / static_cast<double>(features) * gradient_scale);
    }
    host::store_sums(sums, total);
  }

  void add_sums(ConstView parts, bool in_tree, View total) override { host::add_sums(parts, in_tree, total); }

  void squares(ConstView x, View sum, Write write) override {
    host::store_square(reference::squares(x.as<T>()), sum, write);
  }
  void add_rows(ConstView rows, View total) override { host::add_rows(rows, total); }
  void clip(std::int64_t parts, ConstView squares, double limit, View scale) override {
    host::clip(parts, squares, limit, scale);
  }
  void update(const OptimizerSpec& optimizer, const Update& on) override {
    host::update_if_finite<T>(on, on.g, on.w, [&] { reference::update<T>(optimizer, on); });
  }
  void direct(const OptimizerSpec& optimizer, const Update& on, View u) override {
    host::update_if_finite<T>(on, {}, u, [&] { reference::direct<T>(optimizer, on, u.as<T>()); });
  }

 private:
  template <class F>
  static void map(ConstView a, ConstView b, View out, F&& f) {
    const auto A = a.as<T>(), B = b.as<T>();
    const auto O = out.as<T>();
    for (std::size_t i = 0; i < O.size(); ++i)
      O[i] = f(A[i], B[i]);
  }

  std::unique_ptr<Codecs> codecs_ = make_host_codecs(data_type_of<T>());
};

}  // namespace reference

std::unique_ptr<Backend> make_reference_backend(DataType type) {
  if (type == DataType::float64) return std::make_unique<reference::ReferenceBackend<double>>();
  if (type == DataType::float32) return std::make_unique<reference::ReferenceBackend<float>>();
  throw std::invalid_argument("the reference computes in float32 or float64");
}

}  // namespace partita::kernels
