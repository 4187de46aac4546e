/// Convolutions by oneDNN on channels-last activations. Weights are kept in PyTorch's order and packed at
/// each call, which costs little beside the convolution.
#include <algorithm>
#include <cstring>
#include <optional>
#include <string_view>

#include "elementwise.hpp"
#include "engine.hpp"
#include "few_channels.hpp"

namespace partita::kernels::cpu {
namespace {

using onednn::memory;
using Tag = memory::format_tag;
constexpr auto direct = onednn::algorithm::convolution_direct;

/// A reorder between two descriptors, or nothing when they are equal.
class Repack {
 public:
  Repack() = default;
  Repack(const memory::desc& from, const memory::desc& to) : needed_(from != to) {
    if (!needed_) return;
    reorder_ = Bound(onednn::reorder(onednn::reorder::primitive_desc(engine(), from, engine(), to)));
    reorder_.argument(DNNL_ARG_FROM, from).argument(DNNL_ARG_TO, to);
  }
  [[nodiscard]] bool needed() const { return needed_; }
  void run(const void* from, void* to) { reorder_.at(DNNL_ARG_FROM, from).at(DNNL_ARG_TO, to).run(); }

 private:
  bool needed_ = false;
  Bound reorder_;
};

class CpuConvolution final : public Convolution {
 public:
  CpuConvolution(const ConvolutionShape& s, int threads) : s_(s) {
    if (vacuous()) return;
    const Tag tag = s.layout == Layout::nhwc ? Tag::nhwc : Tag::nchw;
    x_ = memory::desc({s.batch, s.channels, s.height, s.width}, f32, tag);
    y_ = memory::desc({s.batch, s.filters, s.out_height(), s.out_width()}, f32, tag);
    plain_ = memory::desc({s.filters, s.channels, s.kernel.h, s.kernel.w}, f32, Tag::oihw);
    any_ = memory::desc({s.filters, s.channels, s.kernel.h, s.kernel.w}, f32, Tag::any);
    if (s.bias) bias_ = memory::desc({s.filters}, f32, Tag::x);
    if (has_own_forward(s)) {
      direct_forward_.emplace(s, threads);
      scratch_bytes_ = std::max(scratch_bytes_, direct_forward_->workspace());
    } else {
      plan_forward();
    }
    plan_backward_data();
    if (has_own_gradient(s)) {
      outer_product_.emplace(s, threads);
      scratch_bytes_ = std::max(scratch_bytes_, outer_product_->workspace());
      reserve(plain_, {});
    } else {
      plan_backward_parameters();
    }
  }

  Bytes workspace() const override { return layout_.total(); }

  void forward(ConstView x, ConstView weight, ConstView bias, View y, Workspace w) override {
    if (vacuous()) return without_taps(bias_of(bias), y.as<float>());
    if (direct_forward_)
      return direct_forward_->run(x.as<float>().data(), weight.as<float>().data(), bias_of(bias),
                                  y.as<float>().data(), w.data() + scratch_);
    forward_.at(DNNL_ARG_SRC, x.data()).at(DNNL_ARG_WEIGHTS, packed(pack_forward_, weight, w));
    if (s_.bias) forward_.at(DNNL_ARG_BIAS, bias.data());
    forward_.at(DNNL_ARG_DST, y.data());
    forward_.at(DNNL_ARG_SCRATCHPAD, w.data() + scratch_).run();
  }

  void backward_data(ConstView dy, ConstView weight, View dx, Workspace w) override {
    if (vacuous()) {
      const auto DX = dx.as<float>();
      return std::fill(DX.begin(), DX.end(), 0.0F);
    }
    data_.at(DNNL_ARG_DIFF_DST, dy.data()).at(DNNL_ARG_WEIGHTS, packed(pack_data_, weight, w));
    data_.at(DNNL_ARG_DIFF_SRC, dx.data()).at(DNNL_ARG_SCRATCHPAD, w.data() + scratch_).run();
  }

