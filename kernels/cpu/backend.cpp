/// The CPU back-end: oneDNN for products and convolutions, vectorised loops for the rest, float32.
#include <omp.h>

#include <cstring>
#include <map>

#include "elementwise.hpp"
#include "engine.hpp"
#include "partita/kernels/cpu/library.hpp"
#include "partita/kernels/host_loops.hpp"

namespace partita::kernels {
namespace cpu {

std::string onednn_version() {
  const auto& v = *onednn::version();
  return std::to_string(v.major) + "." + std::to_string(v.minor) + "." + std::to_string(v.patch);
}

class CpuBackend final : public Backend {
 public:
  explicit CpuBackend(int threads) : threads_(threads) { omp_set_num_threads(threads); }

  std::string_view name() const override { return "cpu"; }
  DataType type() const override { return DataType::float32; }
  std::string math_library() const override { return "oneDNN " + onednn_version(); }
  Device& device() override { return host_device(); }
  Layout image_layout() const override { return Layout::nhwc; }
  Codecs* codecs() override { return codecs_.get(); }

  std::unique_ptr<Gemm> plan_gemm(const GemmShape& s) override { return cpu::plan_gemm(s); }
  std::unique_ptr<Convolution> plan_convolution(const ConvolutionShape& s) override {
    return cpu::plan_convolution(s, threads_);
  }
  std::unique_ptr<Pooling> plan_pooling(const PoolingShape& s) override {
    return cpu::plan_pooling(s, threads_);
  }
  std::unique_ptr<BatchNorm> plan_batch_norm(const BatchNormShape& s) override {
    return cpu::plan_batch_norm(s, threads_);
  }

  void relu_forward(ConstView x, View y) override { relu(x.as<float>(), y.as<float>()); }
  void relu_backward(ConstView y, ConstView dy, View dx) override {
    mask_by_positive(y.as<float>(), dy.as<float>(), dx.as<float>());
  }
  /// oneDNN's tanh is vectorised; one primitive for each size that occurs.
  void tanh_forward(ConstView x, View y) override {
    const std::int64_t n = x.size().value();
    if (n == 0) return;
    auto found = tanh_.find(n);
    if (found == tanh_.end()) {
      const onednn::memory::desc line({n}, f32, onednn::memory::format_tag::x);
      const onednn::eltwise_forward::primitive_desc p(engine(), onednn::prop_kind::forward_inference,
                                                      onednn::algorithm::eltwise_tanh, line, line, 0, 0);
      Bound bound{onednn::eltwise_forward(p)};
      bound.argument(DNNL_ARG_SRC, line).argument(DNNL_ARG_DST, line);
      found = tanh_.emplace(n, std::move(bound)).first;
    }
    found->second.at(DNNL_ARG_SRC, x.data()).at(DNNL_ARG_DST, y.data()).run();
  }
  void tanh_backward(ConstView y, ConstView dy, View dx) override {
    tanh_gradient(y.as<float>(), dy.as<float>(), dx.as<float>());
  }
  void dropout(const DropoutShape& s, const StepValues* step, std::uint32_t layer, Samples first, ConstView x,
               View y) override {
    cpu::dropout(s, random_stream(step->dropout_seed, RandomPurpose::dropout, layer), first, x.as<float>(),
                 y.as<float>());
  }
  void gather(ConstView table, std::int64_t columns, ConstView indices, ConstView scale, ConstView shift,
              View out) override {
    host::gather<float>(table, columns, indices, scale, shift, out);
  }
  void reorder(std::int64_t batch, const Shape& image, Layout from, Layout to, ConstView x, View y) override {
    cpu::reorder(batch, image, from, to, x.as<float>(), y.as<float>());
  }
  void copy_block(const BlockExtents& extents, const StridedBlock& from, ConstView x, const StridedBlock& to,
                  View y, Write write) override {
    if (is_empty(extents)) return;
    cpu::copy_block(extents, from, x.as<float>(), to, y.as<float>(), write);
  }
  void zero(View y) override {
    if (!y.empty()) std::memset(y.data(), 0, static_cast<std::size_t>(y.bytes().value()));
  }
  void sum_rows(std::int64_t rows, std::int64_t columns, ConstView x, View b, Write write) override {
    cpu::sum_rows(rows, columns, x.as<float>(), b.as<float>(), write);
  }
  void cross_entropy(std::int64_t batch, std::int64_t classes, ConstView logits, ConstView labels,
                     double scale, View dlogits, View sums) override {
    host::store_sums(cpu::cross_entropy(batch, classes, logits.as<float>(), labels.as<std::int32_t>(), scale,
                                        floats_of(dlogits)),
                     sums);
  }
  void cross_entropy_statistics(std::int64_t batch, std::int64_t classes, std::int64_t first_class,
                                ConstView logits, ConstView labels, View statistics) override {
    if (batch == 0) return;
    cpu::cross_entropy_statistics({batch, classes, first_class}, logits.as<float>(),
                                  labels.as<std::int32_t>(), statistics.as<float>());
  }
  void cross_entropy_finish(std::int64_t batch, std::int64_t classes, std::int64_t first_class,
                            std::span<const std::int64_t> class_offsets, ConstView statistics,
                            ConstView logits, ConstView labels, double scale, View dlogits,
                            View sums) override {
    LossSums found;
    if (batch > 0)
      found =
          cpu::cross_entropy_finish({batch, classes, first_class}, class_offsets, statistics.as<float>(),
                                    logits.as<float>(), labels.as<std::int32_t>(), scale, floats_of(dlogits));
    host::store_sums(found, sums);
  }
  void mean_squared_error(std::int64_t, std::int64_t features, ConstView output, ConstView target,
                          double scale, View doutput, View sums) override {
    host::store_sums(
        cpu::mean_squared_error(features, output.as<float>(), target.as<float>(), scale, floats_of(doutput)),
        sums);
  }
  void add_sums(ConstView parts, bool in_tree, View total) override { host::add_sums(parts, in_tree, total); }
  void squares(ConstView x, View sum, Write write) override {
    host::store_square(cpu::squares(x.as<float>()), sum, write);
  }
  void add_rows(ConstView rows, View total) override { host::add_rows(rows, total); }
  void clip(std::int64_t parts, ConstView squares, double limit, View scale) override {
    host::clip(parts, squares, limit, scale);
  }
  void update(const OptimizerSpec& optimizer, const Update& on) override {
    host::update_if_finite<float>(on, on.g, on.w, [&] { cpu::update(optimizer, on); });
  }
  void direct(const OptimizerSpec& optimizer, const Update& on, View u) override {
    host::update_if_finite<float>(on, {}, u, [&] { cpu::direct(optimizer, on, u.as<float>()); });
  }

 private:
  /// Nothing where nothing is asked for.
  static std::span<float> floats_of(View view) {
    return view.empty() ? std::span<float>() : view.as<float>();
  }

  int threads_;
  std::unique_ptr<Codecs> codecs_ = make_host_codecs(DataType::float32);
  std::map<std::int64_t, Bound> tanh_;
};

}  // namespace cpu

std::unique_ptr<Backend> make_cpu_backend(int threads) { return std::make_unique<cpu::CpuBackend>(threads); }

}  // namespace partita::kernels
