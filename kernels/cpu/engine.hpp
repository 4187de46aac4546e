/// oneDNN's engine and stream, and primitives bound to fixed memory descriptors whose data moves, so that
/// running one builds nothing anew (the library itself allocates inside each execute call).
#pragma once

#include <utility>
#include <vector>

#include "onednn.hpp"
#include "partita/kernels/backend.hpp"

namespace partita::kernels::cpu {

inline onednn::engine& engine() {
  static onednn::engine the(onednn::engine::kind::cpu, 0);
  return the;
}

inline onednn::stream& stream() {
  static onednn::stream the(engine());
  return the;
}

/// A primitive with its arguments. Memory objects are made once; `run` only points them at the data.
class Bound {
 public:
  Bound() = default;
  explicit Bound(onednn::primitive primitive) : primitive_(std::move(primitive)) {}

  Bound& argument(int id, const onednn::memory::desc& description) {
    memories_.push_back(onednn::memory(description, engine(), DNNL_MEMORY_NONE));
    arguments_.push_back({id, memories_.back().get()});
    return *this;
  }
  /// Points one argument at its data; constness is oneDNN's matter.
  Bound& at(int id, const void* data) {
    std::size_t i = 0;
    while (arguments_.at(i).arg != id)
      ++i;
    memories_[i].set_data_handle(const_cast<void*>(data));
    return *this;
  }
  /// Through the C interface: that of C++ makes its table of arguments anew in each call.
  void run() {
    onednn::error::wrap_c_api(dnnl_primitive_execute(primitive_.get(), stream().get(),
                                                     static_cast<int>(arguments_.size()), arguments_.data()),
                              "could not execute a primitive");
  }

 private:
  onednn::primitive primitive_;
  std::vector<onednn::memory> memories_;  ///< what the arguments refer to, in their order
  std::vector<dnnl_exec_arg_t> arguments_;
};

/// Primitives take their scratch memory from the caller.
inline onednn::primitive_attr user_scratchpad() {
  onednn::primitive_attr attributes;
  attributes.set_scratchpad_mode(onednn::scratchpad_mode::user);
  return attributes;
}

/// Hands out aligned parts of a workspace in the order in which a plan asked for them.
class WorkspaceLayout {
 public:
  std::size_t add(std::size_t bytes) {
    const std::size_t offset = total_;
    total_ += (bytes + 63) / 64 * 64;
    return offset;
  }
  [[nodiscard]] Bytes total() const { return Bytes(static_cast<std::int64_t>(total_)); }

 private:
  std::size_t total_ = 0;
};

inline constexpr auto f32 = onednn::memory::data_type::f32;

std::unique_ptr<Gemm> plan_gemm(const GemmShape&);
std::unique_ptr<Convolution> plan_convolution(const ConvolutionShape&, int threads);
std::unique_ptr<Pooling> plan_pooling(const PoolingShape&, int threads);
std::unique_ptr<BatchNorm> plan_batch_norm(const BatchNormShape&, int threads);

}  // namespace partita::kernels::cpu