  void backward_parameters(ConstView x, ConstView dy, View dweight, View dbias, Write write,
                           Workspace w) override {
    const auto DW = dweight.as<float>();
    if (s_.bias) bias_gradient(dy.as<float>(), dbias.as<float>(), write);
    if (vacuous()) {
      if (write == Write::overwrite) std::fill(DW.begin(), DW.end(), 0.0F);
      return;
    }
    if (outer_product_)
      return outer_product_->run(x.as<float>().data(), dy.as<float>().data(), DW.data(), write,
                                 w.data() + scratch_);
    const bool add = write == Write::accumulate;
    auto* packed_gradient = unpack_.needed() ? w.data() + weights_ : reinterpret_cast<std::byte*>(DW.data());
    if (add && !unpack_.needed()) packed_gradient = w.data() + weights_;
    parameters_.at(DNNL_ARG_SRC, x.data()).at(DNNL_ARG_DIFF_DST, dy.data());
    parameters_.at(DNNL_ARG_DIFF_WEIGHTS, packed_gradient);
    parameters_.at(DNNL_ARG_SCRATCHPAD, w.data() + scratch_).run();
    auto* plain = add ? w.data() + fresh_weights_ : reinterpret_cast<std::byte*>(DW.data());
    if (unpack_.needed())
      unpack_.run(packed_gradient, plain);
    else
      plain = packed_gradient;
    if (!add) return;
    const auto* fresh = reinterpret_cast<const float*>(plain);
    for (std::size_t i = 0; i < DW.size(); ++i)
      DW[i] += fresh[i];
  }

 private:
  /// No input meets a weight: an extent is 0. oneDNN has no such descriptors.
  [[nodiscard]] bool vacuous() const {
    return s_.batch == 0 || s_.channels == 0 || s_.filters == 0 || s_.out_height() == 0 ||
           s_.out_width() == 0;
  }

  [[nodiscard]] const float* bias_of(ConstView bias) const {
    return s_.bias ? bias.as<float>().data() : nullptr;
  }

  /// Y = epilogue(bias).
  void without_taps(const float* bias, std::span<float> y) const {
    // A filter's outputs lie together, or one of every filter does.
    const auto filters = static_cast<std::size_t>(s_.filters);
    const auto run =
        s_.layout == Layout::nhwc ? 1U : static_cast<std::size_t>(s_.out_height() * s_.out_width());
    for (std::size_t i = 0; i < y.size(); ++i) {
      const float value = bias == nullptr ? 0.0F : bias[i / run % filters];
      y[i] = s_.epilogue == Epilogue::relu && value < 0 ? 0.0F : value;
    }
  }

  /// db = Σ dY: faster here than inside the library's weight gradient.
  void bias_gradient(std::span<const float> dy, std::span<float> db, Write write) const {
    const std::int64_t pixels = s_.out_height() * s_.out_width();
    if (s_.layout == Layout::nhwc) return sum_rows(s_.batch * pixels, s_.filters, dy, db, write);
    if (write == Write::overwrite) std::fill(db.begin(), db.end(), 0.0F);
    for (std::int64_t plane = 0; plane < s_.batch * s_.filters; ++plane) {
      float sum = 0;
      for (std::int64_t i = 0; i < pixels; ++i)
        sum += dy[static_cast<std::size_t>(plane * pixels + i)];
      db[static_cast<std::size_t>(plane % s_.filters)] += sum;
    }
  }

  const void* packed(Repack& pack, ConstView weight, Workspace w) const {
    if (!pack.needed()) return weight.data();
    pack.run(weight.data(), w.data() + weights_);
    return w.data() + weights_;
  }

  using Forward = onednn::convolution_forward::primitive_desc;
  [[nodiscard]] Forward describe_forward(const onednn::primitive_attr& attributes = {}) const {
    return Forward(engine(), onednn::prop_kind::forward_training, direct, x_, any_, bias_, y_, strides(),
                   padding(), far_padding(), attributes);
  }
  [[nodiscard]] memory::dims strides() const { return {s_.stride.h, s_.stride.w}; }
  [[nodiscard]] memory::dims padding() const { return {s_.padding.h, s_.padding.w}; }
  /// Rows and columns that no window reaches need no padding: oneDNN wants the exact amount on the far side.
  [[nodiscard]] memory::dims far_padding() const {
    return {(s_.out_height() - 1) * s_.stride.h + s_.kernel.h - s_.height - s_.padding.h,
            (s_.out_width() - 1) * s_.stride.w + s_.kernel.w - s_.width - s_.padding.w};
  }

  void reserve(const memory::desc& weights, const memory::desc& scratch) {
    weight_bytes_ = std::max({weight_bytes_, weights.get_size(), plain_.get_size()});
    scratch_bytes_ = std::max(scratch_bytes_, scratch.get_size());
    layout_ = {};
    weights_ = layout_.add(weight_bytes_);
    fresh_weights_ = layout_.add(plain_.get_size());
    scratch_ = layout_.add(scratch_bytes_);
  }

  void plan_forward() {
    auto attributes = user_scratchpad();
    if (s_.epilogue == Epilogue::relu) {
      onednn::post_ops after;
      after.append_eltwise(onednn::algorithm::eltwise_relu, 0, 0);
      attributes.set_post_ops(after);
    }
    const Forward p = describe_forward(attributes);
    forward_ = Bound(onednn::convolution_forward(p));
    forward_.argument(DNNL_ARG_SRC, x_).argument(DNNL_ARG_WEIGHTS, p.weights_desc());
    if (s_.bias) forward_.argument(DNNL_ARG_BIAS, bias_);
    forward_.argument(DNNL_ARG_DST, y_).argument(DNNL_ARG_SCRATCHPAD, p.scratchpad_desc());
    pack_forward_ = Repack(plain_, p.weights_desc());
    reserve(p.weights_desc(), p.scratchpad_desc());
  }

  // The data gradient of few channels: oneDNN 3.7's first choice there, its blocked ("brgemm") one for
  // AVX-512, takes up to twice as long as its next one.
  void plan_backward_data() {
    const Forward hint = describe_forward();  // next_impl() reads it again
    onednn::convolution_backward_data::primitive_desc p(engine(), direct, x_, any_, y_, strides(), padding(),
                                                        far_padding(), hint, user_scratchpad());
    while (s_.channels <= 16 && std::string_view(p.impl_info_str()).starts_with("brg") && p.next_impl()) {
    }
    data_ = Bound(onednn::convolution_backward_data(p));
    data_.argument(DNNL_ARG_DIFF_DST, y_)
        .argument(DNNL_ARG_WEIGHTS, p.weights_desc())
        .argument(DNNL_ARG_DIFF_SRC, x_);
    data_.argument(DNNL_ARG_SCRATCHPAD, p.scratchpad_desc());
    pack_data_ = Repack(plain_, p.weights_desc());
    reserve(p.weights_desc(), p.scratchpad_desc());
  }

  void plan_backward_parameters() {
    const onednn::convolution_backward_weights::primitive_desc p(engine(), direct, x_, any_, y_, strides(),
                                                                 padding(), far_padding(), describe_forward(),
                                                                 user_scratchpad());
    parameters_ = Bound(onednn::convolution_backward_weights(p));
    parameters_.argument(DNNL_ARG_SRC, x_).argument(DNNL_ARG_DIFF_DST, y_);
    parameters_.argument(DNNL_ARG_DIFF_WEIGHTS, p.diff_weights_desc())
        .argument(DNNL_ARG_SCRATCHPAD, p.scratchpad_desc());
    unpack_ = Repack(p.diff_weights_desc(), plain_);
    reserve(p.diff_weights_desc(), p.scratchpad_desc());
  }

  ConvolutionShape s_;
  std::optional<DirectForward> direct_forward_;        ///< for few channels; else oneDNN's
  std::optional<OuterProductGradient> outer_product_;  ///< the weight gradient likewise
  memory::desc x_, y_, plain_, any_, bias_;
  Bound forward_, data_, parameters_;
  Repack pack_forward_, pack_data_, unpack_;
  WorkspaceLayout layout_;
  std::size_t weight_bytes_ = 0, scratch_bytes_ = 0;
  std::size_t weights_ = 0, fresh_weights_ = 0, scratch_ = 0;
};

}  // namespace

std::unique_ptr<Convolution> plan_convolution(const ConvolutionShape& shape, int threads) {
  return std::make_unique<CpuConvolution>(shape, threads);
}

}  // namespace partita::kernels::cpu
